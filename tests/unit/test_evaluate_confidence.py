"""Intervals hold what they promise, and scores are held to theirs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.evaluate.confidence import (
    bootstrap_precision_band,
    compute_calibration_curve,
    wilson_interval,
)
from cryopick.evaluate.precision_recall import average_precision


def drawn(micrographs, seed):
    """Scored picks of micrographs that differ: right ones score higher by one."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(micrographs), 40)
    hit = rng.random(len(index)) < rng.uniform(0.3, 0.8, micrographs)[index]
    return rng.normal(hit * 1.0), hit, index, np.bincount(index[hit], minlength=micrographs) + 5


def test_like_micrographs_leave_no_doubt():
    score = np.tile([3.0, 2.0, 1.0], 4)
    hit = np.tile([True, False, True], 4)
    band = bootstrap_precision_band(score, hit, np.repeat(np.arange(4), 3), np.full(4, 2))

    assert band is not None
    assert band.average_precision == pytest.approx((5 / 6, 5 / 6))
    np.testing.assert_allclose(band.low, band.high)
    assert band.low[0] == 1
    assert band.low[-1] == pytest.approx(2 / 3)


def test_the_average_precision_of_most_other_micrographs_lies_within():
    truth = average_precision(*drawn(4000, 1)[:2], total=int(drawn(4000, 1)[3].sum()))

    inside = []
    for seed in range(40):
        band = bootstrap_precision_band(*drawn(30, seed + 2), resamples=200)
        assert band is not None
        inside.append(band.average_precision[0] <= truth <= band.average_precision[1])

    assert np.mean(inside) >= 0.8  # 0.95 but for chance and the bootstrap's own narrowness


@pytest.mark.parametrize(
    ("score", "n_truth"), [([1.0], [1]), ([], [1, 1]), ([1.0], [0, 0])], ids=["one", "no", "none"]
)
def test_there_is_no_interval_where_nothing_can_be_drawn(score, n_truth):
    hit, index = np.zeros(len(score), bool), np.zeros(len(score), int)

    assert bootstrap_precision_band(np.array(score), hit, index, np.array(n_truth)) is None


def test_scores_that_keep_their_promise_have_no_error():
    score = np.random.default_rng(0).normal(0, 2, 20_000)
    hit = np.random.default_rng(1).random(20_000) < 1 / (1 + np.exp(-score))

    honest, boastful = (
        compute_calibration_curve(score, hit),
        compute_calibration_curve(score + 2, hit),
    )

    assert honest is not None
    assert boastful is not None
    assert honest.calibration_error < 0.02
    assert boastful.calibration_error > 0.1
    assert honest.count.sum() == 20_000
    assert (honest.low <= honest.observed).all()
    assert (honest.observed <= honest.high).all()


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_narrows_with_the_count(seen):
    found, of = np.array([float(seen[0])]), np.array([seen[1]])

    low, high = wilson_interval(found, of)
    narrow = wilson_interval(100 * found, 100 * of)

    assert 0 <= low[0] <= found[0] / of[0] + 1e-12
    assert found[0] / of[0] - 1e-12 <= high[0] <= 1
    assert narrow[1][0] - narrow[0][0] < high[0] - low[0]
