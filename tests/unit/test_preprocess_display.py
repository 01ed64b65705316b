"""Pictures for people keep places, means and the waves that were asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryopick.preprocess.display import band_passed, binned, greys

small = arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(-9, 9).map(float),
)


@given(small, st.integers(1, 4))
def test_blocks_are_means_of_their_pixels(image, factor):
    factor = min(factor, *image.shape)

    found = binned(image, factor)

    height, width = (side // factor for side in image.shape)
    whole = image[: height * factor, : width * factor]
    expected = whole.reshape(height, factor, width, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def wave(length_px, side=240):
    return np.cos(2 * np.pi * np.arange(side, dtype=np.float32) / length_px)[None].repeat(side, 0)


@pytest.mark.parametrize(
    ("length_px", "share"), [(5.0, 2.0**-16), (20.0, 0.5), (240.0, 2 ** -(1 / 144))]
)
def test_a_low_pass_halves_the_wave_it_names_and_damps_shorter_ones(length_px, share):
    found = band_passed(wave(length_px), 2.0, low_pass_ang=40.0)

    np.testing.assert_allclose(found, share * wave(length_px), atol=1e-5)


def test_a_high_pass_halves_the_wave_it_names_and_keeps_the_mean():
    found = band_passed(wave(20.0) + 7, 2.0, high_pass_ang=40.0)

    np.testing.assert_allclose(found, 0.5 * wave(20.0) + 7, atol=1e-5)


def test_the_middle_is_middle_grey_whatever_a_bead_says():
    rng = np.random.default_rng(0)
    image = rng.normal(1e6, 3, (200, 200)).astype(np.float32)
    image[:4, :4] = 1e9

    found = greys(image)

    assert found[100:].mean() == pytest.approx(127.5, abs=1)
    assert found[100:].std() == pytest.approx(127.5 / 4, rel=0.1)
    assert (found[:4, :4] == 255).all()


def test_a_flat_picture_is_grey():
    assert (greys(np.full((5, 5), 3.0, np.float32)) == 128).all()
