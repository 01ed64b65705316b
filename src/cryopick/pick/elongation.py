"""Find out from score maps whether particles are elongated.

At a scale much finer than a long particle, the network scores its whole length: the regions of
positive scores are as long and as wide as the particles. Compact particles give no such regions.

- `measure_regions`: shapes of the regions of positive scores in one map.
- `estimate_width`: width of the particles, if they are elongated.
- `guess_width`: the same from the dependence of the scores on the direction.
- `are_compact`: whether the regions show that the particles are not elongated.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.inference.score_map import ScoreMap

__all__ = ["are_compact", "estimate_width", "guess_width", "measure_regions"]

_MIN_CELLS = 12  # points of the map in a region
_MIN_ASPECT = 3.0  # of an elongated region
_MIN_FRAC = 0.4  # of the area of all regions that is in elongated ones
_MIN_REGIONS = 5  # elongated ones
# Regions that are numerous enough to show that particles are compact, and the largest part of
# their area in elongated ones (decision 0021).
_ENOUGH_REGIONS, _COMPACT_FRAC = 15, 0.2
# Mean directionality at the finest scale from which on particles are elongated: at a third of the
# length it is 0.67 to 1.31 on nine sets of rods, noisy ones among them, and at most 0.57 on 43
# sets of other particles (decision 0021).
_MIN_DIRECTIONALITY = 0.62
_NARROW_FRAC, _WIDE_FRAC = 1 / 11, 1 / 7  # of the length, if nothing shows the width


def measure_regions(
    scores: ScoreMap, usable: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "regions 3"]:
    """Measure length, width and area of the connected regions of positive scores.

    Args:
        scores: Logits.
        usable: Pixels of the image that count.

    Returns:
        Sides of the rectangle with the same second moments, in pixels of the image, and the area
        in points of the map; one row per region.
    """
    rows, columns = scores.logits.shape
    step = scores.step_px
    runs = _find_runs((scores.logits > 0) & usable[::step, ::step][:rows, :columns])
    region = _connect_runs(runs, columns)
    row, start, stop = runs.astype(np.float64)
    length = stop - start
    sum_x = length * (start + stop - 1) / 2
    sum_xx = _sum_squares(stop) - _sum_squares(start)
    sums = (length, length * row, sum_x, length * row**2, row * sum_x, sum_xx)
    area, *moments = (np.bincount(region, values) for values in sums)
    is_large = area >= _MIN_CELLS
    y, x, yy, xy, xx = (moment[is_large] / area[is_large] for moment in moments)
    square = 1 / 12  # variance of a point's own square
    var_y, var_x, covariance = yy - y**2 + square, xx - x**2 + square, xy - x * y
    mean, spread = (var_y + var_x) / 2, np.hypot((var_y - var_x) / 2, covariance)
    sides = [np.sqrt(12 * variance) * step for variance in (mean + spread, mean - spread)]
    return np.stack([*sides, area[is_large]], axis=1)


def _find_runs(
    mask: Bool[np.ndarray, "rows columns"],
) -> Integer[np.ndarray, "3 runs"]:
    """Find the runs of true points in each row: row, first column, and column after the last."""
    change = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(change == 1)
    return np.stack([row, start, np.nonzero(change == -1)[1]])


def _connect_runs(
    runs: Integer[np.ndarray, "3 runs"], columns: int
) -> Integer[np.ndarray, " runs"]:
    """Number the regions of runs that touch, also at corners, and return that of each run."""
    # Positions in the order of the runs: a gap between rows keeps them from touching sideways.
    (row, start, stop), stride = runs, columns + 2
    below = (row + 1) * stride
    first = np.searchsorted(row * stride + stop, below + start)
    count = np.searchsorted(row * stride + start, below + stop, side="right") - first
    upper = np.repeat(np.arange(len(row)), count)
    lower = np.arange(len(upper)) + np.repeat(first - (np.cumsum(count) - count), count)
    root = np.arange(len(row))
    while len(upper):
        pair = np.sort(np.stack([root[upper], root[lower]]), axis=0)
        differs = pair[0] != pair[1]
        upper, lower, pair = upper[differs], lower[differs], pair[:, differs]
        np.minimum.at(root, pair[1], pair[0])
        while (root != root[root]).any():
            root = root[root]
    is_root = root == np.arange(len(root))
    return (np.cumsum(is_root) - 1)[root]


def _sum_squares(stop: Float[np.ndarray, " runs"]) -> Float[np.ndarray, " runs"]:
    """Sum the squares of the integers below a number."""
    return (stop - 1) * stop * (2 * stop - 1) / 6


def estimate_width(regions_ang: Iterable[Float[np.ndarray, "_ 3"]]) -> float | None:
    """Estimate the width of the particles, if most of them are elongated.

    Args:
        regions_ang: For each scale that was scored, length and width of the regions in ångströms,
            and their areas.

    Returns:
        The median width at the scale with the most elongated regions, in ångströms; None if no
        scale has enough.
    """
    best_ang, best_count = None, 0
    for regions in regions_ang:
        length, width, area = regions.T
        is_long = length > _MIN_ASPECT * width
        count = int(is_long.sum())
        if count < max(_MIN_REGIONS, best_count + 1):
            continue
        if area[is_long].sum() >= _MIN_FRAC * area.sum():
            best_ang, best_count = float(np.median(width[is_long])), count
    return best_ang


def are_compact(regions: Float[np.ndarray, "regions 3"]) -> bool:
    """Return true if there are many regions at a scale, and few of them are elongated."""
    length, width, area = regions.T
    is_long = length > _MIN_ASPECT * width
    few_are_long = area[is_long].sum() < _COMPACT_FRAC * area.sum()
    return len(regions) >= _ENOUGH_REGIONS and bool(few_are_long)


def guess_width(
    directionality: Mapping[float, Float[np.ndarray, " peaks"]], length_ang: float
) -> float | None:
    """Guess the width of the particles, if the scores depend on the direction.

    Args:
        directionality: For each scale in ångströms, the values of the best peaks.
        length_ang: Length of the particles.

    Returns:
        A width in ångströms, narrower if the finest scale shows the direction best; None if the
        particles are not elongated.
    """
    means = {size: float(values.mean()) for size, values in directionality.items() if len(values)}
    if not means:
        return None
    finest = means[min(means)]
    if finest < _MIN_DIRECTIONALITY:
        return None
    return length_ang * (_NARROW_FRAC if finest >= max(means.values()) else _WIDE_FRAC)
