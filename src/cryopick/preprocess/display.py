"""Preprocess micrographs for display: bin, filter and convert to 8-bit grey levels.

- `bin_pixels`: average square blocks, several times faster than Fourier cropping.
- `filter_band`: band-pass filter.
- `convert_to_greys`: scale to 8 bits by mean and standard deviation.
- `scale_to_bytes`: scale to 8 bits between two values.
"""

import numpy as np

from cryopick.array_types import Float32, Real, UInt8

__all__ = ["bin_pixels", "convert_to_greys", "filter_band", "scale_to_bytes"]

_RANGE_SD = 4.0  # half-width of the grey scale in standard deviations; a level is 0.03 SD


def bin_pixels(
    image: Real[np.ndarray, "height width"], factor: int
) -> Float32[np.ndarray, "height//{factor} width//{factor}"]:
    """Average blocks of `factor` by `factor` pixels; incomplete blocks at the end are dropped.

    The centre of block i is at raw coordinate `factor * i + (factor - 1) / 2`.

    >>> bin_pixels(np.arange(10).reshape(2, 5), 2)
    array([[3., 5.]], dtype=float32)
    """
    height, width = (side // factor * factor for side in image.shape)
    # Sum whole rows first, so that each pixel is read once, in the order of memory.
    rows = np.array(image[0:height:factor, :width], np.float32)
    for row in range(1, factor):
        rows += image[row:height:factor, :width]
    blocks = rows[:, 0::factor].copy()
    for column in range(1, factor):
        blocks += rows[:, column::factor]
    blocks /= factor**2
    return blocks


def filter_band(
    image: Float32[np.ndarray, "height width"],
    pixel_size_ang: float,
    *,
    low_pass_ang: float | None = None,
    high_pass_ang: float | None = None,
) -> Float32[np.ndarray, "height width"]:
    """Apply Gaussian low-pass and high-pass filters; the gain is one half at each cutoff.

    Args:
        image: Micrograph.
        pixel_size_ang: Pixel size in ångströms.
        low_pass_ang: Cutoff wavelength of the low-pass filter in ångströms; None for no filter.
        high_pass_ang: Cutoff wavelength of the high-pass filter in ångströms; None for no filter.
    """
    from scipy import fft

    if low_pass_ang is None and high_pass_ang is None:
        return image
    height, width = image.shape
    mean = image.mean()
    spectrum = fft.rfft2(image - mean)
    y, x = fft.fftfreq(height, pixel_size_ang), fft.rfftfreq(width, pixel_size_ang)
    squared = (np.square(y)[:, None] + np.square(x)[None]).astype(np.float32)
    if low_pass_ang is not None:
        spectrum *= np.exp2(-squared * np.float32(low_pass_ang**2))
    if high_pass_ang is not None:
        spectrum *= 1 - np.exp2(-squared * np.float32(high_pass_ang**2))
    return fft.irfft2(spectrum, s=image.shape) + mean


def convert_to_greys(image: Real[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Scale to bytes: the mean becomes 128, and four standard deviations reach 0 and 255.

    Mean and standard deviation are those of the pixels between the 1st and the 99th percentile,
    so that gold beads and borders have little effect.
    """
    sample = image[:: max(1, image.shape[0] // 512), :: max(1, image.shape[1] // 512)]
    low, high = np.percentile(sample, [1, 99])
    trimmed = sample[(sample >= low) & (sample <= high)]
    mean, sd = float(trimmed.mean()), float(trimmed.std()) or 1.0
    scaled = np.subtract(image, mean, dtype=np.float32)
    scaled *= 127.5 / (_RANGE_SD * sd)
    scaled += 128
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def scale_to_bytes(
    image: Real[np.ndarray, "height width"], low: float, high: float
) -> UInt8[np.ndarray, "height width"]:
    """Scale to bytes linearly, from 0 at `low` and below to 255 at `high` and above.

    >>> scale_to_bytes(np.array([[-9.0, 0.0, 6.0]]), -6.0, 6.0)
    array([[  0, 127, 255]], dtype=uint8)
    """
    return (np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)
