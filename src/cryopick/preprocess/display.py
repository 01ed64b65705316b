"""Pictures of micrographs for people: coarser, filtered, in 256 greys.

- `binned`: means of square blocks, several times quicker than a Fourier crop.
- `band_passed`: without waves that are too long or too short to be particles.
- `greys`: floats as bytes around the middle of the picture. `between`: between two values.
"""

import numpy as np

from cryopick.array_types import Float32, Real, UInt8

__all__ = ["band_passed", "between", "binned", "greys"]

_SPREADS = 4.0  # on either side of the middle: a step of grey is then 0.03 spreads


def binned(
    image: Real[np.ndarray, "height width"], factor: int
) -> Float32[np.ndarray, "height//{factor} width//{factor}"]:
    """Means of blocks of `factor` by `factor` pixels; what is left over at the end is dropped.

    Block i has its middle at raw coordinate `factor * i + (factor - 1) / 2`.

    >>> binned(np.arange(10).reshape(2, 5), 2)
    array([[3., 5.]], dtype=float32)
    """
    height, width = (side // factor * factor for side in image.shape)
    # Sums of whole rows first: each pixel is read once, in the order in which it is stored.
    rows = np.array(image[0:height:factor, :width], np.float32)
    for row in range(1, factor):
        rows += image[row:height:factor, :width]
    blocks = rows[:, 0::factor].copy()
    for column in range(1, factor):
        blocks += rows[:, column::factor]
    blocks /= factor**2
    return blocks


def band_passed(
    image: Float32[np.ndarray, "height width"],
    pixel_size_ang: float,
    *,
    low_pass_ang: float | None = None,
    high_pass_ang: float | None = None,
) -> Float32[np.ndarray, "height width"]:
    """Damp waves shorter than one length and longer than another, softly: half at each.

    Args:
        image: Micrograph.
        pixel_size_ang: Ångströms per pixel of it.
        low_pass_ang: Shorter waves go; None keeps them.
        high_pass_ang: Longer waves go; None keeps them.
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


def greys(image: Real[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Bytes in which the picture's middle is 128 and four spreads reach either end.

    Middle and spread are those of the pixels between the 1st and the 99th percentile, so that a
    bead or a border does not decide.
    """
    sample = image[:: max(1, image.shape[0] // 512), :: max(1, image.shape[1] // 512)]
    low, high = np.percentile(sample, [1, 99])
    inner = sample[(sample >= low) & (sample <= high)]
    middle, spread = float(inner.mean()), float(inner.std()) or 1.0
    scaled = np.subtract(image, middle, dtype=np.float32)
    scaled *= 127.5 / (_SPREADS * spread)
    scaled += 128
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def between(
    image: Real[np.ndarray, "height width"], low: float, high: float
) -> UInt8[np.ndarray, "height width"]:
    """Bytes that rise from 0 at `low` and below to 255 at `high` and above.

    >>> between(np.array([[-9.0, 0.0, 6.0]]), -6.0, 6.0)
    array([[  0, 127, 255]], dtype=uint8)
    """
    return (np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)
