"""Training a network and its ensemble partner, one after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.test_train_fine_tuning import CPU, SETTINGS, start, store

from cryopick.model.architectures import ENCODER_DECODER, NetworkSettings
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.model.networks import Scorer, extract_network
from cryopick.picks import Picks
from cryopick.train.ensemble_training import find_partner_checkpoint, train_ensemble
from cryopick.train.initialization import (
    Initialization,
    choose_training_settings,
    count_trained_networks,
    load_initialization,
)
from cryopick.train.labels import LabelledMicrographs
from cryopick.train.loop import train
from cryopick.train.settings import TrainSettings
from cryopick.train.training_run import TrainingRun

__all__ = ["start", "store"]  # fixtures

PARTNER_SETTINGS = replace(SETTINGS, network=NetworkSettings(width=3), steps=4)


@pytest.fixture(scope="module")
def ensemble(store, start):
    torch.manual_seed(5)
    partner = EnsemblePartner(extract_network(Scorer(NetworkSettings(width=3)).eval()), 0.7)
    return Initialization(store, SETTINGS, start, partner, PARTNER_SETTINGS)


def weights_of(result):
    return {**result.best.state_dict(), **{f"p.{k}": v for k, v in partner_weights(result).items()}}


def partner_weights(result):
    return result.partner.scorer.state_dict()


def test_both_networks_learn_from_the_labels_like_each_alone(ensemble, tmp_path):
    steps, rows = [], []

    result = train_ensemble(
        *(ensemble, tmp_path / "run"),
        device=CPU,
        on_row=lambda row, is_partner: rows.append((row, is_partner)),
        on_progress=steps.append,
    )

    alone = train(ensemble.store, SETTINGS, tmp_path / "a", device=CPU, start=ensemble.scorer)
    partner = train(
        *(ensemble.store, PARTNER_SETTINGS, tmp_path / "b"),
        device=CPU,
        start=ensemble.partner.scorer,
    )
    torch.testing.assert_close(result.best.state_dict(), alone.best.state_dict())
    torch.testing.assert_close(partner_weights(result), partner.best.state_dict())
    assert result.partner.weight == 0.7
    assert rows == [
        *((row, True) for row in partner.curves.rows),
        *((row, False) for row in alone.curves.rows),
    ]
    assert steps == list(range(1, PARTNER_SETTINGS.steps + SETTINGS.steps + 1))


def test_the_network_is_evaluated_beside_the_trained_partner(ensemble, tmp_path):
    partners = []

    def make_validator(partner):
        partners.append(partner)
        return lambda _: (0.5, 0.5)

    result = train_ensemble(ensemble, tmp_path / "run", device=CPU, make_validator=make_validator)

    assert partners == [result.partner]
    before = ensemble.partner.scorer.state_dict()
    assert not torch.equal(partner_weights(result)["head.weight"], before["head.weight"])
    assert result.curves.rows[-1].particle_average_precision == 0.5


@pytest.mark.parametrize("stop", [2, 4, 8])
def test_an_interrupted_training_of_both_ends_like_an_uninterrupted_one(ensemble, tmp_path, stop):
    def interrupt(step):
        if step == stop + 1:  # the checkpoint of step `stop` is written
            raise KeyboardInterrupt

    whole = train_ensemble(ensemble, tmp_path / "a", device=CPU)
    with pytest.raises(KeyboardInterrupt):
        train_ensemble(ensemble, tmp_path / "b", device=CPU, on_progress=interrupt)
    assert find_partner_checkpoint(tmp_path / "b").exists()
    resumed = train_ensemble(ensemble, tmp_path / "b", device=CPU)

    first, second = weights_of(whole), weights_of(resumed)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_partner_without_settings_is_left_as_it_is(ensemble, tmp_path):
    fixed = replace(ensemble, partner_settings=None)

    result = train_ensemble(fixed, tmp_path / "run", device=CPU)

    assert result.partner == ensemble.partner
    assert not find_partner_checkpoint(tmp_path / "run").exists()


def test_changed_settings_are_those_of_both_networks(ensemble):
    changed = ensemble.change_settings(steps=9)

    assert (changed.settings.steps, changed.partner_settings.steps) == (9, 9)
    assert changed.partner_settings.network == PARTNER_SETTINGS.network
    assert (
        replace(ensemble, partner_settings=None).change_settings(steps=9).partner_settings is None
    )


def test_the_encoder_decoder_of_the_general_model_learns_as_well(store):
    chosen = choose_training_settings("general", 90.0, labels=25)
    settings = TrainSettings(diameter_ang=90.0, particles_per_micrograph=6.0, **chosen)

    start = load_initialization(settings, store)

    general = load_model(GENERAL_MODEL)
    assert start.partner.weight == general.partner.weight
    assert start.partner_settings.network.name == ENCODER_DECODER
    assert start.partner_settings.steps == settings.steps
    window_px = start.partner_settings.sampling.patch_px - general.partner.scorer.receptive_field_px
    assert window_px == settings.sampling.patch_px - general.scorer.receptive_field_px
    assert [count_trained_networks(init) for init in ("general", "random")] == [2, 1]


def test_a_run_counts_and_discards_the_steps_of_both_networks(ensemble, tmp_path):
    labels = Picks.for_micrograph("a.mrc", np.ones((1, 2)))
    (tmp_path / "a.mrc").touch()
    training = LabelledMicrographs(paths=(tmp_path / "a.mrc",), labels=labels)
    run = TrainingRun(model=tmp_path / "m.safetensors", settings=SETTINGS, training=training)
    assert run.open(overwrite=False, resume=False) == 0

    train_ensemble(ensemble, run.checkpoint, device=CPU)

    assert run.open(overwrite=False, resume=True) == PARTNER_SETTINGS.steps + SETTINGS.steps
    run.checkpoint.unlink()  # interrupted before the network itself
    assert run.open(overwrite=False, resume=False) == PARTNER_SETTINGS.steps
    assert run.open(overwrite=True, resume=False) == 0
    assert not find_partner_checkpoint(run.checkpoint).exists()
    assert run.total_steps == 2 * SETTINGS.steps
