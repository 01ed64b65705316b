"""Where things lie on the specimen: positions that keep their distance.

The canvas is the micrograph with a margin all around, so that particles are cut by the
border and fringes do not wrap from one side to the other. Positions are (x, y) in pixels of
the canvas until `Canvas.to_micrograph` takes the margin away.

- `Canvas`: the micrograph with its margin.
- `Ground`: what is taken, and where a further disc still fits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cryopick.array_types import Bool, Float

__all__ = ["Canvas", "Ground"]

_TRIES = 40  # candidates per position before the ground counts as full


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A micrograph with a margin of `margin_px` before its first pixel and at least as much after.

    Attributes:
        shape: Height and width of the canvas, in pixels.
        inner: Height and width of the micrograph, in pixels.
        margin_px: Rows above and columns left of the micrograph.
        pixel_size_ang: Sampling of both.
    """

    shape: tuple[int, int]
    inner: tuple[int, int]
    margin_px: int
    pixel_size_ang: float

    @classmethod
    def around(cls, inner: tuple[int, int], pixel_size_ang: float, margin_ang: float) -> "Canvas":
        """Add a margin, and as many pixels again as make the Fourier transform quick."""
        from scipy.fft import next_fast_len

        margin = int(np.ceil(margin_ang / pixel_size_ang))
        height, width = (next_fast_len(side + 2 * margin, real=True) for side in inner)
        return cls(
            shape=(height, width), inner=inner, margin_px=margin, pixel_size_ang=pixel_size_ang
        )

    def crop(
        self, image: Float[np.ndarray, "height width"] | Bool[np.ndarray, "height width"]
    ) -> Float[np.ndarray, "inner_h inner_w"] | Bool[np.ndarray, "inner_h inner_w"]:
        """The part of a canvas-sized image that is the micrograph."""
        height, width = self.inner
        start = self.margin_px
        return image[start : start + height, start : start + width]

    def to_micrograph(self, xy_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Positions on the canvas as positions on the micrograph."""
        return xy_px - self.margin_px

    def is_inside(self, xy_px: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Whether positions on the canvas lie on the micrograph, borders included."""
        height, width = self.inner
        position = self.to_micrograph(xy_px)
        x, y = position.T
        return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)

    def draw(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "{count} 2"]:
        """Positions anywhere on the canvas, each as likely as any other."""
        height, width = self.shape
        return rng.uniform((0, 0), (width - 1, height - 1), (count, 2))


@dataclass(kw_only=True)
class Ground:
    """Discs that are taken, to which new ones are added where they touch none.

    Attributes:
        canvas: Where the discs lie.
        is_free: Further rule: whether a disc may lie at these positions at all.
        xy_px: Centres of the discs.
        radius_px: Their radii.
    """

    canvas: Canvas
    is_free: Callable[[Float[np.ndarray, "n 2"]], Bool[np.ndarray, " n"]]
    xy_px: Float[np.ndarray, "discs 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    radius_px: Float[np.ndarray, " discs"] = field(default_factory=lambda: np.zeros(0))

    def take(self, xy_px: Float[np.ndarray, "n 2"], radius_px: Float[np.ndarray, " n"]) -> None:
        """Add discs whether they fit or not."""
        self.xy_px = np.concatenate([self.xy_px, xy_px])
        self.radius_px = np.concatenate([self.radius_px, radius_px])

    def scatter(
        self, rng: np.random.Generator, radius_px: Float[np.ndarray, " n"], *, inside: bool
    ) -> Float[np.ndarray, "placed 2"]:
        """Place discs one after the other at random, none of them on another.

        Args:
            rng: Where the randomness comes from.
            radius_px: Radius of each disc to place.
            inside: Whether their centres go on the micrograph or on the margin around it.

        Returns:
            The centres, fewer than asked where the ground is full.
        """
        before = len(self.xy_px)
        waiting = list(radius_px)
        for _ in range(_TRIES):
            if not waiting:
                break
            drawn = self.canvas.draw(rng, 2 * len(waiting))
            fits = (self.canvas.is_inside(drawn) == inside) & self.is_free(drawn)
            for candidate in drawn[fits]:
                if not waiting:
                    break
                gap = np.hypot(*(self.xy_px - candidate).T)
                if (gap >= self.radius_px + waiting[-1]).all():
                    self.take(candidate[None], np.array([waiting.pop()]))
        return self.xy_px[before:]
