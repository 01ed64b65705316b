"""From the pixels of a raw micrograph to what the network sees, in memory.

Find what holds no image, mend single bad pixels, crop the spectrum, standardise. The same
pixels and settings always give the same result.

- `shrink`: everything but the last step; its result is what a normalisation is fitted to.
- `prepare`: everything.
- `Shrunk`, `Prepared`: a micrograph on coarser pixels, and the way back to raw ones.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Real
from cryopick.preprocess.fourier import reduced_shape, resample_rows
from cryopick.preprocess.mask import find_invalid
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.pixel_repair import Clean

__all__ = ["Prepared", "Shrunk", "prepare", "shrink"]


@dataclass(frozen=True, eq=False)
class _Regridded:
    """A micrograph on other pixels than its own; only its two kinds below are made.

    Attributes:
        image: The pixels.
        usable: Pixels that hold image: no border, no flat patch.
        scale_yx: Raw pixels per pixel of `image`, along y and along x.
        raw_shape: Height and width of the raw micrograph.
    """

    image: Float32[np.ndarray, "height width"]
    usable: Bool[np.ndarray, "height width"]
    scale_yx: tuple[float, float]
    raw_shape: tuple[int, int]

    def to_raw(self, xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Coordinates (x, y) on the raw micrograph of points given in pixels of `image`."""
        return xy * np.array(self.scale_yx[::-1])

    def from_raw(self, xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Coordinates (x, y) in pixels of `image` of points given in raw pixels."""
        return xy / np.array(self.scale_yx[::-1])


class Shrunk(_Regridded):
    """A micrograph on coarser pixels, in its own intensity unit."""


class Prepared(_Regridded):
    """A micrograph on coarser pixels, background mean 0 and spread 1, unusable pixels 0."""


def shrink(
    pixels: Real[np.ndarray, "height width"],
    factor: float | int,
    *,
    span: tuple[float, float] = (-np.inf, np.inf),
    workers: int = 1,
) -> Shrunk:
    """Bring a raw micrograph to coarser pixels, with what holds no image told apart.

    Args:
        pixels: Raw micrograph of any real type, finite; may be memory-mapped. It is read
            a few rows at a time, and left as it is.
        factor: Raw pixels per new pixel; below 1 enlarges.
        span: Least and greatest pixel, if known, which may spare a look at all of them.
        workers: Threads that share the transforms.

    Raises:
        ValueError: `factor` is not a positive number.
    """
    shape = reduced_shape(pixels.shape, factor)
    invalid = find_invalid(pixels)
    clean = Clean.of(pixels, invalid, span)
    (height, width), (new_height, new_width) = pixels.shape, shape
    return Shrunk(
        image=resample_rows(clean.rows, clean.shape, shape, workers=workers),
        usable=invalid.usable(shape),
        scale_yx=(height / new_height, width / new_width),
        raw_shape=(height, width),
    )


def prepare(
    pixels: Real[np.ndarray, "height width"],
    factor: float | int,
    normalization: Normalization,
    *,
    span: tuple[float, float] = (-np.inf, np.inf),
    workers: int = 1,
) -> Prepared:
    """Bring a raw micrograph to what the network sees.

    Args:
        pixels: As for `shrink`.
        factor: As for `shrink`.
        normalization: What the training micrographs share, or a kind that shares nothing.
        span: As for `shrink`.
        workers: Threads that share the transforms.

    Raises:
        ValueError: `factor` is not a positive number.
        MicrographError: No pixel is usable, or nearly all are equal.
    """
    shrunk = shrink(pixels, factor, span=span, workers=workers)
    return Prepared(
        image=normalization.apply(shrunk.image, shrunk.usable),
        usable=shrunk.usable,
        scale_yx=shrunk.scale_yx,
        raw_shape=shrunk.raw_shape,
    )
