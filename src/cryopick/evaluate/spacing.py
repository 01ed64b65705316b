"""Thin out picks: none too near another that scores higher, none too near an edge.

- `spaced`: greedy, from the highest score down.
- `far_from_edges`: those inside a margin.
"""

import numpy as np

from cryopick.array_types import Bool, Float

__all__ = ["far_from_edges", "spaced"]


def spaced(
    xy_px: Float[np.ndarray, "picks 2"], score: Float[np.ndarray, " picks"], distance_px: float
) -> Bool[np.ndarray, " picks"]:
    """Which picks stay when each removes all of lower score within a distance.

    A pick never removes one of higher score, so cutting at a threshold before or after gives the
    same.

    Args:
        xy_px: Centres (x, y) on one micrograph.
        score: Their scores.
        distance_px: Picks nearer than this are too near; 0 keeps all.
    """
    stays = np.ones(len(xy_px), bool)
    if distance_px <= 0 or len(xy_px) < 2:
        return stays
    from scipy.spatial import cKDTree

    near = cKDTree(xy_px).query_ball_point(xy_px, np.nextafter(distance_px, 0))
    for place in np.argsort(-score, kind="stable"):
        if stays[place]:
            stays[near[place]] = False
            stays[place] = True
    return stays


def far_from_edges(
    xy_px: Float[np.ndarray, "picks 2"], shape_px: tuple[int, int], margin_px: float
) -> Bool[np.ndarray, " picks"]:
    """Which picks lie at least a margin inside a micrograph of some height and width."""
    height, width = shape_px
    last = np.array([width - 1, height - 1])
    return np.all((xy_px >= margin_px) & (xy_px <= last - margin_px), axis=1)
