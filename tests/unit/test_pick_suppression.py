import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist
from tests import oracles_learn as oracles

from cryopick.pick.suppression import (
    keep_distance,
    refine_peaks,
    suppress_non_maxima,
    upsample_twofold,
)

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
# integers cause ties, and small maps have many edges
whole = st.integers(-3, 3).map(float)
odd = st.sampled_from([np.nan, np.inf, -np.inf])
maps = arrays(float, shapes, elements=st.one_of(whole, whole, whole, odd))
spacings = st.tuples(st.sampled_from([0.5, 1.0, 1.1, 3.0]), st.sampled_from([0.7, 1.0, 2.0]))
radii = st.sampled_from([0.0, 0.3, 1.0, 1.1, 1.5, 2.0, 2.2, 3.3, 7.0, 30.0])


@settings(deadline=None, max_examples=300)
@given(maps, radii, st.sampled_from([-np.inf, -1.0, 0.0, 2.0]), spacings)
def test_suppression_equals_the_reference_implementation(scores, radius, threshold, spacing_yx):
    peaks = suppress_non_maxima(scores, radius=radius, threshold=threshold, spacing_yx=spacing_yx)

    expected = oracles.suppressed(scores, radius, threshold, spacing_yx)
    assert [tuple(peak) for peak in peaks.tolist()] == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.float32])
@settings(deadline=None)
@given(st.data())
def test_suppression_accepts_any_number_type(dtype, data):
    limits = (np.finfo if dtype == np.float32 else np.iinfo)(dtype)
    ends = st.sampled_from([limits.min, 0, 1, limits.max]).map(dtype)
    scores = data.draw(arrays(dtype, shapes, elements=ends))

    peaks = suppress_non_maxima(scores, radius=1.0)

    as_floats = suppress_non_maxima(scores.astype(float), radius=1.0)
    assert peaks.tolist() == as_floats.tolist()


def test_suppression_is_correct_across_blocks():
    scores = np.random.default_rng(0).integers(0, 50, (90, 80)).astype(np.float32)

    peaks = suppress_non_maxima(scores, radius=2.5, threshold=3.0)

    expected = oracles.suppressed(scores, 2.5, 3.0, (1.0, 1.0))
    assert [tuple(peak) for peak in peaks.tolist()] == expected


def test_suppression_does_not_wrap_around_the_edges():
    scores = np.full((6, 8), -np.inf)
    scores[2, 0], scores[2, 7], scores[1, 7] = 3.0, 2.0, 1.0

    assert suppress_non_maxima(scores, radius=1.5).tolist() == [[2, 0], [2, 7]]


@pytest.mark.parametrize("scores", [np.zeros((0, 4)), np.full((3, 3), np.nan), np.zeros((2, 2))])
def test_nothing_above_the_threshold_gives_no_peak(scores):
    assert suppress_non_maxima(scores, radius=1.0, threshold=0.5).shape == (0, 2)


def test_negative_zero_equals_zero():
    scores = np.array([[0.0, -0.0, 0.0]], np.float32)

    assert suppress_non_maxima(scores, radius=0.5).tolist() == [[0, 0], [0, 1], [0, 2]]


@given(arrays(np.float32, shapes, elements=st.floats(-100, 100, width=32)))
def test_upsampling_preserves_the_original_scores(scores):
    finer = upsample_twofold(scores)

    assert finer.shape == (2 * scores.shape[0] - 1, 2 * scores.shape[1] - 1)
    np.testing.assert_array_equal(finer[::2, ::2], scores)


def test_upsampling_is_exact_for_polynomials():
    y, x = np.mgrid[:21, :25] / 10 - 1.0

    def smooth(y, x):
        return (x**5 - 2 * x**3 + y * x**2 - y**4 + 0.5 * y).astype(np.float32)

    finer = upsample_twofold(smooth(y, x)[::2, ::2])

    np.testing.assert_allclose(finer[4:-4, 4:-4], smooth(y, x)[4:-4, 4:-4], atol=1e-5)


@settings(deadline=None)
@given(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49), st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_refinement_finds_the_maximum_of_a_paraboloid(dy, dx, curve_y, curve_x):
    y, x = np.mgrid[:7, :9]
    scores = -curve_y * (y - 3 - dy) ** 2 - curve_x * (x - 5 - dx) ** 2

    np.testing.assert_allclose(
        refine_peaks(scores, np.array([[3, 5]])), [[3 + dy, 5 + dx]], atol=1e-9
    )


@settings(deadline=None, max_examples=200)
@given(maps, radii)
def test_refinement_moves_peaks_by_at_most_half_a_step(scores, radius):
    peaks = suppress_non_maxima(scores, radius=radius)

    refined = refine_peaks(scores, peaks)

    assert (np.abs(refined - peaks) <= 0.5).all()
    assert (refined >= 0).all()
    assert (refined <= np.array(scores.shape) - 1).all()


def test_peaks_at_edges_slopes_or_nan_do_not_move():
    scores = np.array([[9.0, 1, 2, 3], [1, 2, 3, 4], [0, 5, np.nan, 0], [0, 1, 0, 0]])
    peaks = np.array([[0, 0], [1, 2], [2, 1]])

    refined = refine_peaks(scores, peaks)

    np.testing.assert_array_equal(refined[:2], [[0, 0], [1, 2]])
    assert refined[2, 1] == 1.0  # a hole to the right
    assert refined[2, 0] == pytest.approx(2 - 1 / 14)  # 2, 5, 1 from above down


def test_the_maximum_of_two_equal_scores_is_between_them():
    scores = np.array([[0.0, 4.0, 4.0, 0.0]] * 3)

    assert refine_peaks(scores, np.array([[1, 1]]))[0, 1] == 1.5


@pytest.fixture(params=[0, 1 << 16], ids=["cells", "all distances"])
def search(request, monkeypatch):
    """Find close peaks in cells or by all distances, as for many or few peaks."""
    monkeypatch.setattr("cryopick.pick.suppression._MAX_DISTANCES", request.param)


@pytest.mark.usefixtures("search")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays(np.float32, (24, 26), elements=st.floats(-4, 4, width=32)),
    st.floats(1, 6),
    st.sampled_from([(1.0, 1.0), (1.3, 0.9)]),
)
def test_refined_peaks_keep_the_least_distance(scores, radius, spacing_yx):
    peaks = suppress_non_maxima(scores, radius=radius, spacing_yx=spacing_yx)
    refined = refine_peaks(scores, peaks)

    spaced = keep_distance(refined, peaks, radius=radius, spacing_yx=spacing_yx)

    distances = pdist(spaced * spacing_yx)
    assert (distances > radius).all()


def test_peaks_far_apart_keep_their_refined_positions():
    peaks = np.array([[5, 5], [5, 20]])
    refined = np.array([[5.2, 5.4], [4.9, 19.6]])

    np.testing.assert_array_equal(keep_distance(refined, peaks, radius=10.0), refined)


def test_weak_neighbours_do_not_displace_a_strong_peak():
    peaks = np.array([[10, 10], [10, 16], [10, 4], [16, 10]])
    refined = np.array([[10.4, 10.3], [10.0, 15.6], [10.0, 4.2], [15.5, 10.0]])

    spaced = keep_distance(refined, peaks, radius=5.9)

    assert spaced[0].tolist() == [10.4, 10.3]
    assert (pdist(spaced) > 5.9).all()
    assert (np.abs(spaced - peaks) < 1).all()


def test_of_two_peaks_that_moved_too_close_the_weaker_returns():
    peaks = np.array([[5, 5], [5, 12]])
    refined = np.array([[5.0, 5.4], [5.0, 11.6]])

    spaced = keep_distance(refined, peaks, radius=6.5)

    assert spaced.tolist() == [[5.0, 5.4], [5.0, 12.0]]
