"""Data-parallel training gives what one device gives, shown with processes on the CPU.

In float64 only the order of summation tells the ranks apart, so there the comparison is tight.
Processors that multiply bfloat16 train in it: a change in the eighth digit of the patches then
rounds gradients by a percent, and Adam turns the small ones of them into whole steps.
"""

import pickle
import shutil
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests import oracles_learn as oracles
from tests import tiny
from torch import nn
from torch.multiprocessing.spawn import ProcessRaisedException

from cryopick.errors import SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.device import assign_gpu
from cryopick.model.model_file import load_model
from cryopick.model.networks import Scorer
from cryopick.model.torch_device import has_fast_bfloat16, widen_to_float32
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.data_parallel import DeviceGroup
from cryopick.train.fabric import check_device_count, train_on_devices
from cryopick.train.loop import train
from cryopick.train.sampling_settings import SamplingSettings
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
        save_micrograph(
            folder, number, StoredMicrograph(image.astype(np.float32), usable, (1.0, 1.0))
        )
    return PreparedStore.open(folder, [CENTRES[:3]] * 2, [np.array([[50.0, 48.0]])] * 2)


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
    rows, steps = [], []
    outcome = train_on_devices(
        devices,
        CPU,
        rows.append,
        steps.append,
        store=store,
        settings=settings,
        checkpoint=checkpoint,
        held_out=Judge(enough),
    )
    assert steps == list(range(steps[0], settings.steps + 1))
    return rows, outcome


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory):
    return learn(1, store, tmp_path_factory.mktemp("alone") / "run")


def assert_same_curves(rows, others):
    """Compare curves to within what rounding makes of a few steps."""
    tolerance = 2**-8 if has_fast_bfloat16(CPU) else 1e-4  # 2**-8: bfloat16's own
    assert [row.step for row in rows] == [row.step for row in others]
    for name in ("loss", "penalty", "true_positive_rate", "false_positive_rate"):
        mine, its = ([getattr(row, name) for row in own] for own in (rows, others))
        np.testing.assert_allclose(mine, its, rtol=tolerance, atol=1e-6)


def assert_same_scorer(scorer, expected, image):
    """Compare weights, or the scores of an image where training rounds to bfloat16.

    There, one device whose patches differ by 1e-6 of themselves ends with scores up to 2.5 % of
    their standard deviation apart (root mean square; the largest of 12 such runs).
    """
    if not has_fast_bfloat16(CPU):
        weights, expected_weights = scorer.state_dict(), expected.state_dict()
        torch.testing.assert_close(weights, expected_weights, rtol=1e-3, atol=1e-5)
        return
    pixels = torch.from_numpy(image - image.mean())[None, None] / image.std()
    with torch.no_grad():
        scores, expected_scores = scorer.eval()(pixels), expected.eval()(pixels)
    rms = (scores - expected_scores).square().mean().sqrt()
    assert rms < 0.1 * expected_scores.std()


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_on_one_device_goes_on_on_two_and_back(first, then, store, alone, tmp_path):
    with pytest.raises((RuntimeError, ProcessRaisedException)):  # of either process
        learn(first, store, tmp_path / "run", enough=2)

    rows, outcome = learn(then, store, tmp_path / "run")

    straight, wanted = alone
    assert [row.step for row in rows] == [6, 8]
    assert_same_curves(outcome.curves.rows, straight)
    assert outcome.best_step == wanted.best_step
    assert_same_scorer(outcome.best, wanted.best, store.window(0, 0, 0, 96).image)


@contextmanager
def double_precision():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def train_rank(fabric, pickled):
    with double_precision():
        outcome = train(**pickle.loads(pickled), device=CPU, group=DeviceGroup(fabric))
    return [asdict(row) for row in outcome.curves.rows]


def learn_in_double(ranks, store, checkpoint, *, enough=99, settings=SETTINGS):
    """Train in float64; return the rows of the curves, and the checkpoint's tensors."""
    arguments = {"store": store, "settings": settings, "checkpoint": checkpoint}
    pickled = pickle.dumps(arguments | {"held_out": Judge(enough)})
    if ranks == 1:
        return train_rank(None, pickled), load_file(checkpoint)
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=ranks, strategy="ddp_spawn")
    return fabric.launch(train_rank, pickled), load_file(checkpoint)


def assert_equal_in_double(found, expected):
    """Compare runs in float64, where the order of summation moves a tensor by 1e-12 at most.

    The moments of the optimizer hold the gradients, which its steps alone would not show: those
    of Adam do not depend on the scale of the gradients.
    """
    (rows, tensors), (expected_rows, expected_tensors) = found, expected
    assert len(rows) == len(expected_rows)
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-6)  # curves are of float32
    assert tensors.keys() == expected_tensors.keys()
    for name, tensor in expected_tensors.items():
        assert tensor.dtype in (torch.float64, torch.int64) or name.endswith(".step"), name
        gap = (tensors[name] - tensor).abs().max()
        assert gap <= 1e-9 * tensor.abs().max(), f"{name}: {gap:g}"


@pytest.fixture(scope="module")
def interrupted(store, tmp_path_factory):
    """The checkpoint of a run in float64 before its last step, and what that step makes of it.

    Before the first step the head is zero and no gradient of the objective passes it.
    """
    settings = replace(SETTINGS, steps=4, checkpoint_every=1)
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(RuntimeError, match="enough"):
        learn_in_double(1, store, folder / "run", enough=3, settings=settings)
    shutil.copy(folder / "run", folder / "finished")
    return (
        settings,
        folder / "run",
        learn_in_double(1, store, folder / "finished", settings=settings),
    )


@pytest.mark.slow
def test_a_step_of_three_ranks_is_that_of_one_in_double(store, interrupted, tmp_path):
    settings, checkpoint, expected = interrupted
    shutil.copy(checkpoint, tmp_path / "run")

    found = learn_in_double(3, store, tmp_path / "run", settings=settings)

    assert_equal_in_double(found, expected)


@pytest.mark.slow
def test_a_run_resumed_on_other_numbers_of_ranks_is_the_same_in_double(store, tmp_path):
    with pytest.raises(ProcessRaisedException, match="enough"):
        learn_in_double(2, store, tmp_path / "run", enough=1)
    with pytest.raises(RuntimeError, match="enough"):
        learn_in_double(1, store, tmp_path / "run", enough=1)

    found = learn_in_double(3, store, tmp_path / "run")

    assert_equal_in_double(found, learn_in_double(1, store, tmp_path / "alone"))


def test_half_precision_alone_is_widened():
    dtypes = (torch.bfloat16, torch.float16, torch.float32, torch.float64)

    widened = [widen_to_float32(torch.ones(2, dtype=dtype)).dtype for dtype in dtypes]

    assert widened == [torch.float32, torch.float32, torch.float32, torch.float64]


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
    assert_same_scorer(two.scorer, one.scorer, tiny.blobs(0)[0])


@pytest.mark.slow
def test_two_devices_report_the_error_of_one(store, tmp_path):
    reckless = replace(SETTINGS, learning_rate=1e30)

    with pytest.raises(SettingsError, match="diverged before step 2"):
        learn(2, store, tmp_path / "run", settings=reckless)


def test_a_device_alone_keeps_its_network_as_it_is():
    scorer = Scorer(NetworkSettings(width=2))
    kinds = [type(module) for module in scorer.modules()]

    synchronized = DeviceGroup().synchronize_layers(scorer)

    assert synchronized is scorer
    assert [type(module) for module in synchronized.modules()] == kinds


class Mirror(DeviceGroup):
    """One of two devices of which the other has the same patches."""

    def __init__(self):
        super().__init__()
        self.size = 2

    def _all_gather(self, local):
        return torch.stack([local, local])


def test_shared_normalisation_keeps_weights_names_and_statistics_over_all_patches():
    torch.manual_seed(0)
    alone, x = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 6) * 2 + 1
    with torch.no_grad():
        alone.weight.uniform_(0.5, 2)
        alone.bias.uniform_(-1, 1)
    shared = Mirror().synchronize_layers(nn.Sequential(alone))[0]

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
    group = Mirror()
    patches = torch.arange(5.0).reshape(5, 1, 1, 1)

    local = group.select_local(patches)

    assert local.flatten().tolist() == [0, 2, 4]
    assert group.gather(local[:, 0]).flatten().tolist() == [0, 0, 2, 2, 4]


@pytest.mark.parametrize(
    ("number", "device", "message"),
    [
        (11, "cpu", "a minibatch has only 10 patches"),
        (2, "mps", "this machine has 1 of mps; use fewer, or add --device cpu"),
    ],
)
def test_more_devices_than_there_are_or_can_share_are_refused(number, device, message):
    with pytest.raises(SettingsError, match=message):
        check_device_count(number, torch.device(device), SamplingSettings())


def test_the_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)

    check_device_count(1, CPU, SamplingSettings())
    with pytest.raises(SettingsError, match=r"pip install 'cryopick\[devices\]'"):
        check_device_count(2, CPU, SamplingSettings())


def test_workers_of_a_machine_take_its_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    gpus = [assign_gpu(torch.device("cuda"), worker) for worker in range(3)]

    assert [gpu.index for gpu in gpus] == [0, 1, 0]
    assert assign_gpu(torch.device("cuda:1"), 0).index == 1
    assert assign_gpu(CPU, 1) == CPU
