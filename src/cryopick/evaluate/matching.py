"""Pair picks with known particles, one to one.

Coordinates are (x, y) in pixels; two points are near each other when their distance is at
most the radius. Decision 0004 says why the pairing is greedy and how ties fall.

- `match`: pairs on one micrograph.
- `match_picks`: pairs between two tables, micrograph by micrograph.
- `is_near`: which points have any neighbour in another set.
"""

from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.picks import Picks

if TYPE_CHECKING:
    from scipy.spatial import KDTree

__all__ = ["is_near", "match", "match_picks"]

_FIRST_NEIGHBOURS = 8  # more are looked up only where all of these are taken
_BATCH = 65_536  # picks whose neighbours are held at once


def match(
    picks_xy_px: Float[np.ndarray, "picks 2"],
    score: Float[np.ndarray, " picks"],
    truth_xy_px: Float[np.ndarray, "truth 2"],
    radius_px: float,
) -> Integer[np.ndarray, " picks"]:
    """Pair each pick with at most one particle, and each particle with at most one pick.

    Picks choose in descending score; equal scores, and picks without a score (NaN), choose
    in order of y, then x. A pick takes the nearest particle that is still free within the
    radius; of two equally near ones, that of smaller y, then x. The pairs of the best k
    picks are therefore the same whether the others are there or not.

    Args:
        picks_xy_px: Centres of the picks.
        score: Any number that ranks the picks, or NaN.
        truth_xy_px: Centres of the particles.
        radius_px: Greatest distance of a pair, at least 0.

    Returns:
        For each pick the row of its particle in `truth_xy_px`, or -1.

    Raises:
        ValueError: `radius_px` is negative or NaN.

    >>> match(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([1.0, 3.0]),
    ...       np.array([[1.0, 0.0]]), radius_px=1.0).tolist()
    [-1, 0]
    """
    _require_radius(radius_px)
    found = np.full(len(picks_xy_px), -1, dtype=np.int64)
    if not len(picks_xy_px) or not len(truth_xy_px):
        return found

    by_position = np.lexsort((truth_xy_px[:, 0], truth_xy_px[:, 1]))
    tree = _tree(truth_xy_px[by_position])
    taken = np.zeros(len(truth_xy_px), dtype=bool)
    order = np.lexsort((picks_xy_px[:, 0], picks_xy_px[:, 1], -score))
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        distances, candidates = _neighbours(tree, picks_xy_px[batch], radius_px, _FIRST_NEIGHBOURS)
        for row in np.flatnonzero(distances[:, 0] <= radius_px):
            pick = batch[row]
            near = distances[row], candidates[row]
            particle = _nearest_free(tree, picks_xy_px[pick], radius_px, taken, near)
            if particle >= 0:
                taken[particle] = True
                found[pick] = by_position[particle]
    return found


def match_picks(picks: Picks, truth: Picks, radius_px: float) -> Integer[np.ndarray, " picks"]:
    """Pair two tables as `match` does, each micrograph by itself.

    Returns:
        For each pick the row of its particle in `truth`, or -1; always -1 on micrographs
        that `truth` does not mention.
    """
    _require_radius(radius_px)
    found = np.full(len(picks), -1, dtype=np.int64)
    truth_rows = truth.rows()
    for name, own in picks.rows().items():
        if name in truth_rows:
            others = truth_rows[name]
            pairs = match(picks.xy_px[own], picks.score[own], truth.xy_px[others], radius_px)
            found[own[pairs >= 0]] = others[pairs[pairs >= 0]]
    return found


def is_near(
    xy_px: Float[np.ndarray, "points 2"],
    others_xy_px: Float[np.ndarray, "others 2"],
    radius_px: float,
) -> Bool[np.ndarray, " points"]:
    """Tell which points lie within the radius of any point of another set.

    Raises:
        ValueError: `radius_px` is negative or NaN.
    """
    _require_radius(radius_px)
    if not len(xy_px) or not len(others_xy_px):
        return np.zeros(len(xy_px), dtype=bool)
    distances, _ = _neighbours(_tree(others_xy_px), xy_px, radius_px, 1)
    return distances[:, 0] <= radius_px


def _require_radius(radius_px: float) -> None:
    if not radius_px >= 0:
        raise ValueError(f"radius_px must be at least 0; got {radius_px}")


def _tree(xy_px: Float[np.ndarray, "points 2"]) -> "KDTree":
    from scipy.spatial import KDTree

    return KDTree(xy_px)


def _neighbours(
    tree: "KDTree", xy_px: Float[np.ndarray, "points 2"], radius_px: float, count: int
) -> tuple[Float[np.ndarray, "points near"], Integer[np.ndarray, "points near"]]:
    """The nearest `count` tree points of each point, nearest first; infinity where too far."""
    beyond = radius_px * (1 + 1e-9) + 1e-9  # the tree's bound leaves out its own value
    ranks = np.arange(1, min(count, tree.n) + 1)
    return tree.query(xy_px, k=ranks, distance_upper_bound=beyond)


def _nearest_free(
    tree: "KDTree",
    xy_px: Float[np.ndarray, " 2"],
    radius_px: float,
    taken: Bool[np.ndarray, " truth"],
    neighbours: tuple[Float[np.ndarray, " near"], Integer[np.ndarray, " near"]],
) -> int:
    """The nearest particle not taken, the first in tree order of equals, or -1."""
    while True:
        distances, candidates = neighbours
        near = distances <= radius_px
        free = near.copy()
        free[near] = ~taken[candidates[near]]
        best = distances[free].min(initial=np.inf)
        all_seen = len(distances) == tree.n or not near[-1]
        if all_seen or best < distances[-1]:
            if best == np.inf:
                return -1
            return int(candidates[free & (distances == best)].min())
        wider = _neighbours(tree, xy_px[None], radius_px, 2 * len(distances))
        neighbours = wider[0][0], wider[1][0]
