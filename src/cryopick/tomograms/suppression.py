"""Non-maximum suppression in a volume of scores.

- `find_peaks`: peaks in descending order, none within a radius of another.
"""

import numpy as np

from cryopick.array_types import Bool, Float, Integer, Real

__all__ = ["find_peaks", "suppress_neighbours"]


def find_peaks(
    scores: Real[np.ndarray, "z y x"], *, radius: float, threshold: float
) -> tuple[Float[np.ndarray, "peaks 3"], Float[np.ndarray, " peaks"]]:
    """Find the local maxima of a volume of scores, refined to fractions of the grid spacing.

    Of the maxima within `radius` of each other, those with lower scores are removed.

    Args:
        scores: Logits on a grid.
        radius: Minimum distance of peaks in units of the grid.
        threshold: Minimum score.

    Returns:
        Positions (x, y, z) in units of the grid and scores, in descending order of score.
    """
    from scipy.ndimage import maximum_filter

    is_peak = (scores == maximum_filter(scores, size=3, mode="nearest")) & (scores >= threshold)
    peaks = np.argwhere(is_peak)
    values = scores[tuple(peaks.T)].astype(np.float64)
    order = np.lexsort((*peaks.T[::-1], -values))
    peaks, values = peaks[order], values[order]
    positions = _refine(scores, peaks)[:, ::-1]
    keep = suppress_neighbours(positions, radius)
    return positions[keep], values[keep]


def suppress_neighbours(
    positions: Float[np.ndarray, "peaks 3"], radius: float
) -> Bool[np.ndarray, " peaks"]:
    """Select positions in their order, none within a radius of one selected before."""
    from scipy.spatial import cKDTree

    keep = np.ones(len(positions), bool)
    if not len(positions):
        return keep
    tree = cKDTree(positions)
    for row in range(len(positions)):
        if keep[row]:
            near = np.array(tree.query_ball_point(positions[row], radius), dtype=np.int64)
            keep[near[near > row]] = False
    return keep


def _refine(
    scores: Real[np.ndarray, "z y x"], peaks: Integer[np.ndarray, "peaks 3"]
) -> Float[np.ndarray, "peaks 3"]:
    """Move peaks to the maximum of a parabola along each axis, by at most half a step."""
    refined = peaks.astype(np.float64)
    for axis, count in enumerate(scores.shape):
        step = np.eye(3, dtype=np.int64)[axis]
        inner = (peaks[:, axis] > 0) & (peaks[:, axis] < count - 1)
        before, middle, after = (
            scores[tuple((peaks[inner] + shift * step).T)].astype(np.float64)
            for shift in (-1, 0, 1)
        )
        curvature = before - 2 * middle + after
        shift = np.zeros(len(curvature))
        curved = curvature < 0
        shift[curved] = (before - after)[curved] / (2 * curvature[curved])
        refined[inner, axis] += np.clip(shift, -0.5, 0.5)
    return refined
