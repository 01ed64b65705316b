"""Binning, filtering and grey levels of micrographs for display."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryopick.preprocess.display import bin_pixels, convert_to_greys, filter_band

small = arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(-9, 9).map(float),
)


@given(small, st.integers(1, 4))
def test_blocks_are_means_of_their_pixels(image, factor):
    factor = min(factor, *image.shape)

    found = bin_pixels(image, factor)

    height, width = (side // factor for side in image.shape)
    whole = image[: height * factor, : width * factor]
    expected = whole.reshape(height, factor, width, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def wave(length_px, side=240):
    return np.cos(2 * np.pi * np.arange(side, dtype=np.float32) / length_px)[None].repeat(side, 0)


@pytest.mark.parametrize(
    ("length_px", "share"), [(5.0, 2.0**-16), (20.0, 0.5), (240.0, 2 ** -(1 / 144))]
)
def test_a_low_pass_halves_waves_at_the_cutoff(length_px, share):
    found = filter_band(wave(length_px), 2.0, low_pass_ang=40.0)

    np.testing.assert_allclose(found, share * wave(length_px), atol=1e-5)


def test_a_high_pass_halves_waves_at_the_cutoff_and_keeps_the_mean():
    found = filter_band(wave(20.0) + 7, 2.0, high_pass_ang=40.0)

    np.testing.assert_allclose(found, 0.5 * wave(20.0) + 7, atol=1e-5)


def test_the_mean_is_medium_grey_despite_outliers():
    rng = np.random.default_rng(0)
    image = rng.normal(1e6, 3, (200, 200)).astype(np.float32)
    image[:4, :4] = 1e9

    found = convert_to_greys(image)

    assert found[100:].mean() == pytest.approx(127.5, abs=1)
    assert found[100:].std() == pytest.approx(127.5 / 4, rel=0.1)
    assert (found[:4, :4] == 255).all()


def test_a_constant_image_is_grey():
    assert (convert_to_greys(np.full((5, 5), 3.0, np.float32)) == 128).all()
