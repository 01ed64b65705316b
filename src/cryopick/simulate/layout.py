"""Random positions of objects on the specimen with minimum distances.

The canvas is the micrograph with a margin on all sides, so that particles can be cut by the edge
of the micrograph and CTF fringes do not wrap around. Positions are (x, y) in pixels of the canvas;
`Canvas.to_micrograph` subtracts the margin.

- `Canvas`: the micrograph with its margin.
- `DiscPacking`: non-overlapping discs at random positions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cryopick.array_types import Bool, Float

__all__ = ["Canvas", "DiscPacking"]

_MAX_TRIES = 40  # rounds of random candidates before placement stops


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A micrograph with a margin of at least `margin_px` on all sides.

    Attributes:
        shape: Height and width of the canvas, in pixels.
        inner: Height and width of the micrograph, in pixels.
        margin_px: Rows above and columns left of the micrograph.
        pixel_size_ang: Pixel size in ångströms.
    """

    shape: tuple[int, int]
    inner: tuple[int, int]
    margin_px: int
    pixel_size_ang: float

    @classmethod
    def with_margin(
        cls, inner: tuple[int, int], pixel_size_ang: float, margin_ang: float
    ) -> "Canvas":
        """Add a margin, extended to a size with a fast Fourier transform."""
        from scipy.fft import next_fast_len

        margin = int(np.ceil(margin_ang / pixel_size_ang))
        height, width = (next_fast_len(side + 2 * margin, real=True) for side in inner)
        return cls(
            shape=(height, width), inner=inner, margin_px=margin, pixel_size_ang=pixel_size_ang
        )

    def crop(
        self, image: Float[np.ndarray, "height width"] | Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "inner_h inner_w"] | Bool[np.ndarray, "inner_h inner_w"]:
        """Crop an image of the canvas to the micrograph."""
        height, width = self.inner
        start = self.margin_px
        return image[start : start + height, start : start + width]

    def to_micrograph(self, xy_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Convert positions on the canvas to positions on the micrograph."""
        return xy_px - self.margin_px

    def is_inside(self, xy_px: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Return true for positions on the canvas that are on the micrograph or its edge."""
        height, width = self.inner
        position = self.to_micrograph(xy_px)
        x, y = position.T
        return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)

    def draw(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "{count} 2"]:
        """Draw positions uniformly over the canvas."""
        height, width = self.shape
        return rng.uniform((0, 0), (width - 1, height - 1), (count, 2))


@dataclass(kw_only=True)
class DiscPacking:
    """Discs on a canvas; new ones are added at random without overlap.

    Attributes:
        canvas: The canvas.
        is_free: Function that returns true for positions where a disc is allowed.
        xy_px: Centres of the discs.
        radius_px: Radii of the discs.
    """

    canvas: Canvas
    is_free: Callable[[Float[np.ndarray, "n 2"]], Bool[np.ndarray, " n"]]
    xy_px: Float[np.ndarray, "discs 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    radius_px: Float[np.ndarray, " discs"] = field(default_factory=lambda: np.zeros(0))

    def add(self, xy_px: Float[np.ndarray, "n 2"], radius_px: Float[np.ndarray, " n"]) -> None:
        """Add discs without checking for overlap."""
        self.xy_px = np.concatenate([self.xy_px, xy_px])
        self.radius_px = np.concatenate([self.radius_px, radius_px])

    def scatter(
        self, rng: np.random.Generator, radius_px: Float[np.ndarray, " n"], *, inside: bool
    ) -> Float[np.ndarray, "placed 2"]:
        """Place discs one by one at random positions without overlap.

        Args:
            rng: Random generator.
            radius_px: Radius of each disc to place.
            inside: Place the centres on the micrograph; otherwise on the margin.

        Returns:
            The centres; fewer than requested if there is no room.
        """
        first_new = len(self.xy_px)
        pending = list(radius_px)
        for _ in range(_MAX_TRIES):
            if not pending:
                break
            candidates = self.canvas.draw(rng, 2 * len(pending))
            is_allowed = (self.canvas.is_inside(candidates) == inside) & self.is_free(candidates)
            for candidate in candidates[is_allowed]:
                if not pending:
                    break
                distance = np.hypot(*(self.xy_px - candidate).T)
                if (distance >= self.radius_px + pending[-1]).all():
                    self.add(candidate[None], np.array([pending.pop()]))
        return self.xy_px[first_new:]
