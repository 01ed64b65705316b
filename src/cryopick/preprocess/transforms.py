"""Fourier transforms of SciPy, without importing all of `scipy.fft`.

Importing `scipy.fft` takes about a quarter of the time of picking a small micrograph, nearly all of
it for modules that its transforms do not use, such as `scipy.special`. The transforms are one
extension module, pocketfft, which is loaded alone. It is not part of SciPy's public interface: if
it is missing or does something else, `scipy.fft` is imported after all. Both give the same numbers.

- `choose_transforms`: the functions, for a number of threads.
- `Transforms`: these functions.
- `next_fast_length`: a length that is fast to transform.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cryopick.array_types import Shaped

__all__ = ["Transforms", "choose_transforms", "next_fast_length"]

_POCKETFFT = "scipy.fft._pocketfft.pypocketfft"
_UNSCALED, _DIVIDED = 0, 2  # by the number of elements

_Array = Shaped[np.ndarray, "..."]
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


def choose_transforms(*, workers: int = 1) -> Transforms:
    """Return the functions.

    Args:
        workers: Number of threads.
    """
    module = _load_pocketfft()
    if module is not None:
        alone = _Pocketfft(module, workers)
        return Transforms(alone.fft, alone.ifft, alone.rfft, alone.irfft, alone.rfft2, alone.irfft2)
    from scipy import fft

    return Transforms(
        partial(fft.fft, overwrite_x=True, workers=workers),
        partial(fft.ifft, overwrite_x=True, workers=workers),
        *(partial(one, workers=workers) for one in (fft.rfft, fft.irfft, fft.rfft2, fft.irfft2)),
    )


@dataclass(frozen=True)
class _Pocketfft:
    """Calls of the extension module, as in `scipy.fft`."""

    module: ModuleType
    workers: int

    def fft(self, x: _Array, axis: int = -1) -> _Array:
        return self._transform_complex(x, axis, True, _UNSCALED)

    def ifft(self, x: _Array, axis: int = -1) -> _Array:
        return self._transform_complex(x, axis, False, _DIVIDED)

    def rfft(self, x: _Array, axis: int = -1) -> _Array:
        x = _align(x)
        spectrum: _Array = self.module.r2c(x, (axis,), True, _UNSCALED, None, self.workers)
        return spectrum

    def irfft(self, x: _Array, n: int, axis: int = -1) -> _Array:
        x = _resize(_align(x), {axis: n // 2 + 1})
        image: _Array = self.module.c2r(x, (axis,), n, False, _DIVIDED, None, self.workers)
        return image

    def rfft2(self, x: _Array, s: tuple[int, int] | None = None) -> _Array:
        x = _align(x) if s is None else _resize(_align(x), {-2: s[0], -1: s[1]})
        spectrum: _Array = self.module.r2c(x, (-2, -1), True, _UNSCALED, None, self.workers)
        return spectrum

    def irfft2(self, x: _Array, s: tuple[int, int]) -> _Array:
        x = _resize(_align(x), {-2: s[0], -1: s[1] // 2 + 1})
        image: _Array = self.module.c2r(x, (-2, -1), s[1], False, _DIVIDED, None, self.workers)
        return image

    def _transform_complex(self, x: _Array, axis: int, forward: bool, norm: int) -> _Array:
        x = _align(x)
        out = x if x.dtype.kind == "c" and x.flags.writeable else None
        result: _Array = self.module.c2c(x, (axis,), forward, norm, out, self.workers)
        return result


def _align(x: _Array) -> _Array:
    """Return a plain array whose numbers lie where the processor reads them."""
    x = np.asarray(x)
    return x.astype(x.dtype.newbyteorder("="), copy=not x.flags.aligned)


def _resize(x: _Array, lengths: dict[int, int]) -> _Array:
    """Crop or zero-pad some axes."""
    shape = list(x.shape)
    for axis, length in lengths.items():
        shape[axis] = length
    if tuple(shape) == x.shape:
        return x
    shared = tuple(slice(min(old, new)) for old, new in zip(x.shape, shape, strict=True))
    resized = np.zeros(shape, x.dtype)
    resized[shared] = x[shared]
    return resized


@cache
def _load_pocketfft() -> ModuleType | None:
    """Load the extension module without its packages; None if it is not as expected."""
    try:
        module = sys.modules.get(_POCKETFFT) or _load_extension(_POCKETFFT)
        image = np.arange(12, dtype=np.float32).reshape(3, 4)
        alone = _Pocketfft(module, 1)
        spectrum = alone.rfft2(image)
        is_expected = np.allclose(spectrum, np.fft.rfft2(image), atol=1e-4)
        is_expected &= np.allclose(alone.irfft2(spectrum, s=(3, 4)), image, atol=1e-4)
        columns = alone.ifft(alone.fft(spectrum.copy(), axis=0), axis=0)
        is_expected &= np.allclose(columns, spectrum, atol=1e-4)
        is_expected &= spectrum.dtype == columns.dtype == np.complex64
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, IndexError):
        return None
    return module if is_expected else None


def _load_extension(name: str) -> ModuleType:
    """Load an extension module of an installed package by its file.

    Raises:
        ImportError: There is no such file.
    """
    package, *parts = name.split(".")
    package_spec = find_spec(package)
    if package_spec is None or not package_spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    folder = Path(package_spec.submodule_search_locations[0], *parts[:-1])
    for suffix in EXTENSION_SUFFIXES:
        path = folder / f"{parts[-1]}{suffix}"
        spec = spec_from_file_location(name, path) if path.is_file() else None
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[name] = module  # a later import of scipy.fft uses it as well
            return module
    raise ImportError(f"{name}: there is no such extension module")


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
