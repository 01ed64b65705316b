"""Distribution of picks over micrographs and within them.

- `find_outliers`: micrographs with far fewer or far more picks than the others.
- `compute_density`: picks by position on the micrograph.
- `compute_edge_density`: picks by distance to the nearest edge.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Integer

__all__ = ["EdgeDensity", "compute_density", "compute_edge_density", "find_outliers"]

_MAX_Z = 3.5  # robust standard deviations
_MAD = 0.6745  # median absolute deviation of a Gaussian, in standard deviations


def find_outliers(counts: Integer[np.ndarray, " micrographs"]) -> Bool[np.ndarray, " micrographs"]:
    """Find counts far from the median, after a square-root transform.

    The square root of a Poisson count has a standard deviation of about one half, whatever its
    mean; this is also the minimum that is assumed.

    Source: Iglewicz and Hoaglin 1993, "How to detect and handle outliers" (the modified z).

    >>> find_outliers(np.array([100, 104, 97, 101, 3, 99]))
    array([False, False, False, False,  True, False])
    """
    if not len(counts):
        return np.zeros(0, bool)
    roots = np.sqrt(counts)
    deviations = np.abs(roots - np.median(roots))
    scale = max(float(np.median(deviations)) / _MAD, 0.5)
    return deviations / scale > _MAX_Z


def compute_density(
    xy_px: Float[np.ndarray, "picks 2"],
    shape_px: Integer[np.ndarray, "picks 2"],
    cells: int = 24,
) -> Float[np.ndarray, "{cells} {cells}"]:
    """Count picks in each cell of a grid over all micrographs, relative to the mean.

    Args:
        xy_px: Picks of any number of micrographs.
        shape_px: (height, width) of each pick's micrograph.
        cells: Number of cells along each side.
    """
    position = np.clip((xy_px + 0.5) / shape_px[:, ::-1], 0, 1)
    grid, _, _ = np.histogram2d(position[:, 1], position[:, 0], bins=cells, range=((0, 1), (0, 1)))
    return grid / max(grid.mean(), np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class EdgeDensity:
    """Density of picks by distance to the nearest edge, in particle diameters.

    Attributes:
        edges: Limits of the distance bands.
        density: Picks in each band, divided by the number expected for a uniform distribution.
    """

    edges: Float[np.ndarray, " limits"]
    density: Float[np.ndarray, " bands"]


def compute_edge_density(
    xy_px: Float[np.ndarray, "picks 2"],
    index: Integer[np.ndarray, " picks"],
    shape_px: Integer[np.ndarray, "micrographs 2"],
    diameter_px: float,
) -> EdgeDensity:
    """Compare picks in bands along the edges with a uniform distribution on each micrograph.

    Args:
        xy_px: Picks.
        index: Micrograph of each pick.
        shape_px: (height, width) of each micrograph.
        diameter_px: Particle diameter.
    """
    edges = np.arange(0, 4.25, 0.25)
    sizes = shape_px[index][:, ::-1]
    nearest = np.minimum(xy_px + 0.5, sizes - 0.5 - xy_px).min(axis=1) / diameter_px
    observed, _ = np.histogram(np.maximum(nearest, 0), edges)
    expected = np.zeros(len(observed))
    count = np.bincount(index, minlength=len(shape_px))
    for (height, width), picks_on_micrograph in zip(shape_px, count, strict=True):
        inner = np.maximum(height - 2 * edges * diameter_px, 0)
        inner = inner * np.maximum(width - 2 * edges * diameter_px, 0)
        expected += picks_on_micrograph * -np.diff(inner) / (height * width)
    is_expected = expected > 0
    return EdgeDensity(
        edges, np.divide(observed, expected, out=np.full(len(observed), np.nan), where=is_expected)
    )
