"""Particle count and calibration, estimated from scores and a few labels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from cryopick.errors import SettingsError
from cryopick.picks import Picks, concatenate
from cryopick.train.particle_count import (
    GeneralModelSample,
    ParticleCountEstimate,
    ParticleStatistics,
    choose_sample,
    count_complete_labels,
    resolve_particle_count,
)
from cryopick.train.score_mixture import estimate_particles, solve_logit_shift
from cryopick.train.settings import TrainSettings

many = st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=50).map(np.array)


def mixture(particles, others, mean=2.0, seed=0):
    """Draw normal scores of particles and exponential scores of background, with 25 labels."""
    rng = np.random.default_rng(seed)
    score = np.concatenate([rng.normal(mean, 1.2, particles), rng.exponential(1.2, others) - 6])
    is_known = np.zeros(len(score), bool)
    is_known[rng.choice(particles, 25, replace=False)] = True
    return score, is_known


@pytest.mark.parametrize("mean", [-0.5, 1.0, 3.0])
@pytest.mark.parametrize(("particles", "others"), [(300, 3000), (1500, 3000)])
def test_the_count_is_estimated_although_the_scores_are_not_calibrated(particles, others, mean):
    score, is_known = mixture(particles, others, mean)

    number = estimate_particles(score, is_known)

    assert number == pytest.approx(particles, rel=0.25)
    if mean < 0:  # what the scores say by themselves is far off
        assert expit(score).sum() < 0.75 * particles


def test_the_order_of_picks_does_not_matter():
    score, is_known = mixture(200, 1000)
    order = np.random.default_rng(1).permutation(len(score))

    assert estimate_particles(score, is_known) == pytest.approx(
        estimate_particles(score[order], is_known[order]), rel=1e-9
    )


@pytest.mark.parametrize("known", [0, 3])
def test_without_unlabelled_picks_the_count_is_that_of_the_labels(known):
    assert estimate_particles(np.zeros(known), np.ones(known, bool)) == known


@given(many, st.floats(0.1, 0.9))
def test_shifted_probabilities_sum_to_the_number(score, share):
    wanted = share * len(score)

    assert expit(score + solve_logit_shift(score, wanted)).sum() == pytest.approx(wanted, rel=1e-6)


def test_a_given_count_is_compared_with_the_interval():
    estimate = ParticleCountEstimate(500.0, 400.0, 625.0)

    assert estimate.objection(450.0) == ""
    assert "1000 particles per micrograph is above the estimate" in estimate.objection(1000.0)
    assert "100 particles per micrograph is below the estimate" in estimate.objection(100.0)
    assert "500 particles per micrograph (95 %: 400 to 625)" in estimate.objection(100.0)


def test_complete_labels_are_counted():
    counts = {"a": 90, "b": 110, "c": 100}
    complete = concatenate(
        [Picks.for_micrograph(name, np.zeros((n, 2))) for name, n in counts.items()]
    )

    estimate = count_complete_labels(complete)

    assert estimate.number == 100.0
    assert 80 < estimate.low < 95
    assert 105 < estimate.high < 125
    assert count_complete_labels(Picks.for_micrograph("a", np.zeros((0, 2)))) is None
    assert ParticleStatistics(sample=None, complete=complete).estimate == estimate


def test_a_missing_count_becomes_the_estimate_but_exceeds_the_labels():
    settings = TrainSettings(diameter_ang=100.0)
    estimate = ParticleCountEstimate(50.0, 40.0, 60.0)

    assert resolve_particle_count(settings, estimate, 40, 4).particles_per_micrograph == 50.0
    assert resolve_particle_count(settings, estimate, 400, 4).particles_per_micrograph == 110.0
    given = TrainSettings(diameter_ang=100.0, particles_per_micrograph=7.0)
    assert resolve_particle_count(given, estimate, 40, 4) is given
    with pytest.raises(SettingsError, match="give --particles-per-micrograph"):
        resolve_particle_count(settings, None, 40, 4)


def test_the_sample_spreads_over_labelled_and_unlabelled_micrographs():
    paths = [Path(f"{number:02d}") for number in range(40)]
    labels = concatenate(
        [Picks.for_micrograph(f"{number:02d}", np.zeros((1, 2))) for number in range(20)]
    )

    chosen = choose_sample(paths, labels)

    numbers = [int(path.name) for path in chosen]
    assert len(chosen) == len(set(chosen)) == 16
    assert sorted(numbers)[:8] == [number for number in numbers if number < 20]
    assert {0, 19, 20, 39} <= set(numbers)
    assert choose_sample(paths[:3], labels) == paths[:3]


def test_probabilities_sum_to_the_particles_and_labels_are_matched():
    score, is_known = mixture(200, 1000)
    xy = np.random.default_rng(2).uniform(0, 4000, (len(score), 2))
    picks = Picks.for_micrograph("a", xy, score)
    sample = GeneralModelSample(picks, Picks.for_micrograph("a", xy[is_known]), 30.0)

    assert sample.is_label.sum() == 25
    assert sample.probability.sum() == pytest.approx(sample.particles)
    estimate = sample.estimate()
    assert estimate.low < 200 < estimate.high
    assert estimate.number == pytest.approx(sample.particles, rel=0.01)


def test_too_few_particles_give_no_estimate():
    unsure = Picks.for_micrograph("a", np.zeros((2, 2)), np.full(2, -5.0))
    nothing = GeneralModelSample(unsure, Picks.for_micrograph("a", np.zeros((0, 2))), 9.0)

    assert nothing.estimate() is None
