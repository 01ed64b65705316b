"""Match picks with reference particles, one to one.

Coordinates are (x, y) in pixels, or (x, y, z) in voxels of a tomogram; two points are near each
other if their distance is at most the radius. Decision 0004 gives the reasons for greedy matching
and the order of ties.

- `match_points`: match on one micrograph.
- `match_picks`: match two tables, micrograph by micrograph.
- `is_near`: test for any neighbour in another set of points.
"""

from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.picks import Picks

if TYPE_CHECKING:
    from scipy.spatial import KDTree

__all__ = ["is_near", "match_picks", "match_points"]

_FIRST_NEIGHBOURS = 8  # more are searched only if all of these are taken
_BATCH = 65_536  # picks whose neighbours are in memory at once
# Distances that are computed without a tree: importing one takes longer.
_MAX_DISTANCES = 1 << 18


def match_points(
    picks_xy_px: Float[np.ndarray, "picks axes"],
    score: Float[np.ndarray, " picks"],
    truth_xy_px: Float[np.ndarray, "truth axes"],
    radius_px: float,
) -> Integer[np.ndarray, " picks"]:
    """Match each pick with at most one particle, and each particle with at most one pick.

    Picks choose in order of descending score; equal scores, and picks without a score (NaN), in
    order of z, if there is one, y and x. A pick takes the nearest free particle within the radius;
    of equally near ones, the first in the same order. The matches of the best k picks therefore
    do not depend on the other picks.

    Args:
        picks_xy_px: Centres of the picks.
        score: Any number that ranks the picks, or NaN.
        truth_xy_px: Centres of the particles.
        radius_px: Maximum distance of a match, at least 0.

    Returns:
        Row of each pick's particle in `truth_xy_px`, or -1.

    Raises:
        ValueError: `radius_px` is negative or NaN.

    >>> match_points(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([1.0, 3.0]),
    ...              np.array([[1.0, 0.0]]), radius_px=1.0).tolist()
    [-1, 0]
    """
    _require_radius(radius_px)
    partner = np.full(len(picks_xy_px), -1, dtype=np.int64)
    if not len(picks_xy_px) or not len(truth_xy_px):
        return partner

    by_position = np.lexsort(truth_xy_px.T)
    tree = _build_tree(truth_xy_px[by_position], len(picks_xy_px))
    is_taken = np.zeros(len(truth_xy_px), dtype=bool)
    order = np.lexsort((*picks_xy_px.T, -score))
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        distances, candidates = _find_neighbours(
            tree, picks_xy_px[batch], radius_px, _FIRST_NEIGHBOURS
        )
        for row in np.flatnonzero(distances[:, 0] <= radius_px):
            pick = batch[row]
            neighbours = distances[row], candidates[row]
            particle = _find_nearest_free(tree, picks_xy_px[pick], radius_px, is_taken, neighbours)
            if particle >= 0:
                is_taken[particle] = True
                partner[pick] = by_position[particle]
    return partner


def match_picks(picks: Picks, truth: Picks, radius_px: float) -> Integer[np.ndarray, " picks"]:
    """Match two tables with `match_points`, each micrograph separately.

    Returns:
        Row of each pick's particle in `truth`, or -1; always -1 on micrographs that `truth` does
        not list.
    """
    _require_radius(radius_px)
    partner = np.full(len(picks), -1, dtype=np.int64)
    truth_rows = truth.rows_by_micrograph()
    for name, rows in picks.rows_by_micrograph().items():
        if name in truth_rows:
            rows_in_truth = truth_rows[name]
            matches = match_points(
                picks.xy_px[rows], picks.score[rows], truth.xy_px[rows_in_truth], radius_px
            )
            partner[rows[matches >= 0]] = rows_in_truth[matches[matches >= 0]]
    return partner


def is_near(
    xy_px: Float[np.ndarray, "points axes"],
    others_xy_px: Float[np.ndarray, "others axes"],
    radius_px: float,
) -> Bool[np.ndarray, " points"]:
    """Test which points lie within the radius of any point of another set.

    Raises:
        ValueError: `radius_px` is negative or NaN.
    """
    _require_radius(radius_px)
    if not len(xy_px) or not len(others_xy_px):
        return np.zeros(len(xy_px), dtype=bool)
    distances, _ = _find_neighbours(_build_tree(others_xy_px, len(xy_px)), xy_px, radius_px, 1)
    return distances[:, 0] <= radius_px


def _require_radius(radius_px: float) -> None:
    if not radius_px >= 0:
        raise ValueError(f"radius_px must be at least 0; got {radius_px}")


class _FewPoints:
    """Neighbours among a few points, as `KDTree` finds them."""

    def __init__(self, xy_px: Float[np.ndarray, "points axes"]) -> None:
        self._xy_px, self.n = xy_px, len(xy_px)

    def query(
        self,
        xy_px: Float[np.ndarray, "queries axes"],
        k: Integer[np.ndarray, " near"],
        distance_upper_bound: float,
    ) -> tuple[Float[np.ndarray, "queries near"], Integer[np.ndarray, "queries near"]]:
        """Find the nearest points, with the distance infinity and the index `n` if too far."""
        squares = np.square(xy_px[:, None] - self._xy_px).sum(axis=2)
        nearest = np.argsort(squares, axis=1, kind="stable")[:, k - 1]
        distances = np.sqrt(np.take_along_axis(squares, nearest, axis=1))
        is_far = distances >= distance_upper_bound
        return np.where(is_far, np.inf, distances), np.where(is_far, self.n, nearest)


def _build_tree(xy_px: Float[np.ndarray, "points axes"], n_queries: int) -> "KDTree | _FewPoints":
    """Build a tree of points that is queried for some others."""
    if len(xy_px) * n_queries <= _MAX_DISTANCES:
        return _FewPoints(xy_px)
    from scipy.spatial import KDTree

    return KDTree(xy_px)


def _find_neighbours(
    tree: "KDTree | _FewPoints",
    xy_px: Float[np.ndarray, "points axes"],
    radius_px: float,
    count: int,
) -> tuple[Float[np.ndarray, "points near"], Integer[np.ndarray, "points near"]]:
    """Find the nearest `count` tree points of each point, nearest first; infinity if too far."""
    bound = radius_px * (1 + 1e-9) + 1e-9  # the bound of the tree is exclusive
    ranks = np.arange(1, min(count, tree.n) + 1)
    return tree.query(xy_px, k=ranks, distance_upper_bound=bound)


def _find_nearest_free(
    tree: "KDTree | _FewPoints",
    xy_px: Float[np.ndarray, " axes"],
    radius_px: float,
    is_taken: Bool[np.ndarray, " truth"],
    neighbours: tuple[Float[np.ndarray, " near"], Integer[np.ndarray, " near"]],
) -> int:
    """Find the nearest free particle, the first in tree order of ties; -1 if there is none."""
    while True:
        distances, candidates = neighbours
        is_within = distances <= radius_px
        is_free = is_within.copy()
        is_free[is_within] = ~is_taken[candidates[is_within]]
        best = distances[is_free].min(initial=np.inf)
        is_complete = len(distances) == tree.n or not is_within[-1]
        if is_complete or best < distances[-1]:
            if best == np.inf:
                return -1
            return int(candidates[is_free & (distances == best)].min())
        wider = _find_neighbours(tree, xy_px[None], radius_px, 2 * len(distances))
        neighbours = wider[0][0], wider[1][0]
