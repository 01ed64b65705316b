import json
from dataclasses import asdict, replace

import pytest

from cryopick.errors import InputError, SettingsError
from cryopick.experiments.plan import Plan
from cryopick.experiments.results import Record, is_of, key_of
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.train.settings import TrainSettings

BASE = TrainSettings(diameter_ang=100.0, particles_per_micrograph=40.0)


def test_every_combination_is_run_once_for_each_repeat():
    plan = Plan(
        settings=BASE,
        labels=(3, 5),
        repeats=2,
        objectives=("pn", "ge-kl"),
        autoencoders=("0", "10/N"),
        prior_factors=(0.5, 1.0, 2.0),
    )

    trials = plan.trials()

    ways = {
        (t.labels, t.repeat, t.settings.objective, t.settings.autoencoder, t.prior_factor)
        for t in trials
    }
    assert len(ways) == len(trials) == 2 * 2 * 2 * 2 * 3
    assert len({key_of(t) for t in trials}) == len(trials)


def test_a_plan_cut_off_has_whole_repeats_first():
    plan = Plan(settings=BASE, labels=(3, 5), repeats=3, objectives=("pn", "pu"))

    assert [t.repeat for t in plan.trials()] == [0] * 4 + [1] * 4 + [2] * 4


def test_ways_of_one_repeat_share_seed_and_labels_and_repeats_do_not():
    plan = Plan(settings=BASE, labels=(3,), repeats=2, objectives=("pn", "pu"), seed=7)

    trials = plan.trials()

    seeds = [(t.settings.seed, t.label_seed, t.repeat) for t in trials]
    assert seeds == [(7, 7, 0), (7, 7, 0), (8, 7, 1), (8, 7, 1)]


def test_the_factor_multiplies_the_particles_that_are_told():
    plan = Plan(settings=BASE, labels=(3,), repeats=1, prior_factors=(0.5, 2.0))

    assert [t.settings.particles_per_micrograph for t in plan.trials()] == [20.0, 80.0]


def test_a_start_from_the_general_model_takes_the_normalisation_that_suits_it():
    plan = Plan(settings=BASE, labels=(3,), repeats=1, inits=("random", "general"))

    random, general = (t.settings for t in plan.trials())

    assert random.normalization == "white"
    assert general.init == "general"
    assert general.normalization == load_model(GENERAL_MODEL).normalization.kind


def test_a_normalisation_that_is_chosen_wins_over_the_one_that_suits():
    plan = Plan(
        settings=BASE, labels=(3,), repeats=1, inits=("general",), normalizations=("micrograph",)
    )

    assert plan.trials()[0].settings.normalization == "micrograph"


def test_runs_are_as_long_as_their_labels_ask_for_where_that_is_wanted():
    plan = Plan(settings=BASE, labels=(10, 100), repeats=1, is_longer_with_labels=True)

    assert [t.settings.steps for t in plan.trials()] == [200, 900]


def test_a_run_has_the_same_name_whenever_it_is_planned_and_another_if_it_differs():
    (trial,) = Plan(settings=BASE, labels=(3,), repeats=1).trials()
    others = [
        replace(trial, labels=4),
        replace(trial, repeat=1),
        replace(trial, label_seed=1),
        replace(trial, settings=replace(trial.settings, steps=7)),
    ]

    assert key_of(trial) == key_of(replace(trial))
    assert len({key_of(one) for one in [trial, *others]}) == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [("repeats", 0), ("labels", (0,)), ("prior_factors", (0.0,)), ("seed", -1)],
)
def test_what_cannot_be_run_is_refused(field, value):
    with pytest.raises(SettingsError):
        Plan(**{"settings": BASE, field: value})


def test_a_model_that_is_missing_is_told():
    plan = Plan(settings=BASE, labels=(3,), repeats=1, inits=("nowhere.safetensors",))

    with pytest.raises(InputError, match=r"nowhere\.safetensors"):
        plan.trials()


def test_a_record_is_of_a_run_when_all_settings_that_it_knows_agree():
    (trial,) = Plan(settings=BASE, labels=(3,), repeats=1).trials()
    settings = json.loads(json.dumps(asdict(trial.settings)))
    of_old = settings | {"steps": 7}  # the default has changed since, and the name has not
    younger = {name: value for name, value in settings.items() if name != "frozen_layers"}

    assert is_of(recorded(settings), trial)
    assert is_of(recorded(younger), trial)
    assert not is_of(recorded(of_old), trial)
    assert recorded(younger).fields() == recorded(settings).fields()


def recorded(settings):
    return Record(
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
