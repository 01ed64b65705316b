"""Expected particles, precision and recall, against plain sums over the picks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import SettingsError
from cryopick.evaluate.expectation import estimate_metrics, find_best_threshold
from cryopick.evaluate.label_sample import LabelSample
from cryopick.picks import Picks

scores = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=40).map(np.array)


def picked(score):
    return Picks.for_micrograph("a", np.zeros((len(score), 2)), np.asarray(score, float))


@settings(max_examples=30, deadline=None)
@given(scores)
def test_every_distinct_score_is_a_threshold_with_its_number_of_picks(score):
    metrics = estimate_metrics(picked(score))

    assert metrics.threshold.tolist() == sorted(set(score.tolist()), reverse=True)
    assert metrics.n_selected.tolist() == [(score >= at).sum() for at in metrics.threshold]


@settings(max_examples=30, deadline=None)
@given(scores)
def test_the_best_threshold_keeps_a_pick(score):
    assert find_best_threshold(picked(score)) <= score.max()


def test_the_expected_f1_at_the_best_threshold_is_nearly_the_best():
    rng = np.random.default_rng(0)
    score = np.concatenate([rng.normal(-4.2, 1, 2000), rng.normal(2, 1, 200)])

    metrics = estimate_metrics(picked(score))

    probability = metrics.distribution.compute_probability(metrics.threshold)
    true_positives = np.cumsum(probability)
    f1 = 2 * true_positives / (metrics.n_selected + metrics.distribution.count.value)
    at = f1[metrics.threshold >= metrics.best_threshold][-1]
    assert at > f1.max() - 0.01


def test_the_description_states_intervals_and_what_they_rest_on():
    rng = np.random.default_rng(0)
    particles = rng.normal(2, 1, 200)
    table = picked(np.concatenate([rng.normal(-4.2, 1, 2000), particles]))

    without = estimate_metrics(table).describe(200)
    labelled = estimate_metrics(table, LabelSample.complete(particles[:30])).describe(200)

    assert "200 picks of 2200" in without
    assert "expected from scores alone" in without
    assert "expected from labels and scores" in labelled
    assert without.count(" to ") == 3
    assert estimate_metrics(table).describe(0) == "0 picks of 2200"


@pytest.mark.parametrize("score", [[], [1.0, np.nan]])
def test_without_scores_nothing_is_promised(score):
    with pytest.raises(SettingsError, match="need picks with scores"):
        estimate_metrics(picked(score))
