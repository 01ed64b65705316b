"""Find out from score maps whether particles are elongated.

At a scale much finer than a long particle, the network scores its whole length: the regions of
positive scores are as long and as wide as the particles. Compact particles give no such regions.

- `measure_regions`: shapes of the regions of positive scores in one map.
- `estimate_width`: width of the particles, if they are elongated.
- `guess_width`: the same from the dependence of the scores on the direction.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.inference.score_map import ScoreMap

__all__ = ["estimate_width", "guess_width", "measure_regions"]

_MIN_CELLS = 12  # points of the map in a region
_MIN_ASPECT = 3.0  # of an elongated region
_MIN_FRAC = 0.4  # of the area of all regions that is in elongated ones
_MIN_REGIONS = 5  # elongated ones
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
    from scipy.ndimage import find_objects, label

    rows, columns = scores.logits.shape
    step = scores.step_px
    positive = (scores.logits > 0) & usable[::step, ::step][:rows, :columns]
    regions, _ = label(positive, np.ones((3, 3)))
    shapes = []
    for number, box in enumerate(find_objects(regions), 1):
        points = np.argwhere(regions[box] == number)
        if len(points) < _MIN_CELLS:
            continue
        variances = (
            np.linalg.eigvalsh(np.cov(points.T, bias=True)) + 1 / 12
        )  # of the points' own squares
        width, length = np.sqrt(12 * variances) * step
        shapes.append((length, width, len(points)))
    return np.array(shapes, dtype=np.float64).reshape(-1, 3)


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
