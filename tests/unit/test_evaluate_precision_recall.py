import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_evaluate as oracles

from cryopick.evaluate.precision_recall import average_precision, compute_precision_recall

rankings = st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=1, max_size=20)


def columns(ranking):
    score, hit = zip(*ranking, strict=True)
    return np.array(score, dtype=float), np.array(hit, dtype=bool)


@settings(deadline=None)
@given(rankings, st.integers(0, 5))
def test_the_area_equals_the_sum_over_distinct_scores(ranking, missed):
    score, hit = columns(ranking)
    total = int(hit.sum()) + missed

    area = average_precision(score, hit, total)

    if total:
        assert area == pytest.approx(oracles.average_precision(score, hit, total), abs=1e-12)
    else:
        assert math.isnan(area)


@given(rankings, st.randoms(use_true_random=False))
def test_the_order_of_equal_scores_does_not_matter(ranking, random):
    shuffled = random.sample(ranking, len(ranking))

    assert average_precision(*columns(ranking)) == pytest.approx(
        average_precision(*columns(shuffled)), nan_ok=True
    )


@given(rankings)
def test_only_the_ranking_counts_not_the_scores(ranking):
    score, hit = columns(ranking)

    assert average_precision(score, hit) == pytest.approx(
        average_precision(np.exp(score) - 7, hit), nan_ok=True
    )


def test_the_paper_sum_on_five_regions():
    score = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    labels = np.array([1, 0, 1, 1, 0])

    assert average_precision(score, labels) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)


def test_scores_that_say_nothing_give_the_share_of_positives():
    labels = np.array([1, 0, 0, 1, 0])

    assert average_precision(np.zeros(5), labels) == pytest.approx(2 / 5)


def test_particles_never_found_lower_the_recall():
    found_all = np.array([True, True])

    assert average_precision(np.array([2.0, 1.0]), found_all, total=4) == pytest.approx(0.5)


def test_half_precision_scores_are_ranked_as_they_are():
    score = np.array([1.0, 2.0], dtype=np.float32)

    assert compute_precision_recall(score, np.array([False, True])).threshold.tolist() == [2.0, 1.0]


@given(rankings, st.integers(0, 3), st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0, 9.0]))
def test_the_point_at_a_threshold_counts_what_scores_at_least_that(ranking, missed, threshold):
    score, hit = columns(ranking)
    total = int(hit.sum()) + missed
    kept, found = (score >= threshold).sum(), (hit & (score >= threshold)).sum()

    point = compute_precision_recall(score, hit, total).at_threshold(threshold)

    assert point.precision == pytest.approx(found / kept if kept else math.nan, nan_ok=True)
    assert point.recall == pytest.approx(found / total if total else math.nan, nan_ok=True)
    expected_f1 = 2 * found / (kept + total) if kept + total else math.nan
    assert point.f1 == pytest.approx(expected_f1, nan_ok=True)


@given(rankings)
def test_no_threshold_has_a_higher_f1_than_the_best_and_no_stricter_one_the_same(ranking):
    curve = compute_precision_recall(*columns(ranking))

    best = curve.best_f1()

    assert best.f1 == curve.f1.max()
    assert (curve.f1[curve.threshold > best.threshold] < best.f1).all()


def test_a_ranking_of_nothing_has_no_best_point():
    curve = compute_precision_recall(np.zeros(0), np.zeros(0, dtype=bool), total=3)

    assert curve.best_f1() is None
    assert curve.average_precision() == 0.0
    assert curve.at_threshold(0.0).recall == 0.0


@pytest.mark.parametrize(
    ("score", "hit", "total", "message"),
    [
        ([np.nan], [True], None, "a score is NaN"),
        ([1.0], [2], None, "hit must hold only 0 and 1"),
        ([1.0], [True], 0, "total must be at least the 1 hits; got 0"),
    ],
)
def test_a_ranking_that_makes_no_sense_is_refused(score, hit, total, message):
    with pytest.raises(ValueError, match=message):
        compute_precision_recall(np.array(score), np.array(hit), total)
