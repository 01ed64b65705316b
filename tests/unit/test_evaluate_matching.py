import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_evaluate as oracles

from cryopick.evaluate.matching import is_near, match_picks, match_points
from cryopick.picks import Picks


@pytest.fixture(params=[0, 1 << 18], ids=["tree", "all distances"], autouse=True, scope="module")
def search(request):
    """Find neighbours with a tree or by all distances, as for many or few points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryopick.evaluate.matching._MAX_DISTANCES", request.param)
        yield


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14)
crowds = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=40)
radii = st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0, 100.0])


def as_xy(pairs):
    return np.array(pairs, dtype=float).reshape(-1, 2)


def ranked(draw_from, count):
    return np.array([draw_from[i % len(draw_from)] for i in range(count)], dtype=float)


@settings(deadline=None, max_examples=150)
@given(points | crowds, points | crowds, radii, st.lists(st.integers(0, 3), min_size=1))
def test_pairs_equal_the_greedy_definition(picks, truth, radius, levels):
    score = ranked(levels, len(picks))

    pairs = match_points(as_xy(picks), score, as_xy(truth), radius)

    assert_same_pairs(pairs.tolist(), oracles.greedy_pairs(picks, score, truth, radius), truth)


def assert_same_pairs(pairs, expected, truth):
    """Equal up to which of several particles at the very same place was taken."""
    assert [t >= 0 and truth[t] for t in pairs] == [t >= 0 and truth[t] for t in expected]
    taken = [t for t in pairs if t >= 0]
    assert len(taken) == len(set(taken))


@settings(deadline=None, max_examples=50)
@given(points, points, st.randoms(use_true_random=False))
def test_pairs_do_not_depend_on_the_order_of_the_tables(picks, truth, random):
    picks, truth = list(dict.fromkeys(picks)), list(dict.fromkeys(truth))
    score = np.array([x % 2 for x, _ in picks], dtype=float)
    shuffle = random.sample(range(len(picks)), len(picks))

    pairs = match_points(as_xy(picks), score, as_xy(truth), 2.0)
    again = match_points(as_xy(picks)[shuffle], score[shuffle], as_xy(truth)[::-1], 2.0)

    assert [pairs[i] for i in shuffle] == [len(truth) - 1 - t if t >= 0 else -1 for t in again]


def test_the_radius_itself_is_near_and_a_hair_more_is_not():
    origin, there = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])

    assert match_points(origin, np.ones(1), there, 5.0).tolist() == [0]
    assert match_points(origin, np.ones(1), there, np.nextafter(5.0, 0)).tolist() == [-1]
    assert is_near(origin, there, 5.0).tolist() == [True]
    assert is_near(origin, there, 4.999).tolist() == [False]


def test_picks_without_scores_choose_in_order_of_position():
    picks = np.array([[2.0, 0.0], [0.0, 0.0]])

    pairs = match_points(picks, np.full(2, np.nan), np.array([[1.0, 0.0]]), 1.0)

    assert pairs.tolist() == [-1, 0]


def test_a_crowd_where_everything_is_near_pairs_everything():
    crowd = np.zeros((300, 2))

    pairs = match_points(crowd, np.zeros(300), crowd, 0.0)

    assert sorted(pairs) == list(range(300))


@pytest.mark.parametrize("radius", [-1.0, float("nan")])
def test_a_radius_that_is_none_is_refused(radius):
    nothing = np.zeros((0, 2))

    with pytest.raises(ValueError, match="radius_px must be at least 0; got"):
        match_points(nothing, np.zeros(0), nothing, radius)
    with pytest.raises(ValueError, match="radius_px must be at least 0; got"):
        is_near(nothing, nothing, radius)


def test_tables_are_paired_micrograph_by_micrograph():
    spot = np.zeros((1, 2))
    truth = Picks.from_columns(["b", "c", "a"], np.repeat(spot, 3, axis=0))
    picks = Picks.from_columns(["a", "x", "b", "a"], np.repeat(spot, 4, axis=0))

    pairs = match_picks(picks, truth, 1.0)

    assert pairs.tolist() == [2, -1, 0, -1]


@settings(deadline=None, max_examples=50)
@given(points, points, radii)
def test_a_point_is_near_when_any_other_is_within_the_radius(some, others, radius):
    expected = [any(np.hypot(*np.subtract(a, b)) <= radius for b in others) for a in some]

    assert is_near(as_xy(some), as_xy(others), radius).tolist() == expected


def test_no_more_pairs_than_the_smaller_side():
    grid = as_xy(list(itertools.product(range(9), range(9))))

    pairs = match_points(grid, np.arange(81.0), grid[:5], 100.0)

    assert (pairs >= 0).sum() == 5
