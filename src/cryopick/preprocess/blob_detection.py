"""Blob detection with differences of Gaussians.

Images are (height, width) arrays; blobs are bright.

- `difference_of_gaussians`: response to blobs of one size.
- `multiscale_blob_response`: mean response to blobs of several sizes.
"""

import numpy as np

from cryopick.array_types import Bool, Float32

__all__ = ["difference_of_gaussians", "multiscale_blob_response"]

# Standard deviations in particle diameters, from thin domains to the whole particle.
_SIGMAS_FRAC = (0.06, 0.09, 0.13, 0.19, 0.27)
_RATIO = 1.2


def difference_of_gaussians(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    sigma_px: float,
    ratio: float,
) -> Float32[np.ndarray, "height width"]:
    """Filter an image with a narrow minus a wide Gaussian.

    The result has maxima at the centres of bright blobs. Its unit is its standard deviation over
    the usable pixels.

    Args:
        image: Image with bright particles and a mean of about 0.
        usable: Pixels that contain image.
        sigma_px: Standard deviation of the narrow Gaussian.
        ratio: Standard deviation of the wide Gaussian over that of the narrow one.

    Source: Voss et al. 2009, "DoG Picker and TiltPicker", J. Struct. Biol. 166:205.
    """
    from scipy.ndimage import gaussian_filter

    narrow = gaussian_filter(image, sigma_px, mode="reflect")
    response = narrow - gaussian_filter(image, sigma_px * ratio, mode="reflect")
    sd = float(response[usable].std()) if usable.any() else 0.0
    return response / np.float32(sd) if sd > 0 else np.zeros_like(response)


def multiscale_blob_response(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    diameter_px: float,
) -> Float32[np.ndarray, "height width"]:
    """Average differences of Gaussians of five sizes, from thin domains to whole particles.

    A compact particle responds to one size, an elongated or branched one to several. The mean is
    not optimal for either, but works for both.

    Args:
        image: Image with bright particles and a mean of about 0.
        usable: Pixels that contain image.
        diameter_px: Longest extent of a particle.
    """
    responses = [
        difference_of_gaussians(image, usable, sigma_px=sigma * diameter_px, ratio=_RATIO)
        for sigma in _SIGMAS_FRAC
    ]
    return np.asarray(np.mean(responses, axis=0, dtype=np.float32))
