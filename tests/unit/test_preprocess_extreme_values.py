"""Tests of micrographs with extreme but legal pixel values."""

import numpy as np
import pytest

from cryopick.preprocess.extreme_values import scale_extreme_values
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.pipeline import prepare_micrograph

NOISE = np.random.default_rng(0).normal(size=(96, 128))


@pytest.mark.parametrize(
    ("mean", "contrast", "dtype"),
    [
        (1000, 1e-4, np.float64),
        (1e6, 1.0, np.float32),
        (-1e7, 50.0, np.float32),
        (2_000_000_000, 2000, np.int32),
        (0, 1e-30, np.float32),
        (0, 1e30, np.float32),
        (1e-36, 1e-37, np.float32),
    ],
)
def test_extreme_values_are_prepared_like_ordinary_ones(mean, contrast, dtype):
    expected = prepare_micrograph(NOISE.astype(np.float32), 2, Normalization("affine")).image

    odd = (mean + contrast * NOISE).astype(dtype)
    image = prepare_micrograph(odd, 2, Normalization("affine")).image

    rounding = 0.1  # float32 stores 1e6 to 1/16
    np.testing.assert_allclose(image, expected, atol=rounding)


@pytest.mark.parametrize("pixels", [NOISE, 500 + 20 * NOISE, (40 + 6 * NOISE).astype(np.uint8)])
def test_ordinary_micrographs_stay_as_they_are(pixels):
    scaled, span = scale_extreme_values(pixels, (-5.0, 5.0))

    assert scaled is pixels
    assert span == (-5.0, 5.0)


def test_an_outlier_of_any_size_stays_finite():
    pixels = (1e-30 * NOISE).astype(np.float32)
    pixels[3, 5] = 3e38

    scaled, span = scale_extreme_values(pixels)

    assert np.isfinite(scaled).all()
    assert span == (scaled.min(), scaled.max())
    assert scaled[3, 5] == scaled.max()
