"""Make micrographs alike everywhere, before particles are looked for.

- `flatten`: the same local mean and spread everywhere, and nothing extreme.
"""

import numpy as np

from cryopick.array_types import Bool, Float32

__all__ = ["flatten"]

_LOCAL = 10.0  # diameters across the square whose mean and spread are the local ones
_PASSES = 2  # of that square, so that no edge of it shows
_LEAST_COVER = 1e-3  # share of the square that must be usable
_LEAST_SPREAD = 0.2  # of the usual one: where there is no more, nothing is raised from noise


def flatten(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    diameter_px: float,
    clip_sd: float,
) -> Float32[np.ndarray, "height width"]:
    """Give every neighbourhood a mean of 0 and a spread of 1, and cut off what is extreme.

    Gradients of the ice go, and a drop of ice counts no more than a particle. What is not
    usable is 0.

    Args:
        image: Micrograph in any unit.
        usable: Pixels that hold image.
        diameter_px: Particle diameter; a neighbourhood is ten times as wide.
        clip_sd: Where values are cut off, in spreads.
    """
    if not usable.any():
        return np.zeros_like(image)
    side = max(3, round(_LOCAL * diameter_px))
    cover = _local_mean(usable.astype(np.float32), side)
    inside = np.maximum(cover, np.float32(_LEAST_COVER))
    low, high = np.percentile(image[usable], [0.1, 99.9])
    level = np.where(usable, image.clip(low, high), 0).astype(np.float32)
    centred = np.where(usable, image - _local_mean(level, side) / inside, 0)
    centred = centred.clip(low - high, high - low).astype(np.float32)
    spread = np.sqrt(_local_mean(np.square(centred), side) / inside)
    spread = np.maximum(spread, np.float32(_LEAST_SPREAD) * np.median(spread[usable]))
    flat = centred / np.maximum(spread, np.finfo(np.float32).tiny)
    return np.clip(flat, -clip_sd, clip_sd).astype(np.float32)


def _local_mean(
    image: Float32[np.ndarray, "height width"], side: int
) -> Float32[np.ndarray, "height width"]:
    """Mean over a square, twice; beyond the edges lies the image mirrored."""
    from scipy.ndimage import uniform_filter

    for _ in range(_PASSES):
        image = uniform_filter(image, side, mode="reflect")
    return image
