"""Preprocess a raw micrograph in memory, up to the input of the network.

The steps are: mask borders and flat patches, repair isolated bad pixels, crop the Fourier
transform, normalise. The result is a deterministic function of the pixels and the settings.

- `rescale_micrograph`: all steps except normalisation; a normalisation is fitted to its result.
- `prepare_micrograph`: all steps.
- `RescaledMicrograph`, `PreparedMicrograph`: the results, with conversion of coordinates.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Real
from cryopick.preprocess.extreme_values import scale_extreme_values
from cryopick.preprocess.fourier import reduced_shape, resample_rows
from cryopick.preprocess.mask import find_invalid
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.pixel_repair import CleanedMicrograph
from cryopick.preprocess.working_size import check_working_size

__all__ = ["PreparedMicrograph", "RescaledMicrograph", "prepare_micrograph", "rescale_micrograph"]


@dataclass(frozen=True, eq=False)
class _ResampledImage:
    """Abstract base: a micrograph on a new pixel grid.

    Attributes:
        image: Intensities on the new grid.
        usable: Pixels that contain image, outside borders and flat patches.
        scale_yx: Raw pixels per pixel of `image`, along y and along x.
        raw_shape: Height and width of the raw micrograph.
    """

    image: Float32[np.ndarray, "height width"]
    usable: Bool[np.ndarray, "height width"]
    scale_yx: tuple[float, float]
    raw_shape: tuple[int, int]

    def to_raw(self, xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Convert coordinates (x, y) from pixels of `image` to raw pixels."""
        return xy * np.array(self.scale_yx[::-1])

    def from_raw(self, xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Convert coordinates (x, y) from raw pixels to pixels of `image`."""
        return xy / np.array(self.scale_yx[::-1])


class RescaledMicrograph(_ResampledImage):
    """A micrograph at the working scale, in its original intensity unit unless that is extreme."""


class PreparedMicrograph(_ResampledImage):
    """A micrograph at the working scale, background mean 0 and SD 1; unusable pixels are 0."""


def rescale_micrograph(
    pixels: Real[np.ndarray, "height width"],
    factor: float | int,
    *,
    span: tuple[float, float] = (-np.inf, np.inf),
    workers: int = 1,
) -> RescaledMicrograph:
    """Mask, repair and resample a raw micrograph.

    Args:
        pixels: Raw micrograph of any real type, finite; may be memory-mapped. It is read
            a few rows at a time and not modified.
        factor: Raw pixels per new pixel; below 1 enlarges.
        span: Minimum and maximum pixel, if known; may make the search for bad pixels unnecessary.
        workers: Number of FFT threads.

    Raises:
        ValueError: `factor` is not a positive number.
        MicrographError: A particle is too small or too large at this factor.
    """
    shape = reduced_shape(pixels.shape, factor)
    check_working_size(factor, pixels.shape, shape)
    pixels, span = scale_extreme_values(pixels, span)
    invalid = find_invalid(pixels)
    cleaned = CleanedMicrograph.from_pixels(pixels, invalid, span)
    (height, width), (new_height, new_width) = pixels.shape, shape
    return RescaledMicrograph(
        image=resample_rows(cleaned.rows, cleaned.shape, shape, workers=workers),
        usable=invalid.usable(shape),
        scale_yx=(height / new_height, width / new_width),
        raw_shape=(height, width),
    )


def prepare_micrograph(
    pixels: Real[np.ndarray, "height width"],
    factor: float | int,
    normalization: Normalization,
    *,
    span: tuple[float, float] = (-np.inf, np.inf),
    workers: int = 1,
) -> PreparedMicrograph:
    """Mask, repair, resample and normalise a raw micrograph: the input of the network.

    Args:
        pixels: As for `rescale_micrograph`.
        factor: As for `rescale_micrograph`.
        normalization: Normalisation fitted to the training micrographs, or a method
            that is fitted to each micrograph.
        span: As for `rescale_micrograph`.
        workers: Number of FFT threads.

    Raises:
        ValueError: `factor` is not a positive number.
        MicrographError: No pixel is usable, or nearly all are equal.
    """
    rescaled = rescale_micrograph(pixels, factor, span=span, workers=workers)
    return PreparedMicrograph(
        image=normalization.apply(rescaled.image, rescaled.usable),
        usable=rescaled.usable,
        scale_yx=rescaled.scale_yx,
        raw_shape=rescaled.raw_shape,
    )
