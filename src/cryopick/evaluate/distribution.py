"""How picks are spread: over micrographs, and within them.

- `outliers`: micrographs with far fewer or far more picks than the others.
- `density`: picks by place on the micrograph.
- `near_edges`: picks by distance to the nearest edge.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Integer

__all__ = ["NearEdges", "density", "near_edges", "outliers"]

_FAR = 3.5  # robust standard deviations
_MAD = 0.6745  # median absolute deviation of a Gaussian, in standard deviations


def outliers(counts: Integer[np.ndarray, " micrographs"]) -> Bool[np.ndarray, " micrographs"]:
    """Which counts are far from the median, on the scale of their square roots.

    The square root of a Poisson count has nearly the same spread whatever its mean; that spread
    of one half is also the least that is assumed.

    Source: Iglewicz and Hoaglin 1993, "How to detect and handle outliers" (the modified z).

    >>> outliers(np.array([100, 104, 97, 101, 3, 99]))
    array([False, False, False, False,  True, False])
    """
    if not len(counts):
        return np.zeros(0, bool)
    roots = np.sqrt(counts)
    away = np.abs(roots - np.median(roots))
    spread = max(float(np.median(away)) / _MAD, 0.5)
    return away / spread > _FAR


def density(
    xy_px: Float[np.ndarray, "picks 2"],
    shape_px: Integer[np.ndarray, "picks 2"],
    cells: int = 24,
) -> Float[np.ndarray, "{cells} {cells}"]:
    """Picks in each cell of a grid laid over all micrographs, in units of the mean.

    Args:
        xy_px: Picks of any number of micrographs.
        shape_px: (height, width) of each pick's micrograph.
        cells: Cells along each side.
    """
    share = np.clip((xy_px + 0.5) / shape_px[:, ::-1], 0, 1)
    grid, _, _ = np.histogram2d(share[:, 1], share[:, 0], bins=cells, range=((0, 1), (0, 1)))
    return grid / max(grid.mean(), np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class NearEdges:
    """Picks by distance to the nearest edge, in particle diameters.

    Attributes:
        edges: Limits of the bands.
        density: Picks in each band over those expected if they lay anywhere alike.
    """

    edges: Float[np.ndarray, " limits"]
    density: Float[np.ndarray, " bands"]


def near_edges(
    xy_px: Float[np.ndarray, "picks 2"],
    index: Integer[np.ndarray, " picks"],
    shape_px: Integer[np.ndarray, "micrographs 2"],
    diameter_px: float,
) -> NearEdges:
    """Compare the picks in bands along the edges with picks spread evenly over each micrograph.

    Args:
        xy_px: Picks.
        index: The micrograph of each.
        shape_px: (height, width) of each micrograph.
        diameter_px: Particle diameter.
    """
    edges = np.arange(0, 4.25, 0.25)
    room = shape_px[index][:, ::-1]
    nearest = np.minimum(xy_px + 0.5, room - 0.5 - xy_px).min(axis=1) / diameter_px
    found, _ = np.histogram(np.maximum(nearest, 0), edges)
    share = np.zeros(len(found))
    count = np.bincount(index, minlength=len(shape_px))
    for (height, width), many in zip(shape_px, count, strict=True):
        inner = np.maximum(height - 2 * edges * diameter_px, 0)
        inner = inner * np.maximum(width - 2 * edges * diameter_px, 0)
        share += many * -np.diff(inner) / (height * width)
    known = share > 0
    return NearEdges(edges, np.divide(found, share, out=np.full(len(found), np.nan), where=known))
