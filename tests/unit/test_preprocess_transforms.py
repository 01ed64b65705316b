import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from cryopick.preprocess import transforms
from cryopick.preprocess.transforms import choose_transforms, next_fast_length

ALONE = """
import sys
from cryopick.preprocess import transforms
assert isinstance(transforms.choose_transforms().rfft2.__self__, transforms._Pocketfft)
assert "scipy" not in sys.modules
import numpy, scipy.fft
image = numpy.ones((4, 6), numpy.float32)
assert (scipy.fft.rfft2(image) == transforms.choose_transforms().rfft2(image)).all()
"""


@pytest.fixture(autouse=True)
def forget_loaded_module():
    transforms._load_pocketfft.cache_clear()
    yield
    transforms._load_pocketfft.cache_clear()


def transform(workers=1, kind=np.float32):
    """Apply all functions to one image."""
    image = np.random.default_rng(0).normal(size=(48, 50)).astype(kind)
    use = choose_transforms(workers=workers)
    spectrum, rows = use.rfft2(image, s=(50, 54)), use.rfft(image)
    columns = use.ifft(use.fft(rows.copy(), axis=0), axis=0)
    return (
        *(spectrum, rows, columns, use.rfft2(image), use.irfft2(spectrum, s=(50, 54))),
        *(use.irfft2(spectrum, s=(40, 60)), use.irfft(rows, n=50, axis=1), use.irfft(rows, n=64)),
    )


def transform_with_scipy(monkeypatch, workers=1, kind=np.float32):
    with monkeypatch.context() as patch:
        patch.setattr(transforms, "_load_pocketfft", lambda: None)
        return transform(workers, kind)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_numbers_are_those_of_scipy(workers, kind, monkeypatch):
    ours, expected = transform(workers, kind), transform_with_scipy(monkeypatch, workers, kind)

    for one, other in zip(ours, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [">f4", "<f4"])
@pytest.mark.parametrize("offset", [0, 1])
def test_numbers_may_lie_anywhere_in_memory(kind, offset):
    image = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    stored = np.zeros(image.nbytes + offset, np.uint8)[offset:].view(kind).reshape(image.shape)
    stored[:] = image

    np.testing.assert_array_equal(choose_transforms().rfft(stored), choose_transforms().rfft(image))


def test_scipy_is_not_imported_but_can_be_later():
    subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=60)


@pytest.mark.parametrize(
    "functions",
    [
        {},
        {"r2c": lambda *_: np.zeros((3, 3), np.complex64)},
        {"r2c": lambda x, *_: np.fft.rfft2(x), "c2r": lambda x: x},
    ],
    ids=["missing", "other numbers", "other arguments"],
)
def test_scipy_is_used_if_its_extension_module_is_not_as_expected(functions, monkeypatch):
    module = ModuleType("pocketfft")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, transforms._POCKETFFT, module)

    assert choose_transforms().rfft2.func is scipy.fft.rfft2


def test_scipy_is_used_if_it_has_no_such_extension_module(monkeypatch):
    monkeypatch.delitem(sys.modules, transforms._POCKETFFT, raising=False)
    monkeypatch.setattr(transforms, "EXTENSION_SUFFIXES", [".missing"])

    assert choose_transforms().rfft2.func is scipy.fft.rfft2


@given(st.integers(1, 20_000))
def test_the_next_fast_length_is_that_of_scipy(length):
    assert next_fast_length(length) == scipy.fft.next_fast_len(length, real=True)
