"""Ridge filter: the score map averaged along short lines of all directions.

A filament is a ridge, with higher scores than on both of its sides. The edge of a carbon foil has
higher scores than on one side only, and an aggregate has similar scores on all sides.

Directions are angles from x (columns) towards y (rows), modulo 180°.

- `LineScores`: mean scores along lines, and the ridge strength of the background.
- `compute_line_scores`: apply the filter to a score map.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Real

__all__ = ["LineScores", "compute_line_scores"]

_DIRECTIONS = 24
_ALONG_SD_WIDTHS = 1.2  # SD of the Gaussian window along the line, in filament widths
_ACROSS_SD_WIDTHS = 0.15  # SD of the window across the line
_SIDE_DISTANCE_WIDTHS = 0.9  # distance of the two parallel lines that the ridge is compared with
_MIN_USABLE_FRAC = 0.5  # of the window
_MINUS_ONE_SD_PERCENT = 15.87  # percentile of a normal distribution


@dataclass(frozen=True, eq=False)
class LineScores:
    """Mean scores along lines through each position of a grid.

    Attributes:
        mean: Map of mean scores for each direction; minus infinity where too few pixels are
            usable.
        ridge: Difference between each mean and the higher mean of the two parallel lines.
        directions_rad: The directions, evenly spaced in [0, π).
        median: Median over the map of the maximum ridge strength, an estimate for the background.
        sd: Robust standard deviation of the maximum ridge strength.
    """

    mean: Float32[np.ndarray, "directions rows columns"]
    ridge: Float32[np.ndarray, "directions rows columns"]
    directions_rad: Float[np.ndarray, " directions"]
    median: float
    sd: float


def compute_line_scores(
    logits: Real[np.ndarray, "rows columns"],
    usable: Bool[np.ndarray, "rows columns"],
    width: float,
) -> LineScores:
    """Average a score map along short lines of all directions, with Gaussian windows.

    Args:
        logits: Scores on a grid.
        usable: Grid positions to use.
        width: Width of a filament, in steps of the grid.
    """
    directions = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    mean = np.empty((_DIRECTIONS, *logits.shape), np.float32)
    ridge = np.empty_like(mean)
    low, high = np.percentile(logits[usable], (1, 99)) if usable.any() else (0.0, 0.0)
    # Clipping prevents that a single bright speck forms a line.
    values = np.where(usable, np.clip(logits, low, high), 0).astype(np.float32)
    for number, direction in enumerate(directions.tolist()):
        centre, left, right = (
            _average_usable(
                values, usable, _make_window(width, direction, side * _SIDE_DISTANCE_WIDTHS * width)
            )
            for side in (0, -1, 1)
        )
        # At the edge of the usable area, there is no side to compare with.
        side_mean = np.maximum(left, right)
        is_known = np.isfinite(centre) & np.isfinite(side_mean)
        difference = np.full(centre.shape, -np.inf, np.float32)
        ridge[number] = np.subtract(centre, side_mean, out=difference, where=is_known)
        mean[number] = centre
    strongest = ridge.max(axis=0)
    strongest = strongest[np.isfinite(strongest)]
    if not len(strongest):
        return LineScores(mean, ridge, directions, 0.0, 1.0)
    # The lower half of the distribution is background, even where filaments cover much of the map.
    below, median = np.percentile(strongest, (_MINUS_ONE_SD_PERCENT, 50))
    sd = max(float(median - below), float(np.finfo(np.float32).tiny))
    return LineScores(mean, ridge, directions, float(median), sd)


def _average_usable(
    values: Float32[np.ndarray, "rows columns"],
    usable: Bool[np.ndarray, "rows columns"],
    window: Float32[np.ndarray, "side side"],
) -> Float32[np.ndarray, "rows columns"]:
    """Average the usable values in a window; minus infinity where too few are usable."""
    from scipy.signal import fftconvolve

    weight = fftconvolve(usable.astype(np.float32), window, mode="same")
    total = fftconvolve(values, window, mode="same")
    is_known = usable & (weight > _MIN_USABLE_FRAC)
    mean = total / np.maximum(weight, _MIN_USABLE_FRAC)
    return np.where(is_known, mean, -np.inf).astype(np.float32)


def _make_window(
    width: float, direction_rad: float, offset: float
) -> Float32[np.ndarray, "side side"]:
    """Make an elongated Gaussian window of sum 1, displaced sideways by an offset."""
    along, across = _ALONG_SD_WIDTHS * width, max(_ACROSS_SD_WIDTHS * width, 0.5)
    half = int(np.ceil(2.5 * along))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    u = x * np.cos(direction_rad) + y * np.sin(direction_rad)
    v = y * np.cos(direction_rad) - x * np.sin(direction_rad) - offset
    window = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return (window / window.sum()).astype(np.float32)
