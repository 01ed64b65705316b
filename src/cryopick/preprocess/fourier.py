"""Fourier resampling: crop or zero-pad the Fourier transform of a micrograph.

Images are (height, width) arrays. Pixel (0, 0) keeps its position, so
`x_raw = x_new * width / new_width` without a half-pixel term, and the mean is preserved.
Decision 0002 gives the reasons and the treatment of the Nyquist frequency.

- `reduced_shape`: shape of an image after downsampling by a factor.
- `downsample`: Fourier-crop an image to a smaller shape.
- `resample`: Fourier-crop or zero-pad each axis.
- `resample_rows`: resample a micrograph that is read a few rows at a time.
"""

import math
from collections.abc import Callable

import numpy as np

from cryopick.array_types import Complex64, Float32, Real
from cryopick.preprocess.transforms import Transforms, choose_transforms

__all__ = ["downsample", "reduced_shape", "resample", "resample_rows"]

# Rows transformed at a time: 64 rows of 4096 float32 pixels and their spectrum are 1 MiB each and
# fit the cache of one core.
_BLOCK_ROWS = 64


def reduced_shape(shape: tuple[int, int], factor: float | int) -> tuple[int, int]:
    """Compute the shape of an image after downsampling by `factor`, to the nearest pixel.

    A side that is not a multiple of `factor` is rounded. The scale of that axis then differs
    slightly from `factor`, so coordinates must use the ratio of the sides.

    Args:
        shape: Height and width in old pixels.
        factor: Old pixels per new pixel; below 1 enlarges the image.

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
    """Downsample a micrograph by cropping its Fourier transform, without aliasing.

    The result samples the periodic micrograph, low-pass filtered at the new Nyquist frequency.
    A memory-mapped image is read once, a few rows at a time.

    Args:
        image: Micrograph of any real type and intensity unit; its mean need not be 0.
        shape: New height and width, odd or even, at most those of the image.
        workers: Number of FFT threads.

    Returns:
        A new image with the same intensity unit and mean.

    Raises:
        ValueError: A new side is below 1 or longer than the side of the image.

    Source: Bepler et al. 2019, Nat. Methods 16:1153, online methods.

    >>> downsample(np.full((8, 12), 7.0), (4, 3)).round(4)
    array([[7., 7., 7.],
           [7., 7., 7.],
           [7., 7., 7.],
           [7., 7., 7.]], dtype=float32)
    """
    if any(new > old for new, old in zip(shape, image.shape, strict=True)):
        raise ValueError(
            f"shape must not exceed that of the image, {image.shape}; got {shape}: "
            "use resample to enlarge"
        )
    return resample(image, shape, workers=workers)


def resample(
    image: Real[np.ndarray, "height width"], shape: tuple[int, int], *, workers: int = 1
) -> Float32[np.ndarray, "new_height new_width"]:
    """Resample a micrograph to any shape by cropping or zero-padding its Fourier transform.

    Unlike in `downsample`, a side may also become longer. The new pixels then follow from
    trigonometric interpolation, and downsampling restores the original image.

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
    """Resample a micrograph that is read a few rows at a time; see `resample`.

    Args:
        rows: Function that returns the rows from a start to an exclusive stop.
        old_shape: Height and width of the micrograph.
        shape: New height and width.
        workers: Number of FFT threads.
    """
    height, width = old_shape
    new_height, new_width = shape
    if min(shape) < 1:
        raise ValueError(f"shape must be at least 1 x 1 pixels; got {shape}")
    transforms = choose_transforms(workers=workers)
    columns = _transform_rows(rows, old_shape, new_width, transforms)
    spectrum = _resize_rows(transforms.fft(columns, axis=0), new_height)
    resampled = transforms.irfft(transforms.ifft(spectrum, axis=0), n=new_width, axis=1)
    resampled *= np.float32((new_height * new_width) / (height * width))
    return resampled


def _transform_rows(
    rows: Callable[[int, int], Float32[np.ndarray, "rows width"]],
    shape: tuple[int, int],
    new_width: int,
    transforms: Transforms,
) -> Complex64[np.ndarray, "height frequencies"]:
    """Transform every row and crop it to the frequencies of a row of `new_width` pixels."""
    height, width = shape
    frequencies = min(width, new_width) // 2 + 1
    spectra = np.zeros((height, new_width // 2 + 1), dtype=np.complex64)
    for start in range(0, height, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, height)
        spectrum = transforms.rfft(rows(start, stop))
        spectra[start:stop, :frequencies] = spectrum[:, :frequencies]
    if new_width < width and new_width % 2 == 0:
        spectra[:, -1] = 2 * spectra[:, -1].real  # F(+n) + F(-n), which are complex conjugates
    elif new_width > width and width % 2 == 0:
        spectra[:, width // 2] /= 2  # irfft adds the other half at -n
    return spectra


def _resize_rows(
    spectrum: Complex64[np.ndarray, "height frequencies"], new_height: int
) -> Complex64[np.ndarray, "new_height frequencies"]:
    """Crop or zero-pad the frequencies along y; add or halve the Nyquist frequency."""
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
