"""How high scores are along lines: the score map averaged along short lines of all directions.

A filament is a ridge: higher than what lies on either side of it. The edge of a carbon foil is
higher than one side alone, and a clump is as high as its sides.

Directions are measured from x (columns) towards y (rows) and stand for both senses of a line.

- `LineScores`: the averages, and how much they vary without a filament.
- `line_scores`: the averages of a map.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Real

__all__ = ["LineScores", "line_scores"]

_DIRECTIONS = 24
_LINE = 1.2  # widths: standard deviation of the average along the line; it sees four times that
_ACROSS = 0.15  # widths: standard deviation across
_ASIDE = 0.9  # widths from the line to those on either side, which it must rise above
_LEAST_SEEN = 0.5  # of a line must be usable
_ONE_BELOW = 15.87  # per cent of a Gaussian that lie further than a standard deviation below


@dataclass(frozen=True, eq=False)
class LineScores:
    """Mean scores along lines through each place of a grid.

    Attributes:
        mean: For each direction the map of means; minus infinity where too little is usable.
        rise: How far each mean is above the higher one of those on either side.
        directions_rad: The directions, evenly spaced from 0 to below π.
        middle: Median over the map of the best direction's rise, which no filament moves much.
        spread: Robust standard deviation of the same.
    """

    mean: Float32[np.ndarray, "directions rows columns"]
    rise: Float32[np.ndarray, "directions rows columns"]
    directions_rad: Float[np.ndarray, " directions"]
    middle: float
    spread: float


def line_scores(
    logits: Real[np.ndarray, "rows columns"],
    usable: Bool[np.ndarray, "rows columns"],
    width: float,
) -> LineScores:
    """Average a score map along short lines of all directions, by Gaussian windows.

    Args:
        logits: Scores on a grid.
        usable: Places that count.
        width: Width of a filament, in places of the grid.
    """
    directions = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    mean = np.empty((_DIRECTIONS, *logits.shape), np.float32)
    rise = np.empty_like(mean)
    low, high = np.percentile(logits[usable], (1, 99)) if usable.any() else (0.0, 0.0)
    # Clipped, so that a single bright speck makes no line.
    values = np.where(usable, np.clip(logits, low, high), 0).astype(np.float32)
    for number, direction in enumerate(directions.tolist()):
        here, left, right = (
            _averaged(values, usable, _window(width, direction, side * _ASIDE * width))
            for side in (0, -1, 1)
        )
        # Beyond the usable places there is no other side to compare with.
        beside = np.maximum(left, right)
        known = np.isfinite(here) & np.isfinite(beside)
        nothing = np.full(here.shape, -np.inf, np.float32)
        rise[number] = np.subtract(here, beside, out=nothing, where=known)
        mean[number] = here
    best = rise.max(axis=0)
    best = best[np.isfinite(best)]
    if not len(best):
        return LineScores(mean, rise, directions, 0.0, 1.0)
    # The lower half alone: filaments may cover much of a micrograph, but lie in the upper one.
    below, middle = np.percentile(best, (_ONE_BELOW, 50))
    spread = max(float(middle - below), float(np.finfo(np.float32).tiny))
    return LineScores(mean, rise, directions, float(middle), spread)


def _averaged(
    values: Float32[np.ndarray, "rows columns"],
    usable: Bool[np.ndarray, "rows columns"],
    window: Float32[np.ndarray, "side side"],
) -> Float32[np.ndarray, "rows columns"]:
    """Mean of the usable values within a window; minus infinity where too few are."""
    from scipy.signal import fftconvolve

    share = fftconvolve(usable.astype(np.float32), window, mode="same")
    total = fftconvolve(values, window, mode="same")
    known = usable & (share > _LEAST_SEEN)
    return np.where(known, total / np.maximum(share, _LEAST_SEEN), -np.inf).astype(np.float32)


def _window(width: float, direction_rad: float, aside: float) -> Float32[np.ndarray, "side side"]:
    """A line that fades to both ends and both sides, of sum 1, some way from the middle."""
    along, across = _LINE * width, max(_ACROSS * width, 0.5)
    reach = int(np.ceil(2.5 * along))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u = x * np.cos(direction_rad) + y * np.sin(direction_rad)
    v = y * np.cos(direction_rad) - x * np.sin(direction_rad) - aside
    window = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return (window / window.sum()).astype(np.float32)
