"""A trained model against the general one, by labels that neither has learned from."""

from dataclasses import replace

import numpy as np
import pytest

from cryopick.model.label_scores import add_label_scores, get_label_scores
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.picks import Picks
from cryopick.train.model_comparison import (
    ModelComparison,
    adopt_general_model,
    compare_models,
)
from cryopick.train.particle_count import GeneralModelSample


@pytest.fixture
def sample():
    """Picks of a model on 20 particles, of which 18 are labelled, and on 100 other positions."""
    rng = np.random.default_rng(3)
    xy_px = np.stack(np.meshgrid(np.arange(12), np.arange(10)), -1).reshape(-1, 2) * 100.0
    score = np.concatenate([rng.normal(5, 0.5, 20), rng.normal(-2, 0.5, 100)])
    picks = Picks.for_micrograph("a", xy_px, score)
    return GeneralModelSample(picks, Picks.for_micrograph("a", xy_px[:18] + 5.0), 60.0)


def pick(quality, seed=0):
    """Draw scores of 175 particles and 2000 others, and of 25 labelled particles."""
    rng = np.random.default_rng(seed)
    particles = rng.normal(quality, 1, 200)
    return np.concatenate([particles[25:], rng.normal(0, 1, 2000)]), particles[:25]


def test_a_model_that_ranks_left_out_labels_lower_is_worse():
    comparison = compare_models(*pick(1.0), *pick(3.0, seed=1), 200.0)

    assert comparison.is_worse
    assert comparison.n_labels == 25
    assert "the general model is written instead" in comparison.describe()


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_scores_are_compared_by_rank_alone(scale):
    picks, labels = pick(3.0)

    comparison = compare_models(scale * picks, scale * labels, picks, labels, 200.0)

    assert comparison.trained == comparison.general
    assert not comparison.is_worse
    assert "instead" not in comparison.describe()


@pytest.mark.parametrize(
    ("n_labels", "trained", "general", "is_worse"),
    [
        (25, 0.55, 0.72, False),  # within the chance of 25 labels
        (25, 0.30, 0.72, True),
        (400, 0.55, 0.72, True),
        (4000, 0.68, 0.72, False),  # hardly worse
    ],
)
def test_a_difference_that_may_be_chance_keeps_the_trained_model(
    n_labels, trained, general, is_worse
):
    comparison = ModelComparison(n_labels=n_labels, trained=trained, general=general)

    assert comparison.is_worse == is_worse


def test_many_labels_that_a_model_has_learned_do_not_make_it_look_worse(sample):
    general, general_labels = sample.picks.score[~sample.is_label], sample.label_scores
    learned = np.where(sample.is_label, sample.picks.score + 8.0, sample.picks.score)
    trained = sample.select_unlabelled(replace(sample.picks, score=learned))

    all_picks = compare_models(learned, general_labels + 0.5, general, general_labels, 20.0)
    found = compare_models(trained.score, general_labels + 0.5, general, general_labels, 20.0)

    assert all_picks.is_worse
    assert found.trained >= found.general > 0.3


def test_labels_without_a_pick_count_as_missed():
    picks, labels = pick(3.0)

    found = compare_models(picks, labels, picks, np.full(25, -np.inf), 200.0)

    assert found.general == 0.0
    assert found.trained > 0.5


def test_the_general_model_is_written_with_size_and_summary_of_the_trained_one():
    general = load_model(GENERAL_MODEL)
    trained = add_label_scores(general, np.array([2.0, -np.inf]), ["mics/a.mrc", "mics/a.mrc"])

    adopted = adopt_general_model(trained)

    assert adopted.diameter_ang == trained.diameter_ang
    assert adopted.diameter_px == pytest.approx(general.diameter_px)
    assert adopted.summary["is_general_model"]
    assert get_label_scores(adopted) == ([-30.0, 2.0], ["a"])
