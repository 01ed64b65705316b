"""Exclusion regions: polygons on micrographs that training, picking and evaluation ignore.

- `Regions`: the polygons of a set of micrographs.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.picks import Picks

__all__ = ["Regions"]

_COMPARISONS_PER_STEP = 1 << 22  # points times corners; about 30 MB


@dataclass(frozen=True, eq=False)
class Regions:
    """Polygons on micrographs.

    Attributes:
        polygons: Polygons by micrograph name or path. Each is an array of corners (x, y) in
            pixels of the raw micrograph; the last corner connects to the first.

    Raises:
        ValueError: A polygon has fewer than three corners, or a corner that is not finite.
    """

    polygons: Mapping[str, tuple[Float[np.ndarray, "_ 2"], ...]]

    def __post_init__(self) -> None:
        for name, polygons in self.polygons.items():
            for corners in polygons:
                if len(corners) < 3 or not np.isfinite(corners).all():
                    raise ValueError(
                        f"a polygon on {name!r} must have three finite corners or more; "
                        f"got {corners.tolist()}"
                    )

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify these regions."""
        lines = [
            f"{name} {[p.tolist() for p in polygons]}" for name, polygons in self.polygons.items()
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]

    def select_outside(self, picks: Picks) -> Picks:
        """Keep the picks outside all polygons of their micrograph; all micrographs stay."""
        keep = np.ones(len(picks), bool)
        for name, rows in picks.rows_by_micrograph().items():
            keep[rows] = ~self.contains(name, picks.xy_px[rows])
        return picks.select(keep)

    def contains(
        self, micrograph: str, xy_px: Float[np.ndarray, "points 2"]
    ) -> Bool[np.ndarray, " points"]:
        """Test which points (x, y) in raw pixels lie in a polygon of a micrograph.

        A point is inside if a ray from it crosses the outline an odd number of times (even-odd
        rule). With several polygons, being inside any of them is enough.
        """
        inside = np.zeros(len(xy_px), bool)
        for corners in self.polygons.get(micrograph, ()):
            inside |= _contains(corners, xy_px)
        return inside

    def mask(
        self, micrograph: str, shape: tuple[int, int], scale_yx: tuple[float, float]
    ) -> Bool[np.ndarray, "height width"]:
        """Rasterize the polygons of a micrograph: true where a pixel centre is inside.

        Args:
            micrograph: Micrograph name, as in `polygons`.
            shape: Height and width of the grid.
            scale_yx: Raw pixels per grid pixel along y and x.
        """
        inside = np.zeros(shape, bool)
        for corners in self.polygons.get(micrograph, ()):
            low, high = corners.min(0) / scale_yx[::-1], corners.max(0) / scale_yx[::-1]
            left, top = np.clip(np.ceil(low), 0, shape[::-1]).astype(int)
            right, bottom = np.clip(np.floor(high) + 1, 0, shape[::-1]).astype(int)
            if left >= right or top >= bottom:
                continue
            y, x = np.mgrid[top:bottom, left:right]
            points = np.stack([x.ravel() * scale_yx[1], y.ravel() * scale_yx[0]], axis=1)
            inside[top:bottom, left:right] |= _contains(corners, points).reshape(x.shape)
        return inside


def _contains(
    corners: Float[np.ndarray, "corners 2"], xy: Float[np.ndarray, "points 2"]
) -> Bool[np.ndarray, " points"]:
    """Apply the even-odd rule with a horizontal ray to the right of each point."""
    x1, y1 = corners.T
    x2, y2 = np.roll(corners, -1, axis=0).T
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(y1 == y2, 0.0, (x2 - x1) / (y2 - y1))
    inside = np.zeros(len(xy), bool)
    step = max(1, _COMPARISONS_PER_STEP // len(corners))
    for start in range(0, len(xy), step):
        x, y = xy[start : start + step, :1], xy[start : start + step, 1:]
        crosses = ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * slope)
        inside[start : start + step] = crosses.sum(1) % 2 == 1
    return inside
