from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny

from cryopick.errors import SettingsError
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.initialization import (
    choose_model_settings,
    choose_step_count,
    choose_training_settings,
    choose_tuning_step_count,
    find_initial_model,
    load_centre_offset,
    load_initialization,
)
from cryopick.train.settings import TrainSettings
from cryopick.train.weight_average import choose_start_weight


@pytest.mark.parametrize(
    ("init", "file"),
    [("random", None), ("general", GENERAL_MODEL), ("mine.safetensors", Path("mine.safetensors"))],
)
def test_an_initialization_has_a_name_or_a_path(init, file):
    assert find_initial_model(init) == file


@pytest.fixture
def store(tmp_path):
    """One micrograph with eight labels, in the general model's working pixels."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(160, 160)).astype(np.float32)
    stored = StoredMicrograph(image, np.ones(image.shape, bool), (1.0, 1.0))
    save_micrograph(tmp_path / "store", 0, stored)
    return PreparedStore.open(tmp_path / "store", [rng.uniform(20, 140, (8, 2))])


def settings(init, **changes):
    return TrainSettings(diameter_ang=90.0, particles_per_micrograph=5.0, init=init, **changes)


def test_fine_tuning_keeps_the_scale_and_normalization_of_the_model(tmp_path, store):
    file = tmp_path / "m.safetensors"
    model = tiny.model(file)
    usual = choose_model_settings(str(file), model, 90.0)

    chosen = settings(str(file), **usual)

    assert (chosen.network.name, chosen.network.width) == ("conv31", 2)
    assert chosen.normalization == "affine"
    assert 90.0 / chosen.working_size_ang == pytest.approx(model.diameter_px)
    start = load_initialization(chosen, store)
    assert start.partner is None
    torch.testing.assert_close(start.scorer.state_dict(), model.scorer.state_dict())


def test_the_general_model_itself_is_fine_tuned(store):
    general = load_model(GENERAL_MODEL)
    usual = choose_model_settings("general", general, 90.0)

    chosen = settings("general", **usual)

    assert chosen.network == general.scorer.settings
    assert (chosen.objective, chosen.uses_windows) == ("peaks", True)
    assert 90.0 / chosen.working_size_ang == pytest.approx(general.diameter_px)
    assert load_centre_offset("general") == general.centre_offset_px


def test_before_fine_tuning_labels_change_only_the_last_layer_of_the_general_model(store):
    general = load_model(GENERAL_MODEL).scorer.state_dict()

    fitted = load_initialization(settings("general"), store).scorer.state_dict()

    differ = {name for name, value in general.items() if not torch.equal(value, fitted[name])}
    assert differ <= {"head.weight", "head.bias"}


def test_the_weight_of_the_general_model_falls_with_the_number_of_labels():
    weights = [choose_start_weight(settings("general"), labels) for labels in (1, 10, 50, 500)]

    assert weights == sorted(weights, reverse=True)
    assert weights[0] > weights[-1] > 0
    assert choose_start_weight(settings("general", general_model_weight=0.7), 50) == 0.7
    assert choose_start_weight(settings("random"), 50) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "random", "frozen_layers": 1}, "frozen_layers must be at least 0"),
        ({"init": "random", "objective": "peaks"}, "the objective peaks needs a trained network"),
        (
            {"init": "random", "general_model_weight": 1.0},
            "general_model_weight needs --init general",
        ),
        (
            {"init": "general", "general_model_weight": -1.0},
            "general_model_weight must be at least 0",
        ),
    ],
)
def test_settings_that_contradict_the_initialization_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        settings(**changes)


def test_the_number_of_steps_grows_with_the_labels_within_limits():
    steps = [choose_step_count(labels) for labels in range(1, 2000)]

    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (200, 900)


def test_random_weights_get_a_warm_up_and_spectral_augmentation():
    lengths = [
        (usual["steps"], usual["warm_up_steps"])
        for usual in (
            choose_training_settings("random", 90.0),
            choose_training_settings("random", 90.0, labels=50),
            choose_training_settings("random", 90.0, steps=100),
        )
    ]

    assert lengths[:2] == [(500, 200), (800, 200)]
    assert lengths[2][1] == 40
    assert choose_training_settings("random", 90.0)["sampling"].spectral_augmentation == 0.2


def test_the_steps_of_fine_tuning_the_general_model_grow_with_the_labels_within_limits():
    steps = [choose_tuning_step_count(labels) for labels in range(1, 2000)]

    assert steps == sorted(steps)
    assert steps[0] < steps[-1] <= 300
    assert choose_training_settings("general", 90.0, labels=2000)["steps"] == steps[-1]


def test_fine_tuning_has_neither_warm_up_nor_spectral_augmentation(tmp_path):
    file = tmp_path / "m.safetensors"
    tiny.model(file)

    usual = choose_training_settings(str(file), 90.0, labels=50)

    assert (usual["steps"], usual["warm_up_steps"], usual["sampling"].spectral_augmentation) == (
        200,
        0,
        0.0,
    )
