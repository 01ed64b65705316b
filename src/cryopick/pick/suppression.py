"""Non-maximum suppression and sub-pixel refinement of the peaks of a score map.

- `upsample_twofold`: interpolate a score map on a grid of half the spacing.
- `suppress_non_maxima`: greedy non-maximum suppression.
- `refine_peaks`: move peaks to the maximum of a parabola through their neighbours.
- `keep_distance`: restore the minimum distance that refinement violated.
"""

import numpy as np

from cryopick.array_types import Float, Float32, Integer, Real

__all__ = ["keep_distance", "refine_peaks", "suppress_non_maxima", "upsample_twofold"]

# Weights of the nearest two values, the next two and the next in a midpoint (fifth degree).
_MIDPOINT_WEIGHTS = (150 / 256, -25 / 256, 3 / 256)
_MAX_PUSHES = 20  # two or three restore the distance, except in very dense clusters
_MAX_DISTANCES = 1 << 16  # between all points; with more, cells take less time


def upsample_twofold(
    scores: Float32[np.ndarray, "rows columns"],
) -> Float32[np.ndarray, "2*rows-1 2*columns-1"]:
    """Interpolate a midpoint between every two neighbouring scores along each axis.

    A midpoint lies on the polynomial of fifth degree through three values on either side. At the
    edges, the map is extended by point reflection through the last value. The original values are
    preserved.
    """
    pad = len(_MIDPOINT_WEIGHTS) - 1
    for axis in (0, 1):
        along = np.moveaxis(scores, axis, 0)
        finer = np.empty((2 * len(along) - 1, along.shape[1]), np.float32)
        finer[::2] = along
        extended = np.pad(along, ((pad, pad), (0, 0)), mode="reflect", reflect_type="odd")
        gaps = len(along) - 1
        finer[1::2] = 0
        for distance, weight in enumerate(_MIDPOINT_WEIGHTS):
            before, after = pad - distance, pad + 1 + distance
            pair = extended[before : before + gaps] + extended[after : after + gaps]
            finer[1::2] += np.float32(weight) * pair
        scores = np.moveaxis(finer, 0, axis)
    return np.ascontiguousarray(scores)


def suppress_non_maxima(
    scores: Real[np.ndarray, "rows columns"],
    *,
    radius: float,
    threshold: float = -np.inf,
    spacing_yx: tuple[float, float] = (1.0, 1.0),
) -> Integer[np.ndarray, "peaks 2"]:
    """Select peaks greedily in order of descending score, none within `radius` of another.

    Equal scores are selected by row, then by column. Scores that are not finite are never
    selected.

    Args:
        scores: Logits on a grid.
        radius: A selected peak suppresses all grid positions at this distance or less, in the
            unit of `spacing_yx`.
        threshold: Minimum score of a peak.
        spacing_yx: Distance between neighbouring rows and columns.

    Returns:
        Row and column of each peak, in order of descending score.

    Source: Bepler et al. 2019, Methods, non-maximum suppression algorithm.
    """
    height, width = scores.shape
    candidates = np.flatnonzero(np.isfinite(scores) & (scores >= threshold))
    order = _sort_by_score(scores.ravel()[candidates], candidates)
    radius_y, radius_x = (int(np.ceil(radius / step)) for step in spacing_yx)
    # A margin as wide as the disc allows adding flat offsets without wrapping around.
    offset_y, offset_x = np.mgrid[-radius_y : radius_y + 1, -radius_x : radius_x + 1]
    is_near = (offset_y * spacing_yx[0]) ** 2 + (offset_x * spacing_yx[1]) ** 2 <= radius**2
    padded_width = width + 2 * radius_x
    disc = ((offset_y * padded_width) + offset_x)[is_near]
    suppressed = np.zeros((height + 2 * radius_y) * padded_width, bool)
    rows, columns = np.divmod(order, width)
    padded_index = (rows + radius_y) * padded_width + columns + radius_x
    selected = []
    # A block is first reduced to the positions not yet suppressed, so that the many suppressed
    # ones cost only an array lookup.
    for start in range(0, len(order), 4096):
        block = padded_index[start : start + 4096]
        for offset in np.flatnonzero(~suppressed[block]).tolist():
            index = block[offset]
            if not suppressed[index]:
                suppressed[index + disc] = True
                selected.append(start + offset)
    return np.stack([rows[selected], columns[selected]], axis=1)


def _sort_by_score(
    scores: Real[np.ndarray, " positions"], positions: Integer[np.ndarray, " positions"]
) -> Integer[np.ndarray, " positions"]:
    """Sort flat positions by descending score, equal scores by ascending position."""
    if scores.dtype != np.float32:
        # Sort ascending and reverse: negation would wrap unsigned scores and reverse ties.
        return positions[::-1][np.argsort(scores[::-1], kind="stable")][::-1]
    # Sort score and position combined in one integer, which is five times faster. The bits of
    # floats are ordered like the floats, once the bits of negative ones are inverted.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)  # the sum turns -0 into 0
    bits ^= (bits >> 31) & 0x7FFFFFFF
    keys = np.sort((bits << 32) | (0xFFFFFFFF - positions))[::-1]
    return 0xFFFFFFFF - (keys & 0xFFFFFFFF)


def refine_peaks(
    scores: Real[np.ndarray, "rows columns"], peaks: Integer[np.ndarray, "peaks 2"]
) -> Float[np.ndarray, "peaks 2"]:
    """Move peaks to the maximum of a parabola along each axis, by at most half a step.

    A peak does not move along an axis on which a neighbour is higher or missing.

    Returns:
        Row and column of each peak as floats.
    """
    refined = peaks.astype(np.float64)
    for axis in (0, 1):
        step = np.eye(2, dtype=int)[axis]
        inside = (peaks[:, axis] > 0) & (peaks[:, axis] < scores.shape[axis] - 1)
        inner_peaks = peaks[inside]
        values = np.stack([scores[tuple((inner_peaks + i * step).T)] for i in (-1, 0, 1)])
        values = values.astype(float)
        before, centre, after = np.where(np.isfinite(values).all(axis=0), values, 0.0)
        before, after = before - centre, after - centre
        is_peak = (before <= 0) & (after <= 0) & (before + after < 0)
        curvature = np.where(is_peak, before + after, -1.0)
        shift = np.where(is_peak, (before - after) / (2 * curvature), 0.0)
        refined[inside, axis] += shift  # at most half a step, as both neighbours are lower
    return refined


def keep_distance(
    refined: Float[np.ndarray, "peaks 2"],
    peaks: Integer[np.ndarray, "peaks 2"],
    *,
    radius: float,
    spacing_yx: tuple[float, float] = (1.0, 1.0),
) -> Float[np.ndarray, "peaks 2"]:
    """Restore the minimum distance between peaks that refinement moved too close to each other.

    Of two such peaks, the one with the higher score keeps its refined position, so that weak
    peaks around a particle do not displace it. The other returns to the grid and, where that is
    not enough, moves straight away from the stronger one. In the rare cases in which peaks hem
    each other in, they return to the grid, where all are farther apart than the radius.

    Args:
        refined: Rows and columns after `refine_peaks`, in order of descending score.
        peaks: The same peaks before.
        radius: Minimum distance, in the unit of `spacing_yx`.
        spacing_yx: Distance between neighbouring rows and columns.
    """
    grid = peaks * np.array(spacing_yx)
    result = refined * np.array(spacing_yx)
    is_refined = np.ones(len(result), bool)
    is_pinned = np.zeros(len(result), bool)
    moved = np.arange(len(result))
    for attempt in range(2 * _MAX_PUSHES):
        # Rows are in order of score: the later peak of a pair has the lower score. Of each earlier
        # pair, a peak has moved since.
        pairs = _find_close_pairs(result, moved, radius)
        if not len(pairs):
            return result / spacing_yx
        if attempt >= _MAX_PUSHES:
            is_pinned[pairs.ravel()] = True
            result[is_pinned] = grid[is_pinned]
            moved = np.flatnonzero(is_pinned)
            continue
        by_weaker = pairs[np.lexsort(pairs.T)]
        is_first = np.append(True, np.diff(by_weaker[:, 1]) > 0)
        stronger, weaker = by_weaker[is_first].T
        away = np.where(is_refined[weaker, None], 0.0, result[weaker] - result[stronger])
        length = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        pushed = result[stronger] + away / length * radius * (1 + 1e-6)
        result[weaker] = np.where(is_refined[weaker, None], grid[weaker], pushed)
        is_refined[weaker] = False
        moved = weaker
    return peaks.astype(np.float64)


def _find_close_pairs(
    positions: Float[np.ndarray, "points 2"], moved: Integer[np.ndarray, " moved"], radius: float
) -> Integer[np.ndarray, "pairs 2"]:
    """Find the pairs of points at most `radius` apart of which one is among some; may repeat them.

    Points are sorted into square cells of that side, and compared with those of the same cell and
    of four of its neighbours; the other four find the same pairs. A few points are compared with
    all instead.

    Returns:
        Row numbers, the lower one first.
    """
    if len(moved) * len(positions) <= _MAX_DISTANCES:
        difference = positions[moved, None] - positions
        is_close = np.square(difference).sum(axis=2) <= radius**2
        is_close[np.arange(len(moved)), moved] = False
        one, other = np.nonzero(is_close)
        return np.sort(np.stack([moved[one], other], axis=1), axis=1)
    if radius <= 0:
        return np.zeros((0, 2), np.int64)
    row, column = (np.floor((positions - positions.min(axis=0)) / radius).astype(np.int64)).T
    width = int(column.max()) + 2  # an empty column keeps rows of cells apart
    cell = row * width + column
    order = np.argsort(cell, kind="stable")
    cell, positions = cell[order], positions[order]
    pairs = []
    for offset in (0, 1, width - 1, width, width + 1):
        first = np.searchsorted(cell, cell + offset)
        if offset == 0:
            first = np.arange(1, len(cell) + 1)
        count = np.searchsorted(cell, cell + offset, side="right") - first
        one = np.repeat(np.arange(len(cell)), count)
        other = np.arange(len(one)) + np.repeat(first - (np.cumsum(count) - count), count)
        is_close = np.square(positions[one] - positions[other]).sum(axis=1) <= radius**2
        pairs.append(np.stack([one[is_close], other[is_close]], axis=1))
    return np.sort(order[np.concatenate(pairs)], axis=1)
