import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_image as oracles

from cryopick.preprocess.fourier import downsample, reduced_shape, resample
from cryopick.preprocess.transforms import choose_transforms

# float32 transforms of a few hundred values of size 1 are exact to a few 1e-6
CLOSE = {"rtol": 0, "atol": 2e-5}

sides = st.integers(1, 17)
shapes = st.tuples(sides, sides)
quick = settings(deadline=None, max_examples=60)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def flip(image, axis):
    """Mirror about pixel 0 of a periodic axis: old pixel i lands on -i."""
    return np.roll(np.flip(image, axis), 1, axis)


@st.composite
def shrinkages(draw):
    old = draw(shapes)
    return old, (draw(st.integers(1, old[0])), draw(st.integers(1, old[1])))


@quick
@given(shapes, shapes)
def test_resampling_evaluates_the_fourier_series_at_the_new_pixels(old, new):
    image = noise(old)

    np.testing.assert_allclose(
        resample(image, new), oracles.resample_by_summing_waves(image, new), **CLOSE
    )


@quick
@given(shrinkages())
def test_resampling_preserves_the_mean(sizes):
    old, new = sizes
    image = noise(old) + 5

    small = downsample(image, new)

    assert small.mean() == pytest.approx(image.mean(), abs=1e-5)


@quick
@given(shrinkages())
def test_downsampling_commutes_with_transpose_and_flips(sizes):
    old, new = sizes
    image = noise(old)
    small = downsample(image, new)

    np.testing.assert_allclose(downsample(image.T, new[::-1]), small.T, **CLOSE)
    for axis in (0, 1):
        np.testing.assert_allclose(downsample(flip(image, axis), new), flip(small, axis), **CLOSE)


@quick
@given(
    shapes, st.integers(1, 4), st.integers(1, 4), st.tuples(st.integers(0, 3), st.integers(0, 3))
)
def test_a_shift_by_integer_new_pixels_is_exact(new, factor_y, factor_x, shift):
    image = noise((new[0] * factor_y, new[1] * factor_x))
    moved = np.roll(image, (shift[0] * factor_y, shift[1] * factor_x), axis=(0, 1))

    np.testing.assert_allclose(
        downsample(moved, new), np.roll(downsample(image, new), shift, axis=(0, 1)), **CLOSE
    )


@quick
@given(shapes, shapes)
def test_enlarging_and_downsampling_round_trips(small, extra):
    image = noise(small)
    large = (small[0] + extra[0] - 1, small[1] + extra[1] - 1)

    np.testing.assert_allclose(downsample(resample(image, large), small), image, **CLOSE)


@st.composite
def two_steps_down(draw):
    old = draw(shapes)
    middle = tuple(draw(st.integers(1, side)) for side in old)
    return old, middle, tuple(draw(st.integers(1, side)) for side in middle)


@quick
@given(two_steps_down())
def test_two_steps_down_equal_one(sizes):
    old, middle, new = sizes
    image = noise(old)

    np.testing.assert_allclose(
        downsample(downsample(image, middle), new), downsample(image, new), **CLOSE
    )


@quick
@given(shrinkages(), st.floats(-3, 3), st.floats(-3, 3))
def test_downsampling_is_linear(sizes, a, b):
    old, new = sizes
    one, other = noise(old, 1), noise(old, 2)

    both = downsample(np.float32(a) * one + np.float32(b) * other, new)

    np.testing.assert_allclose(
        both, a * downsample(one, new) + b * downsample(other, new), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(("old", "new"), [(60, 20), (60, 17), (61, 16), (63, 21)])
def test_a_low_frequency_wave_is_sampled_at_scaled_positions(old, new):
    def wave(count):
        return 3 + np.cos(2 * np.pi * (5 * np.arange(count) / count + 0.1))

    image = np.tile(wave(old), (8, 1))

    small = downsample(image, (8, new))

    np.testing.assert_allclose(small[3], wave(new), **CLOSE)


def test_a_high_frequency_wave_does_not_alias():
    image = np.cos(2 * np.pi * 20 * np.arange(64) / 64) * np.ones((64, 1))

    np.testing.assert_allclose(downsample(image, (16, 16)), 0, **CLOSE)


@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", ">i2", "<u2", "f2", "<f4", ">f4", "f8", "i4"])
def test_the_result_does_not_depend_on_the_number_type(kind):
    values = np.random.default_rng(3).integers(0, 100, (130, 75))

    np.testing.assert_allclose(
        downsample(values.astype(kind), (31, 20)),
        oracles.resample_by_summing_waves(values, (31, 20)),
        rtol=0,
        atol=1e-3,
    )


def test_the_result_does_not_depend_on_the_number_of_threads():
    image = noise((300, 200))

    np.testing.assert_array_equal(
        downsample(image, (75, 50), workers=2), downsample(image, (75, 50))
    )


def test_a_memory_mapped_image_is_not_loaded_as_a_whole(tmp_path):
    shape = (2048, 2048)
    image = np.memmap(tmp_path / "image", dtype=np.int16, mode="w+", shape=shape)
    choose_transforms()  # loads a library outside the measurement
    tracemalloc.start()

    downsample(image, (256, 256))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.7 * 4 * image.size  # the float32 image alone would be 1.0


@pytest.mark.parametrize(
    ("shape", "factor", "new"),
    [
        ((4096, 4096), 7.95, (515, 515)),
        ((4092, 5760), 8, (512, 720)),  # 511.5 rounds up
        ((3838, 3710), 1, (3838, 3710)),
        ((10, 10), 100, (1, 1)),
        ((10, 15), 0.5, (20, 30)),
    ],
)
def test_the_shape_is_rounded_to_the_nearest_integer(shape, factor, new):
    assert reduced_shape(shape, factor) == new


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_factor_that_is_not_positive_is_rejected(factor):
    with pytest.raises(ValueError, match="factor must be a positive number; got"):
        reduced_shape((10, 10), factor)


def test_downsampling_to_a_larger_shape_is_rejected():
    with pytest.raises(ValueError, match="use resample to enlarge"):
        downsample(noise((8, 8)), (8, 9))


def test_a_side_of_zero_pixels_is_rejected():
    with pytest.raises(ValueError, match="shape must be at least 1 x 1"):
        downsample(noise((8, 8)), (0, 4))
