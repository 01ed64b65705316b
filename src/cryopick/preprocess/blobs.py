"""Tell blobs from their surroundings by differences of Gaussians.

Images are (height, width); blobs are bright.

- `difference_of_gaussians`: how much each place looks like the middle of a blob of one size.
- `standing_out`: the same for a particle whose parts may be of any size.
"""

import numpy as np

from cryopick.array_types import Bool, Float32

__all__ = ["difference_of_gaussians", "standing_out"]

# Standard deviations in particle diameters, from the thickness of a thin arm to a whole particle.
_SIZES = (0.06, 0.09, 0.13, 0.19, 0.27)
_RATIO = 1.2


def difference_of_gaussians(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    sigma_px: float,
    ratio: float,
) -> Float32[np.ndarray, "height width"]:
    """Blur an image by two Gaussians and subtract the wider from the narrower.

    The result peaks in the middle of bright blobs; in units of its own spread over the
    usable pixels, which noise and blobs make together.

    Args:
        image: Particles bright, mean about 0.
        usable: Pixels that hold image.
        sigma_px: Standard deviation of the narrower Gaussian.
        ratio: The wider one's over that.

    Source: Voss et al. 2009, "DoG Picker and TiltPicker", J. Struct. Biol. 166:205.
    """
    from scipy.ndimage import gaussian_filter

    narrow = gaussian_filter(image, sigma_px, mode="reflect")
    response = narrow - gaussian_filter(image, sigma_px * ratio, mode="reflect")
    spread = float(response[usable].std()) if usable.any() else 0.0
    return response / np.float32(spread) if spread > 0 else np.zeros_like(response)


def standing_out(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    diameter_px: float,
) -> Float32[np.ndarray, "height width"]:
    """The mean of differences of Gaussians of five sizes, from thin parts to whole particles.

    A compact particle answers to one size, a long or branched one a little to several: the mean
    suits neither best, and none badly.

    Args:
        image: Particles bright, mean about 0.
        usable: Pixels that hold image.
        diameter_px: Longest extent of a particle.
    """
    answers = [
        difference_of_gaussians(image, usable, sigma_px=size * diameter_px, ratio=_RATIO)
        for size in _SIZES
    ]
    return np.asarray(np.mean(answers, axis=0, dtype=np.float32))
