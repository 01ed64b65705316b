"""Particle count and calibration, estimated from scores and a few labels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from tests.score_samples import draw_background

from cryopick.errors import SettingsError
from cryopick.picks import Picks, concatenate
from cryopick.train.calibration_fit import solve_logit_shift
from cryopick.train.particle_count import (
    GeneralModelSample,
    ParticleCountEstimate,
    ParticleStatistics,
    choose_sample,
    count_complete_labels,
    resolve_particle_count,
)
from cryopick.train.settings import TrainSettings

many = st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=50).map(np.array)


def sample_of(particles, others, mean=2.0, seed=0, labels=25):
    """Draw scores of particles and background on two micrographs, with some labels."""
    rng = np.random.default_rng(seed)
    score = np.concatenate([rng.normal(mean, 1.2, particles), draw_background(rng, others)])
    xy = rng.uniform(0, 40_000, (len(score), 2))
    index = rng.integers(0, 2, len(score))
    picks = Picks(micrographs=("a", "b"), index=index, xy_px=xy, score=score)
    return GeneralModelSample(
        picks, picks.select(rng.choice(particles, labels, replace=False)), 30.0
    )


@pytest.mark.parametrize("mean", [-0.5, 1.0, 3.0])
@pytest.mark.parametrize(("particles", "others"), [(300, 3000), (1500, 3000)])
def test_the_interval_of_the_count_contains_the_truth(particles, others, mean):
    estimate = sample_of(particles, others, mean).estimate()

    assert estimate.low < particles / 2 < estimate.high
    assert estimate.number == pytest.approx(particles / 2, rel=0.3)
    assert estimate.objection(particles / 2) == ""


def test_a_count_that_is_surely_wrong_is_objected_to():
    estimate = sample_of(300, 3000).estimate()

    assert estimate.objection(10.0)
    assert estimate.objection(3000.0)


@given(many, st.floats(0.1, 0.9))
def test_shifted_probabilities_sum_to_the_number(score, share):
    wanted = share * len(score)

    assert expit(score + solve_logit_shift(score, wanted)).sum() == pytest.approx(wanted, rel=1e-6)


def test_a_given_count_is_compared_with_the_interval():
    estimate = ParticleCountEstimate(500.0, 400.0, 625.0)

    assert estimate.objection(450.0) == ""
    assert estimate.objection(340.0) == ""  # outside, but not surely wrong
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


def test_labels_are_scored_by_the_picks_that_match_them():
    sample = sample_of(200, 1000)
    missed = concatenate([sample.labels, Picks.for_micrograph("b", np.array([[1e6, 1e6]]))])

    scores = GeneralModelSample(sample.picks, missed, 30.0).label_scores

    assert sample.is_label.sum() == 25
    assert scores[-1] == -np.inf
    assert np.isfinite(scores[:-1]).all()
    assert scores[:-1].mean() == pytest.approx(2.0, abs=1.0)
    assert 0 <= sample.floor_probability < 0.2


def test_too_few_particles_give_no_estimate():
    unsure = Picks.for_micrograph("a", np.zeros((2, 2)), np.full(2, -5.0))
    nothing = GeneralModelSample(unsure, Picks.for_micrograph("a", np.zeros((0, 2))), 9.0)

    assert nothing.estimate() is None
