"""Find the centres of elongated particles in a score map.

At a scale where a rod is a few pixels wide, the network scores all of its length alike. A filter of
the rod's shape, in many directions, has its maximum where the whole rod is under it: at the centre.

- `filter_elongated`: filter a score map for particles of a given length and width.
- `measure_along`: how high the scores are along particles of a length, and how directional.
- `ScoresAlong`: the result.
- `filter_if_elongated`: the same where the sides are known, on the scale of compact particles.
- `find_axes`: the line through each of some particles along which the scores are highest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.inference.score_map import ScoreMap
from cryopick.pick.suppression import suppress_non_maxima
from cryopick.preprocess.transforms import choose_transforms, next_fast_length

__all__ = [
    "SPACING_FRAC",
    "ScoresAlong",
    "filter_elongated",
    "filter_if_elongated",
    "find_axes",
    "measure_along",
]

SPACING_FRAC = 0.5  # default distance between picks, as a fraction of the length
_DIRECTIONS = 18
# Standard deviations of the Gaussian filter, as fractions of length and width.
_LENGTH_FRAC, _WIDTH_FRAC = 0.28, 0.3
_MIN_SD_STEPS = 0.6  # of the width, in steps of the map
# Logits are limited, so that a few high ones do not make up for the missing part of a rod.
_MIN_LOGIT, _MAX_LOGIT = -4.4, 0.6
# Means of logits over a rod have a smaller range than logits of compact particles. This is the mean
# at which half of the picks are particles, and the factor that makes the probability rise alike
# (on the sets of rods of benchmarks/trust.py).
_MIDPOINT, _GAIN = -1.7, 2.5
_AXIS_FRAC = 0.4  # half of the part of the length along which the scores decide on the direction
_AXIS_POINTS = 17
_TRIAL_WIDTH = 0.1  # of the length, for particles of unknown width
_BEST_FRAC = 0.25  # of the peaks
_MIN_PEAKS = 3


def filter_elongated(scores: ScoreMap, *, length_px: float, width_px: float) -> ScoreMap:
    """Average logits along the particle, in the direction where the mean is highest.

    Args:
        scores: Logits of the network.
        length_px: Length of a particle in pixels of the image.
        width_px: Width of a particle in the same pixels.

    Returns:
        The highest mean over directions at each point of the map.
    """
    highest = np.full(scores.logits.shape, -np.inf, np.float32)
    for mean in _average_along(scores, length_px=length_px, width_px=width_px):
        np.maximum(highest, mean, out=highest)
    return ScoreMap(highest, scores.step_px)


@dataclass(frozen=True, eq=False)
class ScoresAlong:
    """Means of the limited logits along particles of a given length.

    Attributes:
        directionality: Mean along the best direction minus that over all directions, for the best
            quarter of the peaks, which are half a length apart. It is much higher for elongated
            particles than for compact ones and noise, also where the scores are too low to show
            the shape of single particles.
        heights: Mean along the best direction at all peaks, above the median of the map.
    """

    directionality: Float[np.ndarray, " best"]
    heights: Float[np.ndarray, " peaks"]


def measure_along(
    scores: ScoreMap, usable: Bool[np.ndarray, "height width"], *, length_px: float
) -> ScoresAlong:
    """Average the logits along particles of a length, in the best direction at each place.

    Args:
        scores: Logits of the network at a scale much finer than the particles.
        usable: Pixels of the image that count.
        length_px: Length of a particle in pixels of the image.
    """
    rows, columns = scores.logits.shape
    highest = np.full((rows, columns), -np.inf, np.float32)
    total = np.zeros((rows, columns), np.float32)
    for mean in _average_along(scores, length_px=length_px, width_px=length_px * _TRIAL_WIDTH):
        np.maximum(highest, mean, out=highest)
        total += mean
    step = scores.step_px
    allowed = np.where(usable[::step, ::step][:rows, :columns], highest, -np.inf)
    peaks = suppress_non_maxima(
        allowed, radius=length_px / 2, threshold=_MIN_LOGIT, spacing_yx=(float(step), float(step))
    )
    best = peaks[: max(_MIN_PEAKS, round(_BEST_FRAC * len(peaks)))]
    directionality = (highest - total / _DIRECTIONS)[tuple(best.T)]
    heights = highest[tuple(peaks.T)] - np.median(highest)
    return ScoresAlong(directionality.astype(np.float64), heights.astype(np.float64))


def _average_along(
    scores: ScoreMap, *, length_px: float, width_px: float
) -> Iterator[Float32[np.ndarray, "rows columns"]]:
    """Average the limited logits along a particle, for one direction after the other."""
    length_sd = _LENGTH_FRAC * length_px / scores.step_px
    width_sd = max(_WIDTH_FRAC * width_px / scores.step_px, _MIN_SD_STEPS)
    reach = int(np.ceil(3 * length_sd))
    limited = np.clip(scores.logits, _MIN_LOGIT, _MAX_LOGIT)
    rows, columns = limited.shape
    shape = (next_fast_length(rows + 2 * reach), next_fast_length(columns + 2 * reach))
    padded = np.full(shape, np.median(limited), np.float32)
    padded[reach : reach + rows, reach : reach + columns] = limited
    transforms = choose_transforms()
    spectrum = transforms.rfft2(padded)
    for angle_rad in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        kernel = np.zeros(shape, np.float32)
        kernel[: 2 * reach + 1, : 2 * reach + 1] = _make_kernel(
            reach, length_sd, width_sd, float(angle_rad)
        )
        centred = np.roll(kernel, (-reach, -reach), axis=(0, 1))
        mean = transforms.irfft2(spectrum * transforms.rfft2(centred), s=shape)
        yield mean[reach : reach + rows, reach : reach + columns]


def filter_if_elongated(scores: ScoreMap, sides_px: tuple[float, float] | None) -> ScoreMap:
    """Filter a score map for particles of some length and width; return it as it is for None.

    The means are scaled, so that thresholds and expected numbers mean the same as on compact
    particles.
    """
    if sides_px is None:
        return scores
    mean = filter_elongated(scores, length_px=sides_px[0], width_px=sides_px[1])
    return ScoreMap(_GAIN * (mean.logits - np.float32(_MIDPOINT)), mean.step_px)


def find_axes(
    scores: ScoreMap,
    xy_px: Float[np.ndarray, "particles 2"],
    *,
    length_px: float,
    width_px: float,
) -> tuple[Float[np.ndarray, "particles 2"], Float[np.ndarray, "particles 2"]]:
    """Find the line through each particle along which the mean of the limited logits is highest.

    Args:
        scores: Logits of the network, not filtered.
        xy_px: Approximate centres (x, y) in pixels of the image.
        length_px: Length of a particle.
        width_px: Width of a particle, by half of which a line may be beside the centre.

    Returns:
        A point of each line near the centre, and its direction as a unit vector.
    """
    limited = np.clip(scores.logits, _MIN_LOGIT, _MAX_LOGIT)
    angle_rad = np.arange(2 * _DIRECTIONS) * np.pi / (2 * _DIRECTIONS)
    along = np.stack([np.cos(angle_rad), np.sin(angle_rad)], axis=1)
    across = along[:, ::-1] * (-1, 1)
    shift_px = np.array([0.0, -0.5, 0.5]) * width_px
    distance_px = np.linspace(-_AXIS_FRAC, _AXIS_FRAC, _AXIS_POINTS) * length_px
    offset_px = (
        shift_px[:, None, None, None] * across[:, None] + distance_px[:, None] * along[:, None]
    )  # shifts, directions, distances, (x, y)
    points = (xy_px[:, None, None, None] + offset_px) / scores.step_px
    column, row = np.rint(np.moveaxis(points, -1, 0)).astype(int)
    rows, columns = limited.shape
    mean = limited[row.clip(0, rows - 1), column.clip(0, columns - 1)].mean(axis=-1)
    best = mean.reshape(len(xy_px), -1).argmax(axis=1)
    shift, direction = np.unravel_index(best, mean.shape[1:])
    return xy_px + shift_px[shift, None] * across[direction], along[direction]


def _make_kernel(
    reach: int, length_sd: float, width_sd: float, angle_rad: float
) -> Float[np.ndarray, "side side"]:
    """Make a Gaussian with the sum 1 whose long axis has an angle with the x axis."""
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    across = y * np.cos(angle_rad) - x * np.sin(angle_rad)
    kernel: Float32[np.ndarray, "side side"] = np.exp(
        -((along / length_sd) ** 2 + (across / width_sd) ** 2) / 2
    )
    return kernel / kernel.sum()
