"""Shrink micrographs in the Fourier domain.

Images are (height, width) with row 0 first. NumPy in, NumPy out: nothing here touches files
or torch. Pixel (0, 0) stays where it is, so `x_raw = x_small * width / new_width`, with no
half-pixel term, and the mean survives. Decision 0002 says why, and what happens at Nyquist.

- `reduced_shape`: the shape that a factor, whole or not, leads to.
- `downsample`: crop the spectrum to a smaller shape.
- `resample`: crop or pad it, each axis on its own.
- `resample_rows`: the same of a micrograph that comes a few rows at a time.
"""

import math
from collections.abc import Callable

import numpy as np

from cryopick.array_types import Complex64, Float32, Real

__all__ = ["downsample", "reduced_shape", "resample", "resample_rows"]

# Rows read and transformed at a time: 64 rows of 4096 float32 pixels are 1 MiB, and their
# spectrum as much again, which the cache of one core holds.
_BLOCK_ROWS = 64


def reduced_shape(shape: tuple[int, int], factor: float | int) -> tuple[int, int]:
    """Shape of an image whose pixels are `factor` times as wide, to the nearest pixel.

    A side that `factor` does not divide is rounded; the scale of that axis is then a little
    off `factor`, and coordinates must use the true ratio of the sides.

    Args:
        shape: Height and width in old pixels.
        factor: Old pixels per new pixel; below 1 asks for a larger image.

    Returns:
        Height and width in new pixels, each at least 1.

    Raises:
        ValueError: `factor` is not a positive finite number.

    >>> reduced_shape((4092, 5760), 8)
    (512, 720)
    """
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"factor must be a positive number; got {factor}")
    height, width = shape
    return max(1, math.floor(height / factor + 0.5)), max(1, math.floor(width / factor + 0.5))


def downsample(
    image: Real[np.ndarray, "height width"], shape: tuple[int, int], *, workers: int = 1
) -> Float32[np.ndarray, "new_height new_width"]:
    """Shrink a micrograph by cropping its Fourier transform.

    The result samples the micrograph, low-passed at the new Nyquist frequency and taken as
    periodic, on the coarser grid: nothing aliases. A memory-mapped image is read once, a
    few rows at a time, and never held whole.

    Args:
        image: Micrograph of any real type and intensity unit; a mean of zero is not required.
        shape: New height and width, each at most the old one; odd or even.
        workers: Threads that share the transforms.

    Returns:
        A new image in the old intensity unit, with the old mean.

    Raises:
        ValueError: A new side is below 1 or longer than the old one.

    Source: Bepler et al. 2019, Nat. Methods 16:1153, online methods.

    >>> downsample(np.full((8, 12), 7.0), (4, 3)).round(4)
    array([[7., 7., 7.],
           [7., 7., 7.],
           [7., 7., 7.],
           [7., 7., 7.]], dtype=float32)
    """
    if any(new > old for new, old in zip(shape, image.shape, strict=True)):
        raise ValueError(
            f"shape must not exceed the image's {image.shape}; got {shape}: use resample to enlarge"
        )
    return resample(image, shape, workers=workers)


def resample(
    image: Real[np.ndarray, "height width"], shape: tuple[int, int], *, workers: int = 1
) -> Float32[np.ndarray, "new_height new_width"]:
    """Bring a micrograph to any shape by cropping or zero-padding its Fourier transform.

    As `downsample`, but a side may also grow: the new pixels then lie on the smoothest
    periodic curve through the old ones, and shrinking back returns the old image.

    Raises:
        ValueError: A new side is below 1.
    """
    return resample_rows(
        lambda start, stop: np.asarray(image[start:stop], dtype=np.float32),
        image.shape,
        shape,
        workers=workers,
    )


def resample_rows(
    rows: Callable[[int, int], Float32[np.ndarray, "rows width"]],
    old_shape: tuple[int, int],
    shape: tuple[int, int],
    *,
    workers: int = 1,
) -> Float32[np.ndarray, "new_height new_width"]:
    """As `resample`, of a micrograph that comes a few rows at a time.

    Args:
        rows: Gives the rows from a first to a last, which is not among them.
        old_shape: Height and width of the micrograph.
        shape: New height and width.
        workers: Threads that share the transforms.
    """
    from scipy import fft

    height, width = old_shape
    new_height, new_width = shape
    if min(shape) < 1:
        raise ValueError(f"shape must be at least 1 x 1 pixels; got {shape}")
    columns = _row_spectra(rows, old_shape, new_width, workers)
    spectrum = fft.fft(columns, axis=0, overwrite_x=True, workers=workers)
    spectrum = _resize_rows(spectrum, new_height)
    columns = fft.ifft(spectrum, axis=0, overwrite_x=True, workers=workers)
    small = fft.irfft(columns, n=new_width, axis=1, workers=workers)
    small *= np.float32((new_height * new_width) / (height * width))
    return small


def _row_spectra(
    rows: Callable[[int, int], Float32[np.ndarray, "rows width"]],
    shape: tuple[int, int],
    new_width: int,
    workers: int,
) -> Complex64[np.ndarray, "height frequencies"]:
    """Transform every row and keep the frequencies that a row of `new_width` pixels can hold."""
    from scipy import fft

    height, width = shape
    kept = min(width, new_width) // 2 + 1
    spectra = np.zeros((height, new_width // 2 + 1), dtype=np.complex64)
    for start in range(0, height, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, height)
        spectra[start:stop, :kept] = fft.rfft(rows(start, stop), workers=workers)[:, :kept]
    if new_width < width and new_width % 2 == 0:
        spectra[:, -1] = 2 * spectra[:, -1].real  # F(+n) + F(-n), conjugates in a real row
    elif new_width > width and width % 2 == 0:
        spectra[:, width // 2] /= 2  # the other half goes to -n, which irfft supplies
    return spectra


def _resize_rows(
    spectrum: Complex64[np.ndarray, "height frequencies"], new_height: int
) -> Complex64[np.ndarray, "new_height frequencies"]:
    """Keep the lowest frequencies along y, or add empty ones; add or halve at Nyquist."""
    height, frequencies = spectrum.shape
    if new_height == height:
        return spectrum
    shared = min(height, new_height)
    positive, negative, nyquist = (shared + 1) // 2, (shared - 1) // 2, shared // 2
    resized = np.zeros((new_height, frequencies), dtype=np.complex64)
    resized[:positive] = spectrum[:positive]
    resized[new_height - negative :] = spectrum[height - negative :]
    if shared % 2 == 0 and new_height < height:
        resized[nyquist] = spectrum[nyquist] + spectrum[height - nyquist]
    elif shared % 2 == 0:
        resized[nyquist] = resized[new_height - nyquist] = spectrum[nyquist] / 2
    return resized
