"""Particles and background, distinguished by the distribution of their scores."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.score_samples import draw_background

from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.score_distribution import fit_score_distribution
from cryopick.evaluate.score_prior import SCORE_PRIOR_FILE, ScorePrior, load_score_prior


def make_wide_prior():
    """Make a prior that leaves density and contrast open, whatever the stored one was fitted to."""
    scores = np.linspace(-8, 8, 33)
    return ScorePrior(
        floor=-4.0,
        background_scores=tuple(scores),
        background_log_density=tuple(-np.logaddexp(-2 * (scores + 3.5), 1.5 * (scores + 3.5))),
        shift=(0.0, 0.2),
        log_stretch=(0.0, 0.1),
        mean=(1.0, 2.5),
        log_width=(0.1, 0.5),
        log_ratio=(-2.0, 3.5),
        midpoint=(-0.4, 0.8),
        midpoint_by_ratio=-0.13,
        log_steepness=(0.7, 1.0),
        bin_deviation=0.8,
        temper=1.0,
        effective_labels=60.0,
        precision_deviation=0.3,
        recall_deviation=0.3,
        count_deviation=0.1,
        labelled_deviation=0.1,
        elsewhere_deviation=0.2,
        label_shift=1.0,
    )


def best_f1(score, is_particle):
    order = np.argsort(-score)
    hits = np.cumsum(is_particle[order])
    return (2 * hits / (np.arange(1, len(score) + 1) + is_particle.sum())).max()


def f1_at(score, is_particle, threshold):
    selected = score >= threshold
    return 2 * is_particle[selected].sum() / (selected.sum() + is_particle.sum())


@pytest.mark.parametrize(
    ("particles", "mean", "width"),
    [(8, 2.5, 0.7), (300, 2.0, 1.0), (300, 0.0, 1.3), (900, -0.5, 1.6), (1500, 3.5, 1.3)],
    ids=["sparse", "clear", "faint", "crowded and faint", "crowded"],
)
def test_threshold_and_count_are_right_at_any_density_and_contrast(particles, mean, width):
    rng = np.random.default_rng(particles)
    prior = make_wide_prior()
    score = np.concatenate([draw_background(rng, 2500, prior), rng.normal(mean, width, particles)])
    is_particle = np.arange(len(score)) >= 2500

    fit = fit_score_distribution(score, prior=prior)

    assert f1_at(score, is_particle, fit.best_threshold) > best_f1(score, is_particle) - 0.08
    assert fit.count.low <= particles <= fit.count.high


def test_promised_intervals_contain_the_truth_and_shrink_with_labels():
    rng = np.random.default_rng(1)
    particles = rng.normal(0.3, 1.2, 600)
    score = np.concatenate([draw_background(rng, 3000), particles])
    selected = score >= 0

    without = fit_score_distribution(score)
    labelled = fit_score_distribution(
        score, LabelSample.complete(rng.choice(particles, 60, replace=False))
    )

    for fit in (without, labelled):
        precision, recall = fit.estimate_precision(0.0), fit.estimate_recall(0.0)
        true_positives = (particles >= 0).sum()
        assert precision.low <= true_positives / selected.sum() <= precision.high
        assert recall.low <= true_positives / 600 <= recall.high
        assert fit.count.low <= 600 <= fit.count.high
    assert labelled.count.high / labelled.count.low < without.count.high / without.count.low


def test_labels_reveal_particles_that_the_model_hardly_sees():
    rng = np.random.default_rng(2)
    particles = rng.normal(-2.0, 1.2, 700)
    score = np.concatenate([draw_background(rng, 2000), particles])

    without = fit_score_distribution(score)
    labelled = fit_score_distribution(
        score, LabelSample.complete(rng.choice(particles, 50, replace=False))
    )

    assert labelled.estimate_recall(0.0).value < 0.2
    assert abs(np.log(labelled.count.value / 700)) < abs(np.log(without.count.value / 700))
    assert labelled.count.low <= 700 <= labelled.count.high


def test_labels_of_fainter_micrographs_do_not_add_particles_to_others():
    rng = np.random.default_rng(4)
    score = np.concatenate([draw_background(rng, 3000), rng.normal(1.2, 1.2, 500)])
    faint = rng.normal(-1.0, 1.2, 25)
    here, elsewhere = ["a.mrc", "b.mrc"], ["fainter.mrc"]

    believed = fit_score_distribution(score, LabelSample.create(faint.tolist(), here, here))
    doubted = fit_score_distribution(score, LabelSample.create(faint.tolist(), elsewhere, here))

    assert believed.estimate_recall(0.0).value == (faint >= 0).mean()
    assert abs(np.log(doubted.count.value / 500)) < abs(np.log(believed.count.value / 500)) / 2
    assert doubted.count.low <= 500 <= doubted.count.high
    recall = doubted.estimate_recall(0.0)
    assert recall.low <= (score[3000:] >= 0).mean() <= recall.high


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-6, 9, width=32), min_size=1, max_size=60))
@example([8.0])
def test_any_scores_give_finite_intervals_in_order(scores):
    fit = fit_score_distribution(np.array(scores))

    probability = fit.compute_probability(np.linspace(-6, 9, 40))
    assert np.all(np.diff(probability) >= -1e-9)
    assert np.isfinite(fit.best_threshold)
    for interval in (fit.count, fit.estimate_precision(0.0), fit.estimate_recall(0.0)):
        assert np.isfinite([interval.value, interval.low, interval.high]).all()
        assert interval.low <= interval.value <= interval.high


def test_a_table_that_was_cut_before_keeps_its_picks():
    score = np.random.default_rng(3).normal(2.5, 0.8, 200)
    cut = score[score >= 1.0]

    fit = fit_score_distribution(cut)

    assert (cut >= fit.best_threshold).mean() > 0.9
    assert fit.count.value < 2 * len(cut)


def test_equal_scores_are_not_the_end_of_a_long_tail():
    fit = fit_score_distribution(np.full(600, 5.0))

    assert 500 < fit.count.value < 1200


def test_the_stored_constants_are_complete():
    text = SCORE_PRIOR_FILE.read_text(encoding="utf-8")

    assert ScorePrior.from_json(text) == load_score_prior()
    assert load_score_prior().count_deviation > 0
