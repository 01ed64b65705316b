"""Remove strong large-scale variations of the background, such as those of illumination and ice.

Strong contrast is compressed after whitening, so that a bright or dark area would hide its
particles. Ordinary variations are left as they are: only what exceeds 1.5 standard deviations of
the noise is subtracted.

- `subtract_strong_background`: a whitened micrograph without them.
"""

from collections.abc import Callable

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.preprocess.whitening import window_starts

__all__ = ["subtract_strong_background"]

_WINDOW_PX = 64  # about four particle diameters, so that a particle hardly moves the median
_TOLERATED = 1.5  # standard deviations of the noise
_MIN_USABLE_FRAC = 0.3  # of a window


def subtract_strong_background(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    mean: float,
    deviation: float,
) -> Float32[np.ndarray, "height width"]:
    """Subtract the variations of the background that exceed the tolerated ones.

    Args:
        image: Whitened micrograph at the working scale.
        usable: Pixels that contain image.
        mean: Mean of its background.
        deviation: Standard deviation of its noise.

    Returns:
        The image itself if no window exceeds them.
    """
    windows, rows, columns = _average_windows(image, usable, np.mean)
    tolerated = _TOLERATED * deviation
    if not (np.abs(windows - mean) > tolerated).any():
        return image
    windows, rows, columns = _average_windows(image, usable, np.median)
    difference = windows - mean
    difference[~np.isfinite(difference)] = 0
    excess = np.sign(difference) * np.maximum(np.abs(difference) - tolerated, 0)
    if not excess.any():
        return image
    height, width = image.shape
    smooth = _interpolate(rows, height) @ excess @ _interpolate(columns, width).T
    return image - smooth.astype(np.float32)


def _average_windows(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    average: Callable[[np.ndarray], np.floating],
) -> tuple[
    Float[np.ndarray, "rows columns"], Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]
]:
    """Average windows that overlap by half; nan where too few pixels are usable.

    Returns:
        The averages, and the pixels in the middle of the windows along both axes.
    """
    side_y, side_x = (min(length, _WINDOW_PX) for length in image.shape)
    tops = window_starts(image.shape[0], side_y, max(1, side_y // 2))
    lefts = window_starts(image.shape[1], side_x, max(1, side_x // 2))
    averages = np.full((len(tops), len(lefts)), np.nan)
    is_whole = bool(usable.all())  # selecting pixels takes longer than averaging them
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            area = np.s_[top : top + side_y, left : left + side_x]
            inside = image[area] if is_whole else image[area][usable[area]]
            if inside.size > _MIN_USABLE_FRAC * side_y * side_x:
                averages[row, column] = average(inside)
    return averages, np.array(tops) + (side_y - 1) / 2, np.array(lefts) + (side_x - 1) / 2


def _interpolate(positions: Float[np.ndarray, " windows"], length: int) -> np.ndarray:
    """Compute the weights of linear interpolation, `length, windows`; constant at the ends."""
    identity = np.eye(len(positions))
    pixels = np.arange(length)
    return np.stack([np.interp(pixels, positions, unit) for unit in identity], axis=1)
