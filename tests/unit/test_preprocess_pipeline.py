import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import MicrographError
from cryopick.preprocess.fourier import downsample
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.pipeline import prepare_micrograph, rescale_micrograph

MICROGRAPH = Normalization("micrograph")
AFFINE = Normalization("affine")


def raw(shape=(403, 500), seed=0):
    return np.random.default_rng(seed).poisson(20, shape).astype(np.int16)


@settings(deadline=None, max_examples=20)
@given(st.integers(64, 140), st.integers(64, 140), st.floats(0.6, 6))
def test_coordinates_round_trip_and_corners_map_to_corners(height, width, factor):
    rescaled = rescale_micrograph(raw((height, width)), factor)
    new_height, new_width = rescaled.image.shape
    raw_xy = np.array([[0.0, 0.0], [width, height], [3.5, 7.25]])

    np.testing.assert_allclose(rescaled.to_raw(rescaled.from_raw(raw_xy)), raw_xy, atol=1e-9)
    np.testing.assert_allclose(
        rescaled.from_raw(raw_xy)[:2], [[0, 0], [new_width, new_height]], atol=1e-9
    )


def test_coordinates_do_not_drift_far_from_the_corner():
    # 1023 / 8 is not an integer, so the scale is the ratio of the sides instead of 8
    pixels = np.full((1023, 200), 100.0)
    y, x = np.indices(pixels.shape)
    centre = (160.0, 1000.0)
    pixels -= 50 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 12**2))
    pixels += np.random.default_rng(0).normal(0, 0.5, pixels.shape)

    rescaled = rescale_micrograph(pixels, 8)
    dip = np.clip(90 - rescaled.image, 0, None)
    rows, columns = np.indices(dip.shape)
    centroid = np.array([[(dip * columns).sum(), (dip * rows).sum()]]) / dip.sum()

    np.testing.assert_allclose(rescaled.to_raw(centroid.astype(float)), [centre], atol=0.3)


def test_a_micrograph_without_defects_is_only_downsampled():
    pixels = raw()

    rescaled = rescale_micrograph(pixels, 4)

    np.testing.assert_array_equal(rescaled.image, downsample(pixels, (101, 125)))
    assert rescaled.usable.all()
    assert rescaled.scale_yx == (403 / 101, 4.0)
    assert rescaled.raw_shape == (403, 500)


def test_the_raw_pixels_are_not_modified():
    pixels = raw().astype(np.float32)
    pixels[:30] = pixels[30]
    pixels[200, 200] = 1e5
    before = pixels.copy()

    rescale_micrograph(pixels, 4)

    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("normalization", [MICROGRAPH, AFFINE], ids=lambda n: n.kind)
def test_borders_and_hot_pixels_hardly_affect_other_pixels(normalization):
    clean = raw((800, 800)).astype(np.float32)
    damaged = clean.copy()
    damaged[:45] = 0
    damaged[:, -60:] = damaged[:, [-61]]
    damaged[600:, :200] = 0
    damaged[300:500:50, 300:500:50] = 1e5

    expected, result = (prepare_micrograph(pixels, 4, normalization) for pixels in (clean, damaged))

    usable = result.usable
    assert 0.7 < usable.mean() < 0.85  # about 0.79 of the pixels are untouched
    assert (result.image[~usable] == 0).all()
    assert result.image[usable].mean() == pytest.approx(expected.image[usable].mean(), abs=0.1)
    # The edge of the fill value rings a little. Further inside, only repaired pixels differ, by
    # their noise averaged over 16 raw pixels: less than one standard deviation.
    inside = np.s_[20:140, 60:170]
    change = np.abs(result.image[inside] - expected.image[inside])
    assert change.max() < 1
    assert change.mean() < 0.1


def test_a_black_border_causes_little_ringing():
    clean = np.random.default_rng(2).normal(1000, 10, (400, 400))
    bordered = clean.copy()
    bordered[:30] = bordered[:, 360:] = 0

    expected, result = rescale_micrograph(clean, 4), rescale_micrograph(bordered, 4)

    # the standard deviation after downsampling is 2.5; an unfilled border would ring by 90
    change = np.abs(result.image - expected.image)[result.usable]
    assert change.max() < 10
    assert change.mean() < 0.5


def test_preprocessing_is_deterministic():
    first, repeated = (prepare_micrograph(raw(), 3.7, MICROGRAPH) for _ in range(2))

    np.testing.assert_array_equal(first.image, repeated.image)
    np.testing.assert_array_equal(first.usable, repeated.usable)


def test_a_constant_micrograph_is_rejected():
    with pytest.raises(MicrographError, match="usable pixel"):
        prepare_micrograph(np.full((200, 200), 3, dtype=np.uint8), 4, AFFINE)
