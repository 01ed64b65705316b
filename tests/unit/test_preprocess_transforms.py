import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from cryopick.preprocess.transforms import choose_transforms, next_fast_length

SMALL, LARGE = 1 << 18, (1 << 18) + 1


def transform(pixels, workers):
    """Apply all functions to one image."""
    image = np.random.default_rng(0).normal(size=(48, 50)).astype(np.float32)
    use = choose_transforms(pixels, workers=workers)
    spectrum, rows = use.rfft2(image, s=(50, 54)), use.rfft(image)
    columns = use.ifft(use.fft(rows.copy(), axis=0), axis=0)
    return spectrum, rows, columns, use.irfft2(spectrum, s=(50, 54)), use.irfft(rows, n=50, axis=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_both_libraries_give_the_same_numbers_in_single_precision(workers):
    small, large = transform(SMALL, workers), transform(LARGE, workers)

    for one, other in zip(small, large, strict=True):
        assert one.dtype == other.dtype
        assert one.dtype in (np.complex64, np.float32)
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())  # of float32


@pytest.mark.parametrize(("version", "library"), [("1.26.4", "scipy"), ("2.0.0", "numpy")])
def test_numpy_transforms_small_images_only_where_it_keeps_single_precision(
    version, library, monkeypatch
):
    monkeypatch.setattr(np, "__version__", version)

    assert (choose_transforms(SMALL).rfft2 is np.fft.rfft2) == (library == "numpy")


@given(st.integers(1, 20_000))
def test_the_next_fast_length_is_that_of_scipy(length):
    assert next_fast_length(length) == scipy.fft.next_fast_len(length, real=True)
