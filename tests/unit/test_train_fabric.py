"""Training on several devices: the same as on one, shown with two processes on the CPU."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles
from tests import tiny
from torch import nn
from torch.multiprocessing.spawn import ProcessRaisedException

from cryopick.errors import SettingsError
from cryopick.model.device import shared_out
from cryopick.model.model_file import load_model
from cryopick.model.networks import NetworkSettings, Scorer
from cryopick.preprocess.store import Store, Stored, save_micrograph
from cryopick.train.data_parallel import Team
from cryopick.train.fabric import check_devices, train_on
from cryopick.train.sampling import SamplingSettings
from cryopick.train.settings import TrainSettings

CPU = torch.device("cpu")
CENTRES = np.array([[x, y] for x in (20.0, 50.0, 80.0) for y in (25.0, 70.0)])

# Everything that a minibatch of several devices might get wrong: dropout, the decoder, negatives,
# an odd number of patches, and a penalty that is no mean over regions.
SETTINGS = TrainSettings(
    diameter_ang=12.0,
    particles_per_micrograph=float(len(CENTRES)),
    steps=8,
    checkpoint_every=2,
    autoencoder="0.01",
    network=NetworkSettings(width=2, dropout=0.3),
    sampling=SamplingSettings(
        patch_px=63, unlabelled_patches=3, positive_patches=1, label_radius_px=2.0
    ),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    for number in range(2):
        image = 3 * oracles.blobs((96, 104), CENTRES, 2.5, noise=1 / 3, seed=number) - 30
        usable = np.ones(image.shape, bool)
        save_micrograph(folder, number, Stored(image.astype(np.float32), usable, (1.0, 1.0)))
    return Store.open(folder, [CENTRES[:3]] * 2, [np.array([[50.0, 48.0]])] * 2)


@dataclass
class Judge:
    """Finds a network better the longer it has learnt, and stops the run after some."""

    enough: int
    asked: int = 0

    def __call__(self, scorer):
        assert not scorer.training
        if self.asked == self.enough:
            raise RuntimeError("enough")
        self.asked += 1
        return 0.5, int(scorer.encoder[0][1].num_batches_tracked) / 100


def learn(devices, store, checkpoint, *, enough=99, settings=SETTINGS):
    rows = []
    outcome = train_on(
        devices,
        CPU,
        rows.append,
        store=store,
        settings=settings,
        checkpoint=checkpoint,
        held_out=Judge(enough),
    )
    return rows, outcome


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory):
    return learn(1, store, tmp_path_factory.mktemp("alone") / "run")


def assert_alike(rows, others):
    """Rounding alone tells them apart, and a few steps let it grow no further than this."""
    assert [row.step for row in rows] == [row.step for row in others]
    for name in ("loss", "penalty", "true_positive_rate", "false_positive_rate"):
        mine, its = ([getattr(row, name) for row in own] for own in (rows, others))
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_on_one_device_goes_on_on_two_and_back(first, then, store, alone, tmp_path):
    with pytest.raises((RuntimeError, ProcessRaisedException)):  # of either process
        learn(first, store, tmp_path / "run", enough=2)

    rows, outcome = learn(then, store, tmp_path / "run")

    straight, wanted = alone
    assert [row.step for row in rows] == [6, 8]
    assert_alike(outcome.curves.rows, straight)
    for name, weights in wanted.best.state_dict().items():
        torch.testing.assert_close(outcome.best.state_dict()[name], weights, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_command_makes_the_same_model_with_two(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    line = (
        f"train --init random -m mics -p labels.tsv --diameter-ang {tiny.DIAMETER_ANG:g} "
        f"--working-pixel-size-ang {tiny.PIXEL_ANG:g} --particles-per-micrograph 12 --steps 6 "
        "--checkpoint-every 3 --width 2 --unlabelled-patches 2 --positive-patches 1 --device cpu"
    )

    run_words(f"{line} -o one.safetensors")
    said = run_words(f"{line} -o two.safetensors --devices 2").stderr

    assert said.count("step 3/6") == said.count("step 6/6") == 1
    one, two = (load_model(f"{name}.safetensors") for name in ("one", "two"))
    assert two.summary == one.summary
    for name, weights in one.scorer.state_dict().items():
        torch.testing.assert_close(two.scorer.state_dict()[name], weights, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_what_is_wrong_for_one_is_told_for_two(store, tmp_path):
    reckless = replace(SETTINGS, learning_rate=1e30)

    with pytest.raises(SettingsError, match="diverged before step 2"):
        learn(2, store, tmp_path / "run", settings=reckless)


def test_a_device_alone_keeps_its_network_as_it_is():
    scorer = Scorer(NetworkSettings(width=2))
    kinds = [type(module) for module in scorer.modules()]

    joined = Team().joined(scorer)

    assert joined is scorer
    assert [type(module) for module in joined.modules()] == kinds


class Mirror(Team):
    """One of two devices of which the other has the same patches."""

    def __init__(self):
        super().__init__()
        self.size = 2

    def _gathered(self, own):
        return torch.stack([own, own])


def test_shared_normalisation_keeps_weights_names_and_statistics_over_all_patches():
    torch.manual_seed(0)
    alone, x = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 6) * 2 + 1
    with torch.no_grad():
        alone.weight.uniform_(0.5, 2)
        alone.bias.uniform_(-1, 1)
    shared = Mirror().joined(nn.Sequential(alone))[0]

    wanted, found = alone(torch.cat([x, x])), shared(x)

    assert shared.weight is alone.weight
    assert list(shared.state_dict()) == list(alone.state_dict())
    torch.testing.assert_close(found, wanted[:4])
    assert shared.running_var is alone.running_var  # updated twice by now, in the same way
    assert shared.num_batches_tracked == 2
    fresh = nn.BatchNorm2d(3)
    fresh(torch.cat([x, x]))
    fresh(torch.cat([x, x]))
    torch.testing.assert_close(shared.running_var, fresh.running_var)
    torch.testing.assert_close(shared.running_mean, fresh.running_mean)
    assert torch.equal(shared.eval()(x), alone.eval()(x))


def test_patches_come_back_in_the_order_of_the_minibatch():
    team = Mirror()
    patches = torch.arange(5.0).reshape(5, 1, 1, 1)

    own = team.own(patches)

    assert own.flatten().tolist() == [0, 2, 4]
    assert team.of_all(own[:, 0]).flatten().tolist() == [0, 0, 2, 2, 4]


@pytest.mark.parametrize(
    ("number", "device", "message"),
    [
        (11, "cpu", "a minibatch has 10 patches to share"),
        (2, "mps", "this machine has 1 of mps; take fewer, or add --device cpu"),
    ],
)
def test_more_devices_than_there_are_or_can_share_are_refused(number, device, message):
    with pytest.raises(SettingsError, match=message):
        check_devices(number, torch.device(device), SamplingSettings())


def test_the_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)

    check_devices(1, CPU, SamplingSettings())
    with pytest.raises(SettingsError, match=r"pip install 'cryopick\[devices\]'"):
        check_devices(2, CPU, SamplingSettings())


def test_workers_of_a_machine_take_its_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    gpus = [shared_out(torch.device("cuda"), worker) for worker in range(3)]

    assert [gpu.index for gpu in gpus] == [0, 1, 0]
    assert shared_out(torch.device("cuda:1"), 0).index == 1
    assert shared_out(CPU, 1) == CPU
