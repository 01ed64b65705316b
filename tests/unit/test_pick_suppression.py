import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests import oracles_learn as oracles

from cryopick.pick.suppression import halved, refine, suppress

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
# whole numbers make ties common, small maps edges
whole = st.integers(-3, 3).map(float)
odd = st.sampled_from([np.nan, np.inf, -np.inf])
maps = arrays(float, shapes, elements=st.one_of(whole, whole, whole, odd))
spacings = st.tuples(st.sampled_from([0.5, 1.0, 1.1, 3.0]), st.sampled_from([0.7, 1.0, 2.0]))
radii = st.sampled_from([0.0, 0.3, 1.0, 1.1, 1.5, 2.0, 2.2, 3.3, 7.0, 30.0])


@settings(deadline=None, max_examples=300)
@given(maps, radii, st.sampled_from([-np.inf, -1.0, 0.0, 2.0]), spacings)
def test_suppression_is_its_definition(scores, radius, threshold, spacing_yx):
    peaks = suppress(scores, radius=radius, threshold=threshold, spacing_yx=spacing_yx)

    expected = oracles.suppressed(scores, radius, threshold, spacing_yx)
    assert [tuple(peak) for peak in peaks.tolist()] == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.float32])
@settings(deadline=None)
@given(st.data())
def test_any_type_of_number_can_be_suppressed(dtype, data):
    limits = (np.finfo if dtype == np.float32 else np.iinfo)(dtype)
    ends = st.sampled_from([limits.min, 0, 1, limits.max]).map(dtype)
    scores = data.draw(arrays(dtype, shapes, elements=ends))

    peaks = suppress(scores, radius=1.0)

    as_floats = suppress(scores.astype(float), radius=1.0)
    assert peaks.tolist() == as_floats.tolist()


def test_suppression_goes_on_over_many_blocks():
    scores = np.random.default_rng(0).integers(0, 50, (90, 80)).astype(np.float32)

    peaks = suppress(scores, radius=2.5, threshold=3.0)

    expected = oracles.suppressed(scores, 2.5, 3.0, (1.0, 1.0))
    assert [tuple(peak) for peak in peaks.tolist()] == expected


def test_a_peak_at_one_border_spares_the_other_border():
    scores = np.full((6, 8), -np.inf)
    scores[2, 0], scores[2, 7], scores[1, 7] = 3.0, 2.0, 1.0

    assert suppress(scores, radius=1.5).tolist() == [[2, 0], [2, 7]]


@pytest.mark.parametrize("scores", [np.zeros((0, 4)), np.full((3, 3), np.nan), np.zeros((2, 2))])
def test_nothing_above_the_threshold_gives_no_peak(scores):
    assert suppress(scores, radius=1.0, threshold=0.5).shape == (0, 2)


def test_a_zero_below_zero_is_a_zero():
    scores = np.array([[0.0, -0.0, 0.0]], np.float32)

    assert suppress(scores, radius=0.5).tolist() == [[0, 0], [0, 1], [0, 2]]


@given(arrays(np.float32, shapes, elements=st.floats(-100, 100, width=32)))
def test_a_finer_map_keeps_the_places_of_the_coarse_one(scores):
    finer = halved(scores)

    assert finer.shape == (2 * scores.shape[0] - 1, 2 * scores.shape[1] - 1)
    np.testing.assert_array_equal(finer[::2, ::2], scores)


def test_a_finer_map_of_a_polynomial_is_the_polynomial():
    y, x = np.mgrid[:21, :25] / 10 - 1.0

    def smooth(y, x):
        return (x**5 - 2 * x**3 + y * x**2 - y**4 + 0.5 * y).astype(np.float32)

    finer = halved(smooth(y, x)[::2, ::2])

    np.testing.assert_allclose(finer[4:-4, 4:-4], smooth(y, x)[4:-4, 4:-4], atol=1e-5)


@settings(deadline=None)
@given(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49), st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_the_summit_of_a_paraboloid_is_found(dy, dx, curve_y, curve_x):
    y, x = np.mgrid[:7, :9]
    scores = -curve_y * (y - 3 - dy) ** 2 - curve_x * (x - 5 - dx) ** 2

    np.testing.assert_allclose(refine(scores, np.array([[3, 5]])), [[3 + dy, 5 + dx]], atol=1e-9)


@settings(deadline=None, max_examples=200)
@given(maps, radii)
def test_a_peak_moves_half_a_step_at_most_and_never_out_of_the_map(scores, radius):
    peaks = suppress(scores, radius=radius)

    refined = refine(scores, peaks)

    assert (np.abs(refined - peaks) <= 0.5).all()
    assert (refined >= 0).all()
    assert (refined <= np.array(scores.shape) - 1).all()


def test_a_place_at_the_border_or_on_a_slope_or_beside_a_hole_stays():
    scores = np.array([[9.0, 1, 2, 3], [1, 2, 3, 4], [0, 5, np.nan, 0], [0, 1, 0, 0]])
    peaks = np.array([[0, 0], [1, 2], [2, 1]])

    refined = refine(scores, peaks)

    np.testing.assert_array_equal(refined[:2], [[0, 0], [1, 2]])
    assert refined[2, 1] == 1.0  # a hole to the right
    assert refined[2, 0] == pytest.approx(2 - 1 / 14)  # 2, 5, 1 from above down


def test_two_equal_neighbours_share_the_summit_between_them():
    scores = np.array([[0.0, 4.0, 4.0, 0.0]] * 3)

    assert refine(scores, np.array([[1, 1]]))[0, 1] == 1.5
