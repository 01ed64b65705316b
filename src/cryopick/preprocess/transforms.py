"""Fourier transforms by NumPy for small images, and by SciPy for others.

SciPy's are about twice as fast, but importing them takes a sixth of the processor time of picking
one small micrograph. The choice depends only on the size and on NumPy's version, so that the same
image always gives the same numbers.

- `choose_transforms`: the functions for an image.
- `Transforms`: these functions.
- `next_fast_length`: a length that is fast to transform.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

__all__ = ["Transforms", "choose_transforms", "next_fast_length"]

_MAX_NUMPY_PIXELS = 1 << 18  # 512 x 512

_Transform = Callable[..., np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Transforms:
    """Fourier transforms with the arguments of those of NumPy, which keep single precision.

    `fft` and `ifft` may overwrite their input.
    """

    fft: _Transform
    ifft: _Transform
    rfft: _Transform
    irfft: _Transform
    rfft2: _Transform
    irfft2: _Transform


def choose_transforms(pixels: int, *, workers: int = 1) -> Transforms:
    """Return the functions for images of a size.

    Args:
        pixels: Number of pixels of the image.
        workers: Number of threads, for images that are not small.
    """
    if pixels <= _MAX_NUMPY_PIXELS and _numpy_keeps_single_precision():
        names = ("fft", "ifft", "rfft", "irfft", "rfft2", "irfft2")
        return Transforms(*(getattr(np.fft, name) for name in names))
    from scipy import fft

    return Transforms(
        partial(fft.fft, overwrite_x=True, workers=workers),
        partial(fft.ifft, overwrite_x=True, workers=workers),
        *(partial(one, workers=workers) for one in (fft.rfft, fft.irfft, fft.rfft2, fft.irfft2)),
    )


def _numpy_keeps_single_precision() -> bool:
    return int(np.__version__.partition(".")[0]) >= 2  # earlier versions compute in double


def next_fast_length(length: int) -> int:
    """Return the smallest length of at least `length` with no prime factor above 5.

    >>> next_fast_length(97), next_fast_length(512)
    (100, 512)
    """
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest and rest % factor == 0:
                rest //= factor
        if rest <= 1:
            return length
        length += 1
