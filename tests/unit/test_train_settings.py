import math
from dataclasses import replace

import numpy as np
import pytest

from cryopick.config import load_toml, to_toml
from cryopick.errors import SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.preprocess.settings import DIAMETER_PX
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings


def settings(**values):
    return TrainSettings(**{"diameter_ang": 190.0, "particles_per_micrograph": 650.0} | values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"diameter_ang": 0.0}, "diameter_ang must be above 0; got 0"),
        ({"particles_per_micrograph": -1.0}, "particles_per_micrograph must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0 and finite; got nan"),
        ({"pixel_size_ang": math.inf}, "pixel_size_ang must be above 0 and finite; got inf"),
        ({"working_pixel_size_ang": 0.0}, "working_pixel_size_ang must be above 0"),
        ({"width_ang": 1e6}, "width_ang must be at most diameter_ang"),
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1; got 0"),
        ({"independent_regions": 0}, "independent_regions must be at least 1; got 0"),
        ({"l2": -1.0}, "l2 must be at least 0; got -1"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
        ({"penalty_weight": -1.0}, "penalty_weight must be at least 0; got -1"),
        ({"penalty_weight": math.nan}, "penalty_weight must be at least 0 and finite; got nan"),
        (
            {"autoencoder": "N/10"},
            "autoencoder must be a number of at least 0, or 10/N; got 'N/10'",
        ),
        ({"autoencoder": "-1"}, "autoencoder must be a number of at least 0, or 10/N; got '-1'"),
        ({"autoencoder": "nan"}, "autoencoder must be a number of at least 0, or 10/N; got 'nan'"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        settings(**values)


@pytest.mark.parametrize("steps", [1, 7, 42, 99, 100, 160, 500])
def test_training_saves_at_least_each_eighth_and_evaluates_each_fifty_steps(steps):
    training = settings(steps=steps)
    saved = [step for step in range(1, steps + 1) if training.saves_at(step)]
    evaluated = [step for step in range(1, steps + 1) if training.evaluates_at(step)]

    assert np.diff([0, *saved]).max() <= max(1, steps / 8)
    assert len(saved) <= max(16, steps // 50 + 1)
    assert evaluated == sorted({*range(50, steps + 1, 50), steps})
    assert set(evaluated) <= set(saved)


def test_a_given_checkpoint_interval_is_used_for_both():
    training = settings(steps=60, checkpoint_every=25)

    assert [step for step in range(1, 61) if training.saves_at(step)] == [25, 50, 60]
    assert [step for step in range(1, 61) if training.evaluates_at(step)] == [25, 50, 60]


def test_an_unknown_objective_in_a_settings_file_is_refused_with_the_choices(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('diameter_ang = 190.0\nobjective = "hinge"\n')

    with pytest.raises(SettingsError) as caught:
        load_toml(TrainSettings, path)

    choices = '"pn", "pu", "nnpu", "ge-kl", "ge-binomial", "peaks"'
    assert str(caught.value) == f'{path}: objective: expected one of {choices}, found "hinge"'


@pytest.mark.parametrize("objective", ["pn", "pu", "nnpu"])
def test_a_weight_for_an_objective_without_one_is_refused_not_ignored(objective):
    with pytest.raises(SettingsError, match=f"the objective {objective} has no penalty to weight"):
        settings(objective=objective, penalty_weight=1.0)


@pytest.mark.parametrize(
    ("text", "labels", "gamma"),
    [("0", 5, 0.0), ("0.25", 5, 0.25), ("10/N", 5, 2.0), ("10 / n", 100, 0.1), ("1e-3", 1, 1e-3)],
)
def test_the_weight_of_the_autoencoder_is_a_number_or_ten_a_label(text, labels, gamma):
    assert settings(autoencoder=text).gamma(labels) == pytest.approx(gamma)


def test_the_working_pixel_follows_from_the_diameter_unless_it_is_given():
    assert settings().working_size_ang == pytest.approx(190 / DIAMETER_PX)
    assert settings(working_pixel_size_ang=8.0).working_size_ang == 8.0


def test_settings_survive_a_file(tmp_path):
    mine = settings(
        objective="ge-kl",
        penalty_weight=3.0,
        network=NetworkSettings(name="conv63", dropout=0.25),
        sampling=SamplingSettings(patch_px=127, rotate=False),
    )
    (tmp_path / "settings.toml").write_text(to_toml(mine))

    assert load_toml(TrainSettings, tmp_path / "settings.toml") == mine


def test_a_settings_file_with_former_names_opens(tmp_path):
    old = "diameter_ang = 190.0\nproposal_steps = 5\nguide_weight = 0.5\ninit = 'general'\n"
    (tmp_path / "settings.toml").write_text(f"{old}\n[sampling]\ncolour = 0.3\n")

    loaded = load_toml(TrainSettings, tmp_path / "settings.toml")

    assert (loaded.warm_up_steps, loaded.general_model_weight) == (5, 0.5)
    assert loaded.sampling.spectral_augmentation == 0.3


def test_only_elongated_particles_have_sides():
    assert settings().sides_px is None
    rods = replace(settings(), diameter_ang=340.0, width_ang=34.0, scale_ang=102.0)
    assert rods.sides_px == pytest.approx((340 / 6, 34 / 6))
    assert rods.diameter_px == pytest.approx(17)
