"""Local normalisation of micrographs before blob detection and template matching.

- `flatten_background`: normalise the local mean and standard deviation, and clip outliers.
"""

import numpy as np

from cryopick.array_types import Bool, Float32

__all__ = ["flatten_background"]

_WINDOW_DIAMETERS = 10.0  # side of the square window, in particle diameters
_PASSES = 2  # of the box filter, so that the edges of the window are smooth
_MIN_USABLE_FRAC = 1e-3  # of the window
_MIN_RELATIVE_SD = 0.2  # of the median SD, so that flat areas are not amplified


def flatten_background(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    diameter_px: float,
    clip_sd: float,
) -> Float32[np.ndarray, "height width"]:
    """Normalise to a local mean of 0 and a local standard deviation of 1, and clip outliers.

    This removes gradients of the ice and limits the contrast of contaminants. Unusable pixels
    are 0.

    Args:
        image: Micrograph in any unit.
        usable: Pixels that contain image.
        diameter_px: Particle diameter; the window is ten times as wide.
        clip_sd: Limit of the values, in local standard deviations.
    """
    if not usable.any():
        return np.zeros_like(image)
    side = max(3, round(_WINDOW_DIAMETERS * diameter_px))
    usable_frac = _compute_local_mean(usable.astype(np.float32), side)
    usable_frac = np.maximum(usable_frac, np.float32(_MIN_USABLE_FRAC))
    low, high = np.percentile(image[usable], [0.1, 99.9])
    clipped = np.where(usable, image.clip(low, high), 0).astype(np.float32)
    centred = np.where(usable, image - _compute_local_mean(clipped, side) / usable_frac, 0)
    centred = centred.clip(low - high, high - low).astype(np.float32)
    local_sd = np.sqrt(_compute_local_mean(np.square(centred), side) / usable_frac)
    local_sd = np.maximum(local_sd, np.float32(_MIN_RELATIVE_SD) * np.median(local_sd[usable]))
    normalised = centred / np.maximum(local_sd, np.finfo(np.float32).tiny)
    return np.clip(normalised, -clip_sd, clip_sd).astype(np.float32)


def _compute_local_mean(
    image: Float32[np.ndarray, "height width"], side: int
) -> Float32[np.ndarray, "height width"]:
    """Apply a box filter twice; the image is mirrored at the edges."""
    from scipy.ndimage import uniform_filter

    for _ in range(_PASSES):
        image = uniform_filter(image, side, mode="reflect")
    return image
