"""Plans of benchmarks, and records of their trials."""

import json
from dataclasses import asdict, replace

import pytest

from cryopick.errors import InputError, SettingsError
from cryopick.experiments.plan import BenchmarkPlan
from cryopick.experiments.results import TrialRecord, matches_trial, record_name
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.train.settings import TrainSettings

BASE = TrainSettings(diameter_ang=100.0, particles_per_micrograph=40.0)


def test_every_combination_has_one_trial_per_repeat():
    plan = BenchmarkPlan(
        settings=BASE,
        labels=(3, 5),
        repeats=2,
        objectives=("pn", "ge-kl"),
        autoencoders=("0", "10/N"),
        prior_factors=(0.5, 1.0, 2.0),
    )

    trials = plan.list_trials()

    combinations = {
        (t.labels, t.repeat, t.settings.objective, t.settings.autoencoder, t.prior_factor)
        for t in trials
    }
    assert len(combinations) == len(trials) == 2 * 2 * 2 * 2 * 3
    assert len({record_name(t) for t in trials}) == len(trials)


def test_trials_are_ordered_by_repeat():
    plan = BenchmarkPlan(settings=BASE, labels=(3, 5), repeats=3, objectives=("pn", "pu"))

    assert [t.repeat for t in plan.list_trials()] == [0] * 4 + [1] * 4 + [2] * 4


def test_methods_share_the_seed_and_labels_of_a_repeat_and_repeats_differ():
    plan = BenchmarkPlan(settings=BASE, labels=(3,), repeats=2, objectives=("pn", "pu"), seed=7)

    trials = plan.list_trials()

    seeds = [(t.settings.seed, t.label_seed, t.repeat) for t in trials]
    assert seeds == [(7, 7, 0), (7, 7, 0), (8, 7, 1), (8, 7, 1)]


def test_the_prior_factor_multiplies_the_expected_particles():
    plan = BenchmarkPlan(settings=BASE, labels=(3,), repeats=1, prior_factors=(0.5, 2.0))

    assert [t.settings.particles_per_micrograph for t in plan.list_trials()] == [20.0, 80.0]


def test_the_general_model_sets_the_normalization():
    plan = BenchmarkPlan(settings=BASE, labels=(3,), repeats=1, inits=("random", "general"))

    random, general = (t.settings for t in plan.list_trials())

    assert random.normalization == "white"
    assert general.init == "general"
    assert general.normalization == load_model(GENERAL_MODEL).normalization.kind


def test_a_given_normalization_precedes_that_of_the_model():
    plan = BenchmarkPlan(
        settings=BASE, labels=(3,), repeats=1, inits=("general",), normalizations=("micrograph",)
    )

    assert plan.list_trials()[0].settings.normalization == "micrograph"


def test_the_number_of_steps_can_follow_from_the_number_of_labels():
    plan = BenchmarkPlan(settings=BASE, labels=(10, 100), repeats=1, is_longer_with_labels=True)

    assert [t.settings.steps for t in plan.list_trials()] == [200, 900]


def test_the_name_of_a_record_identifies_its_trial():
    (trial,) = BenchmarkPlan(settings=BASE, labels=(3,), repeats=1).list_trials()
    others = [
        replace(trial, labels=4),
        replace(trial, repeat=1),
        replace(trial, label_seed=1),
        replace(trial, settings=replace(trial.settings, steps=7)),
    ]

    assert record_name(trial) == record_name(replace(trial))
    assert len({record_name(other) for other in [trial, *others]}) == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [("repeats", 0), ("labels", (0,)), ("prior_factors", (0.0,)), ("seed", -1)],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(SettingsError):
        BenchmarkPlan(**{"settings": BASE, field: value})


def test_a_missing_model_is_named():
    plan = BenchmarkPlan(settings=BASE, labels=(3,), repeats=1, inits=("nowhere.safetensors",))

    with pytest.raises(InputError, match=r"nowhere\.safetensors"):
        plan.list_trials()


def test_a_record_matches_a_trial_if_all_recorded_settings_are_equal():
    (trial,) = BenchmarkPlan(settings=BASE, labels=(3,), repeats=1).list_trials()
    settings = json.loads(json.dumps(asdict(trial.settings)))
    old_default = settings | {"steps": 7}  # a default that changed without changing the name
    without_new = {name: value for name, value in settings.items() if name != "frozen_layers"}

    assert matches_trial(make_record(settings), trial)
    assert matches_trial(make_record(without_new), trial)
    assert not matches_trial(make_record(old_default), trial)
    assert make_record(without_new).fields() == make_record(settings).fields()


def make_record(settings):
    return TrialRecord(
        labels=3,
        repeat=0,
        label_seed=0,
        label_digest="",
        prior_factor=1.0,
        prior=0.1,
        settings=settings,
        start="",
        region_average_precision=0.5,
        particle_average_precision=0.5,
        seconds=1.0,
        version="1",
    )
