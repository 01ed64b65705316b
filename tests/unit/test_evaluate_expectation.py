"""Expected particles and precision from calibrated scores, against a slow count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.errors import SettingsError
from cryopick.evaluate.expectation import estimate_metrics, find_best_threshold
from cryopick.picks import Picks

scores = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=40).map(np.array)


def picked(score):
    return Picks.for_micrograph("a", np.zeros((len(score), 2)), np.asarray(score, float))


@given(scores)
def test_every_step_is_the_plain_sum_over_what_is_kept(score):
    promise = estimate_metrics(picked(score))

    chance = 1 / (1 + np.exp(-score))
    assert promise.threshold.tolist() == sorted(set(score.tolist()), reverse=True)
    for row, threshold in enumerate(promise.threshold):
        keep = score >= threshold
        found = chance[keep].sum()
        assert promise.n_selected[row] == keep.sum()
        assert promise.n_particles[row] == pytest.approx(found)
        assert promise.precision[row] == pytest.approx(found / keep.sum())
        assert promise.recall[row] == pytest.approx(found / chance.sum())
        wrong, missed = keep.sum() - found, chance.sum() - found
        assert promise.f1[row] == pytest.approx(2 * found / (2 * found + wrong + missed))


@given(scores)
def test_no_threshold_promises_a_better_f1_than_the_best(score):
    promise = estimate_metrics(picked(score))

    at = find_best_threshold(picked(score))

    assert promise.f1[promise.threshold.tolist().index(at)] == promise.f1.max()


def test_the_probability_at_the_best_threshold_is_half_of_the_best_f1():
    score = np.linspace(-6, 6, 20_001)

    at = find_best_threshold(picked(score))

    assert 1 / (1 + np.exp(-at)) == pytest.approx(
        estimate_metrics(picked(score)).f1.max() / 2, abs=1e-3
    )


@pytest.mark.parametrize("score", [[], [1.0, np.nan]])
def test_without_scores_nothing_is_promised(score):
    with pytest.raises(SettingsError, match="need picks with scores"):
        estimate_metrics(picked(score))
