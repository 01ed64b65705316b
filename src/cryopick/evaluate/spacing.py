"""Filter picks by distance to better picks and to the edges of the micrograph.

- `select_spaced`: greedy non-maximum suppression by distance.
- `merge_duplicates`: keep one of several picks at the same position.
- `is_inside_margin`: test for a distance to the edges.
"""

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.picks import Picks

__all__ = ["is_inside_margin", "merge_duplicates", "select_spaced"]

_SAME_POSITION_PX = 1.0  # rounding to integers moves positions by less


def select_spaced(
    xy_px: Float[np.ndarray, "picks 2"], score: Float[np.ndarray, " picks"], distance_px: float
) -> Bool[np.ndarray, " picks"]:
    """Test which picks remain if each removes all picks of lower score within a distance.

    A pick never removes one of higher score, so applying a threshold before or after gives the same
    result.

    Args:
        xy_px: Centres (x, y) on one micrograph.
        score: Their scores.
        distance_px: Minimum distance; 0 keeps all.
    """
    is_kept = np.ones(len(xy_px), bool)
    if distance_px <= 0 or len(xy_px) < 2:
        return is_kept
    from scipy.spatial import cKDTree

    neighbours = cKDTree(xy_px).query_ball_point(xy_px, np.nextafter(distance_px, 0))
    for pick in np.argsort(-score, kind="stable"):
        if is_kept[pick]:
            is_kept[neighbours[pick]] = False
            is_kept[pick] = True
    return is_kept


def merge_duplicates(picks: Picks) -> Picks:
    """Keep the first of several picks at the same position, within one pixel.

    Tables that were joined twice, or written with and without rounding, repeat particles.
    """
    is_kept = np.ones(len(picks), bool)
    for rows in picks.rows_by_micrograph().values():
        order = -np.arange(len(rows), dtype=np.float64)
        is_kept[rows] = select_spaced(picks.xy_px[rows], order, _SAME_POSITION_PX)
    return picks if is_kept.all() else picks.select(is_kept)


def is_inside_margin(
    xy_px: Float[np.ndarray, "picks 2"], shape_px: tuple[int, int], margin_px: float
) -> Bool[np.ndarray, " picks"]:
    """Test which picks are at least a margin away from the edges of a micrograph."""
    height, width = shape_px
    last = np.array([width - 1, height - 1])
    return np.all((xy_px >= margin_px) & (xy_px <= last - margin_px), axis=1)
