"""From a map of scores to particles: greedy suppression and sub-pixel peaks.

- `halved`: the map on a grid twice as fine.
- `suppress`: the highest place, then the highest not within the radius of one taken, ….
- `refine`: the summit of the parabola through a peak and its neighbours.
"""

import numpy as np

from cryopick.array_types import Float, Float32, Integer, Real

__all__ = ["halved", "refine", "suppress"]

_MIDWAY = (150 / 256, -25 / 256, 3 / 256)  # of the nearest two values, the next two, and the next


def halved(
    scores: Float32[np.ndarray, "rows columns"],
) -> Float32[np.ndarray, "2*rows-1 2*columns-1"]:
    """Put a place between every two of a map.

    The new ones lie on the polynomial of fifth degree through three values on either side; beyond
    its edges the map is mirrored through the last value. The old ones keep their values.
    """
    reach = len(_MIDWAY) - 1
    for axis in (0, 1):
        along = np.moveaxis(scores, axis, 0)
        finer = np.empty((2 * len(along) - 1, along.shape[1]), np.float32)
        finer[::2] = along
        ends = np.pad(along, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
        gaps = len(along) - 1
        finer[1::2] = 0
        for near, weight in enumerate(_MIDWAY):
            before, after = reach - near, reach + 1 + near
            pair = ends[before : before + gaps] + ends[after : after + gaps]
            finer[1::2] += np.float32(weight) * pair
        scores = np.moveaxis(finer, 0, axis)
    return np.ascontiguousarray(scores)


def suppress(
    scores: Real[np.ndarray, "rows columns"],
    *,
    radius: float,
    threshold: float = -np.inf,
    spacing_yx: tuple[float, float] = (1.0, 1.0),
) -> Integer[np.ndarray, "peaks 2"]:
    """Choose places greedily from the highest score down, none within `radius` of another.

    Equal scores are taken in reading order: by row, then by column. Scores that are not
    finite are never chosen.

    Args:
        scores: Logits on a grid.
        radius: Distance at which and below which a place is suppressed by a chosen one, in
            the unit of `spacing_yx`.
        threshold: Places below this score are not chosen.
        spacing_yx: Distance between neighbouring rows and columns.

    Returns:
        Row and column of each chosen place, by descending score.

    Source: Bepler et al. 2019, Methods, non-maximum suppression algorithm.
    """
    height, width = scores.shape
    places = np.flatnonzero(np.isfinite(scores) & (scores >= threshold))
    order = _by_score(scores.ravel()[places], places)
    reach_y, reach_x = (int(np.ceil(radius / step)) for step in spacing_yx)
    # A margin as wide as the disc lets every disc be stamped whole: nothing wraps.
    stamp_y, stamp_x = np.mgrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1]
    near = (stamp_y * spacing_yx[0]) ** 2 + (stamp_x * spacing_yx[1]) ** 2 <= radius**2
    padded_width = width + 2 * reach_x
    disc = ((stamp_y * padded_width) + stamp_x)[near]
    taken = np.zeros((height + 2 * reach_y) * padded_width, bool)
    rows, columns = np.divmod(order, width)
    inner = (rows + reach_y) * padded_width + columns + reach_x
    chosen = []
    # Places are looked at in blocks that shrink to what is still free, so that the many
    # suppressed ones cost no more than an array lookup.
    for start in range(0, len(order), 4096):
        block = inner[start : start + 4096]
        for offset in np.flatnonzero(~taken[block]).tolist():
            place = block[offset]
            if not taken[place]:
                taken[place + disc] = True
                chosen.append(start + offset)
    return np.stack([rows[chosen], columns[chosen]], axis=1)


def _by_score(
    scores: Real[np.ndarray, " places"], places: Integer[np.ndarray, " places"]
) -> Integer[np.ndarray, " places"]:
    """Places by descending score, equal ones by their number."""
    if scores.dtype != np.float32:
        # Sorted from the back, as negation would wrap unsigned scores and break ties backwards.
        return places[::-1][np.argsort(scores[::-1], kind="stable")][::-1]
    # Score and place as one whole number, since those sort five times as fast: the bits of a float
    # rise with it, once those of the negative ones are turned over.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)  # the sum makes 0 of -0
    bits ^= (bits >> 31) & 0x7FFFFFFF
    keys = np.sort((bits << 32) | (0xFFFFFFFF - places))[::-1]
    return 0xFFFFFFFF - (keys & 0xFFFFFFFF)


def refine(
    scores: Real[np.ndarray, "rows columns"], peaks: Integer[np.ndarray, "peaks 2"]
) -> Float[np.ndarray, "peaks 2"]:
    """Move peaks to the summit of a parabola along each axis, by at most half a step.

    Where the neighbours do not lie lower on both sides, or one is missing, the place stays.

    Returns:
        (row, column) of each peak as floats.
    """
    refined = peaks.astype(np.float64)
    for axis in (0, 1):
        step = np.eye(2, dtype=int)[axis]
        inside = (peaks[:, axis] > 0) & (peaks[:, axis] < scores.shape[axis] - 1)
        here = peaks[inside]
        three = np.stack([scores[tuple((here + i * step).T)] for i in (-1, 0, 1)]).astype(float)
        before, middle, after = np.where(np.isfinite(three).all(axis=0), three, 0.0)
        before, after = before - middle, after - middle
        is_peak = (before <= 0) & (after <= 0) & (before + after < 0)
        curvature = np.where(is_peak, before + after, -1.0)
        shift = np.where(is_peak, (before - after) / (2 * curvature), 0.0)
        refined[inside, axis] += shift  # both sides lower: never more than half a step
    return refined
