import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import MicrographError
from cryopick.preprocess.fourier import downsample
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.pipeline import prepare, shrink

MICROGRAPH = Normalization("micrograph")
AFFINE = Normalization("affine")


def raw(shape=(403, 500), seed=0):
    return np.random.default_rng(seed).poisson(20, shape).astype(np.int16)


@settings(deadline=None, max_examples=20)
@given(st.integers(64, 140), st.integers(64, 140), st.floats(0.6, 6))
def test_coordinates_come_back_and_the_corner_stays(height, width, factor):
    shrunk = shrink(raw((height, width)), factor)
    new_height, new_width = shrunk.image.shape
    raw_xy = np.array([[0.0, 0.0], [width, height], [3.5, 7.25]])

    np.testing.assert_allclose(shrunk.to_raw(shrunk.from_raw(raw_xy)), raw_xy, atol=1e-9)
    np.testing.assert_allclose(
        shrunk.from_raw(raw_xy)[:2], [[0, 0], [new_width, new_height]], atol=1e-9
    )


def test_a_particle_far_from_the_corner_does_not_drift():
    # 4092 / 8 is no whole number: the ratio of the sides, not 8, leads back
    pixels = np.full((1023, 200), 100.0)
    y, x = np.indices(pixels.shape)
    centre = (160.0, 1000.0)
    pixels -= 50 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 12**2))
    pixels += np.random.default_rng(0).normal(0, 0.5, pixels.shape)

    shrunk = shrink(pixels, 8)
    dip = np.clip(90 - shrunk.image, 0, None)
    rows, columns = np.indices(dip.shape)
    found = np.array([[(dip * columns).sum(), (dip * rows).sum()]]) / dip.sum()

    np.testing.assert_allclose(shrunk.to_raw(found.astype(float)), [centre], atol=0.3)


def test_a_clean_micrograph_is_only_downsampled():
    pixels = raw()

    shrunk = shrink(pixels, 4)

    np.testing.assert_array_equal(shrunk.image, downsample(pixels, (101, 125)))
    assert shrunk.usable.all()
    assert shrunk.scale_yx == (403 / 101, 4.0)
    assert shrunk.raw_shape == (403, 500)


def test_the_raw_pixels_are_left_as_they_were():
    pixels = raw().astype(np.float32)
    pixels[:30] = pixels[30]
    pixels[200, 200] = 1e5
    before = pixels.copy()

    shrink(pixels, 4)

    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("normalization", [MICROGRAPH, AFFINE], ids=lambda n: n.kind)
def test_border_corner_and_hot_pixels_hardly_change_the_rest(normalization):
    clean = raw((800, 800)).astype(np.float32)
    spoilt = clean.copy()
    spoilt[:45] = 0
    spoilt[:, -60:] = spoilt[:, [-61]]
    spoilt[600:, :200] = 0
    spoilt[300:500:50, 300:500:50] = 1e5

    expected, found = (prepare(pixels, 4, normalization) for pixels in (clean, spoilt))

    both = found.usable
    assert 0.7 < both.mean() < 0.85  # about 0.79 of the pixels are untouched
    assert (found.image[~both] == 0).all()
    assert found.image[both].mean() == pytest.approx(expected.image[both].mean(), abs=0.1)
    # steps from image to fill ring a little; deeper inside only the mended pixels differ, by
    # their own noise, which a coarse pixel shares with 15 others: below one of its spreads
    inside = np.s_[20:140, 60:170]
    change = np.abs(found.image[inside] - expected.image[inside])
    assert change.max() < 1
    assert change.mean() < 0.1


def test_a_black_border_does_not_ring_into_the_image():
    clean = np.random.default_rng(2).normal(1000, 10, (400, 400))
    bordered = clean.copy()
    bordered[:30] = bordered[:, 360:] = 0

    expected, found = shrink(clean, 4), shrink(bordered, 4)

    # coarse spreads are 2.5: the step of 1000 would ring to 90 beside the border
    change = np.abs(found.image - expected.image)[found.usable]
    assert change.max() < 10
    assert change.mean() < 0.5


def test_the_same_pixels_always_give_the_same_image():
    first, again = (prepare(raw(), 3.7, MICROGRAPH) for _ in range(2))

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.usable, again.usable)


def test_a_constant_micrograph_is_refused():
    with pytest.raises(MicrographError, match="usable pixel"):
        prepare(np.full((200, 200), 3, dtype=np.uint8), 4, AFFINE)
