import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.config import to_toml
from cryopick.errors import FormatError, SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.networks import Scorer
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.loop import learning_rate, train
from cryopick.train.objectives import OBJECTIVES
from cryopick.train.optimizer import Adam
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings
from cryopick.train.validation import HeldOutValidator

CPU = torch.device("cpu")
CENTRES = np.array([[x, y] for x in (20.0, 50.0, 80.0) for y in (25.0, 70.0)])
SHAPE = (96, 104)

SETTINGS = TrainSettings(
    diameter_ang=12.0,
    particles_per_micrograph=float(len(CENTRES)),
    steps=8,
    checkpoint_every=2,
    learning_rate=1e-2,
    network=NetworkSettings(width=2),
    sampling=SamplingSettings(
        patch_px=63, unlabelled_patches=3, positive_patches=1, label_radius_px=2.0
    ),
)


def made(folder, micrographs=2, labels=3, seed=0):
    """Bright blobs in noise of spread 1, some of them labelled."""
    for number in range(micrographs):
        image = 3 * oracles.blobs(SHAPE, CENTRES, 2.5, noise=1 / 3, seed=seed + number)
        image = (image - 30).astype(np.float32)
        save_micrograph(folder, number, StoredMicrograph(image, np.ones(SHAPE, bool), (1.0, 1.0)))
    return PreparedStore.open(folder, [CENTRES[:labels]] * micrographs)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    held_out = made(tmp_path_factory.mktemp("held-out"), 1, len(CENTRES), seed=50)
    return HeldOutValidator(held_out, diameter_px=12.0, label_radius_px=2.0)


@pytest.fixture(scope="module")
def straight(store, judge, tmp_path_factory):
    """A run from start to end, with dropout, which only the seed of a step decides."""
    settings = replace(SETTINGS, network=NetworkSettings(width=2, dropout=0.3))
    checkpoint = tmp_path_factory.mktemp("straight") / "run"
    return settings, train(store, settings, checkpoint, device=CPU, held_out=judge)


def same(outcome, other):
    """Return True if two outcomes agree to the last bit."""
    mine, its = outcome.best.state_dict(), other.best.state_dict()
    weights = all(torch.equal(mine[name], its[name]) for name in mine)
    steps = outcome.best_step == other.best_step
    return weights and steps and outcome.curves.rows == other.curves.rows


def test_a_few_labels_suffice_to_find_particles_on_other_micrographs(store, judge, tmp_path):
    settings = replace(SETTINGS, steps=60, checkpoint_every=60)

    untrained = judge(Scorer(settings.network).eval())
    outcome = train(store, settings, tmp_path / "run", device=CPU, held_out=judge)

    row = outcome.curves.rows[-1]
    assert row.particle_average_precision > 0.9
    assert row.region_average_precision > 0.5
    assert row.particle_average_precision > untrained[1] + 0.3
    assert row.true_positive_rate > row.false_positive_rate
    assert outcome.best_step == 60


def test_the_same_seed_gives_the_same_network_and_another_seed_another(
    straight, store, judge, tmp_path
):
    settings, first = straight

    again = train(store, settings, tmp_path / "a", device=CPU, held_out=judge)
    other = train(store, replace(settings, seed=1), tmp_path / "b", device=CPU, held_out=judge)

    assert same(again, first)
    assert not same(other, first)


def test_checkpoints_of_a_short_training_are_not_evaluated_before_the_end(store, tmp_path):
    settings = replace(SETTINGS, checkpoint_every=None)
    evaluated = []

    def judge(_):
        evaluated.append(1)
        return 0.25, 0.75

    result = train(store, settings, tmp_path / "a", device=CPU, held_out=judge)

    assert [row.step for row in result.curves.rows] == list(range(1, 9))
    precisions = [row.particle_average_precision for row in result.curves.rows]
    assert precisions == [None] * 7 + [0.75]
    assert (len(evaluated), result.best_step) == (1, 8)


@pytest.mark.parametrize("last_row", [1, 2, 3, 4])
def test_a_run_resumed_from_any_checkpoint_ends_like_an_uninterrupted_one(
    straight, store, judge, tmp_path, last_row
):
    settings, uninterrupted = straight
    rows = []

    def cut_off(row):
        rows.append(row)
        if len(rows) == last_row:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(store, settings, tmp_path / "a", device=CPU, held_out=judge, on_row=cut_off)
    torch.randn(7)  # another process would have another state of chance
    resumed = train(store, settings, tmp_path / "a", device=CPU, held_out=judge, on_row=rows.append)

    assert same(resumed, uninterrupted)
    assert rows == uninterrupted.curves.rows


def test_a_run_interrupted_between_checkpoints_ends_like_an_uninterrupted_one(
    straight, store, judge, tmp_path, monkeypatch
):
    settings, uninterrupted = straight
    learn, steps = Adam.step, []

    def killed(optimizer, *args):
        steps.append(1)
        if len(steps) == 6:  # the second step after the second checkpoint
            raise KeyboardInterrupt
        return learn(optimizer, *args)

    monkeypatch.setattr(Adam, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(store, settings, tmp_path / "a", device=CPU, held_out=judge)
    monkeypatch.undo()

    assert same(train(store, settings, tmp_path / "a", device=CPU, held_out=judge), uninterrupted)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from cryopick.config import load_toml
from cryopick.train.loop import train
from cryopick.train.settings import TrainSettings
from cryopick.preprocess.prepared_store import PreparedStore
import numpy as np

folder = Path(sys.argv[1])
torch.set_num_threads({threads})
store = PreparedStore.open(Path(sys.argv[2]), [np.array(x) for x in {labels}])
settings = load_toml(TrainSettings, folder / "settings.toml")
kill = lambda row: os.kill(os.getpid(), signal.SIGKILL) if row.step == 4 else None
train(store, settings, folder / "run", device=torch.device("cpu"), on_row=kill)
"""


def test_a_killed_process_leaves_a_run_that_can_be_finished(straight, store, tmp_path):
    settings, _ = straight
    (tmp_path / "settings.toml").write_text(to_toml(settings))
    script = KILLED.format(
        threads=torch.get_num_threads(), labels=[own.tolist() for own in store.labels_px]
    )

    status = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(store.folder)], check=False
    ).returncode
    rows = []
    resumed = train(store, settings, tmp_path / "run", device=CPU, on_row=rows.append)

    assert status == -9
    assert [row.step for row in rows] == [6, 8]
    assert same(resumed, train(store, settings, tmp_path / "other", device=CPU))


def test_a_finished_run_returns_its_result_without_training(store, judge, tmp_path, monkeypatch):
    first = train(store, SETTINGS, tmp_path / "a", device=CPU, held_out=judge)
    monkeypatch.setattr(Adam, "step", lambda *_: pytest.fail("it learnt on"))

    assert same(train(store, SETTINGS, tmp_path / "a", device=CPU, held_out=judge), first)


def test_the_network_that_did_best_on_held_out_particles_is_kept(store, tmp_path):
    scores = iter([0.2, 0.7, 0.7, 0.5])
    weights = []

    def judge(scorer):
        weights.append({k: v.clone() for k, v in scorer.state_dict().items()})
        assert not scorer.training
        return 0.9 - len(weights) / 10, next(scores)

    outcome = train(store, SETTINGS, tmp_path / "a", device=CPU, held_out=judge)

    assert outcome.best_step == 4
    best = outcome.best.state_dict()
    assert all(torch.equal(best[name], weights[1][name]) for name in best)
    assert [row.particle_average_precision for row in outcome.curves.rows] == [0.2, 0.7, 0.7, 0.5]


def test_without_held_out_micrographs_the_last_network_is_kept(store, tmp_path):
    outcome = train(store, SETTINGS, tmp_path / "a", device=CPU)

    longer = replace(SETTINGS, checkpoint_every=SETTINGS.steps)
    assert outcome.best_step == SETTINGS.steps
    best, last = outcome.best, train(store, longer, tmp_path / "b", device=CPU).best
    assert all(torch.equal(best.state_dict()[k], v) for k, v in last.state_dict().items())


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("autoencoder", ["0", "0.01", "10/N"])
def test_every_objective_trains_with_and_without_the_autoencoder(
    store, tmp_path, objective, autoencoder
):
    settings = replace(SETTINGS, objective=objective, autoencoder=autoencoder, steps=2)

    rows = train(store, settings, tmp_path / "run", device=CPU).curves.rows

    assert math.isfinite(rows[0].loss)
    assert math.isfinite(rows[0].penalty)


def losses(store, path, **values):
    return [
        row.loss for row in train(store, replace(SETTINGS, **values), path, device=CPU).curves.rows
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"penalty_weight": 0.3},
        {"independent_regions": 5},
        {"autoencoder": "0.1"},
        {"l2": 0.1},
        {"learning_rate": 1e-3},
        {"network": NetworkSettings(width=2, dropout=0.1)},
        {"network": NetworkSettings(name="resnet41", width=2)},
        {"sampling": replace(SETTINGS.sampling, rotate=False)},
        {"sampling": replace(SETTINGS.sampling, contrast=0.5)},
        {"sampling": replace(SETTINGS.sampling, noise=0.5)},
        {"sampling": replace(SETTINGS.sampling, label_radius_px=1.0)},
        {"particles_per_micrograph": 9.0},
    ],
)
def test_no_setting_is_ignored(store, tmp_path, values):
    assert losses(store, tmp_path / "a", **values) != losses(store, tmp_path / "b")


def test_the_reconstruction_improves_while_it_is_trained(store, tmp_path):
    settings = replace(SETTINGS, objective="pn", autoencoder="0.01", steps=60, checkpoint_every=20)

    rows = train(store, settings, tmp_path / "run", device=CPU).curves.rows

    # γ times the squared norm of 31 x 31 pixels of spread 1 is about ten
    assert rows[0].loss > rows[-1].loss > 0.01 * 31 * 31 / 2


@pytest.mark.parametrize(
    "values", [{"seed": 5}, {"steps": 9}, {"network": NetworkSettings(width=3)}]
)
def test_the_checkpoint_of_other_settings_is_refused(store, tmp_path, values):
    train(store, SETTINGS, tmp_path / "run", device=CPU)

    with pytest.raises(FormatError) as raised:
        train(store, replace(SETTINGS, **values), tmp_path / "run", device=CPU)

    assert "unfinished run with other settings, micrographs or labels" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_checkpoint_of_other_labels_is_refused(store, tmp_path):
    train(store, SETTINGS, tmp_path / "run", device=CPU)
    fewer = replace(store, labels_px=(store.labels_px[0][:1], store.labels_px[1]))

    with pytest.raises(FormatError, match="other settings, micrographs or labels"):
        train(fewer, SETTINGS, tmp_path / "run", device=CPU)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_checkpoint_is_refused(store, tmp_path, damage):
    path = Path(tmp_path / "run")
    train(store, SETTINGS, path, device=CPU)
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)

    with pytest.raises(FormatError, match=r"run: the checkpoint cannot be read .*--force$"):
        train(store, SETTINGS, path, device=CPU)


@pytest.mark.parametrize("particles", [1.0, 3.0])
def test_no_more_particles_than_labels_is_refused(store, tmp_path, particles):
    with pytest.raises(SettingsError, match="6 are labelled already"):
        train(
            store,
            replace(SETTINGS, particles_per_micrograph=particles),
            tmp_path / "run",
            device=CPU,
        )


def test_a_diverging_run_is_an_error(store, tmp_path):
    reckless = replace(SETTINGS, learning_rate=1e30, steps=4)

    with pytest.raises(SettingsError, match=r"diverged before step 2.*lower --learning-rate"):
        train(store, reckless, tmp_path / "run", device=CPU)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(steps):
    settings = replace(SETTINGS, steps=steps, learning_rate=0.1)
    rates = [learning_rate(step, settings) for step in range(steps + 1)]
    top = rates.index(max(rates))

    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[-1] == pytest.approx(0.1 / 25e4)
    assert max(rates) <= 0.1
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    if steps == 100:
        assert top == 30
        assert max(rates) == pytest.approx(0.1)


def test_the_prior_of_the_result_is_that_of_the_store(straight):
    _, outcome = straight

    disc, pixels = math.pi * 2**2, 2 * SHAPE[0] * SHAPE[1]
    assert outcome.prior == pytest.approx((12 - 6) * disc / (pixels - 6 * disc))
