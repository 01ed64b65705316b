"""Fine-tuning on windows: what it gains, that it resumes, and scores of left-out labels."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.errors import SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.model.networks import Scorer, extract_network
from cryopick.preprocess.mask import erode_mask
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.simulate.domain import Domain, simulate_session
from cryopick.train.cross_fit import cross_fit_scores
from cryopick.train.curves import TrainingCurves
from cryopick.train.elongated_labels import spread_labels
from cryopick.train.initialization import (
    Initialization,
    choose_model_settings,
    load_initialization,
)
from cryopick.train.loop import TrainingResult, train
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings
from cryopick.train.store_scores import score_store, translate_scores
from cryopick.train.validation import HeldOutValidator
from cryopick.train.weight_average import choose_start_weight

CPU = torch.device("cpu")
CENTRES = np.array([[x, y] for x in (20.0, 50.0, 80.0) for y in (25.0, 70.0)])
SETTINGS = TrainSettings(
    diameter_ang=12.0,
    working_pixel_size_ang=1.0,
    particles_per_micrograph=float(len(CENTRES)),
    init="general",
    objective="peaks",
    steps=6,
    checkpoint_every=2,
    learning_rate=1e-2,
    network=NetworkSettings(width=2),
    sampling=SamplingSettings(patch_px=63, unlabelled_patches=1, positive_patches=1),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two micrographs of six bright blobs, three of them labelled."""
    folder = tmp_path_factory.mktemp("store")
    for number in range(2):
        image = 3 * oracles.blobs((96, 104), CENTRES, 2.5, noise=1 / 3, seed=number) - 30
        usable = np.ones(image.shape, bool)
        stored = StoredMicrograph(image.astype(np.float32), usable, (1.0, 1.0))
        save_micrograph(folder, number, stored)
    return PreparedStore.open(folder, [CENTRES[:3]] * 2)


@pytest.fixture(scope="module")
def start():
    torch.manual_seed(3)
    return Scorer(NetworkSettings(width=2)).eval()


def test_the_result_lies_between_the_weights_before_and_after_training(store, start, tmp_path):
    weights = {}
    for weight in (0.0, 1.0, 3.0):
        settings = replace(SETTINGS, general_model_weight=weight)
        result = train(store, settings, tmp_path / str(weight), device=CPU, start=start)
        weights[weight] = result.best.state_dict()["head.weight"]

    before, after = start.state_dict()["head.weight"], weights[0.0]
    assert not torch.equal(before, after)
    torch.testing.assert_close(weights[1.0], (before + after) / 2)
    torch.testing.assert_close(weights[3.0], (3 * before + after) / 4)


def test_batch_statistics_are_kept(store, start, tmp_path):
    result = train(store, SETTINGS, tmp_path / "run", device=CPU, start=start)

    before, after = start.state_dict(), result.best.state_dict()
    statistics = [name for name in before if "running" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)


@pytest.mark.parametrize("objective", ["peaks", "ge-binomial"])
def test_a_resumed_fine_tuning_ends_like_an_uninterrupted_one(store, start, tmp_path, objective):
    settings = replace(SETTINGS, objective=objective)

    def interrupt(row):
        if row.step == 4:
            raise KeyboardInterrupt

    whole = train(store, settings, tmp_path / "a", device=CPU, start=start)
    with pytest.raises(KeyboardInterrupt):
        train(store, settings, tmp_path / "b", device=CPU, start=start, on_row=interrupt)
    resumed = train(store, settings, tmp_path / "b", device=CPU, start=start)

    assert resumed.curves.rows == whole.curves.rows
    weights, others = whole.best.state_dict(), resumed.best.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_label_is_scored_by_a_network_that_was_not_trained_on_it(store, start, monkeypatch):
    trained_on = []

    def load(_, store):
        trained_on.append({tuple(xy) for labels in store.labels_px for xy in labels})
        return Initialization(store, replace(SETTINGS, steps=2), start)

    monkeypatch.setattr("cryopick.train.cross_fit.load_initialization", load)
    distinct = replace(store, labels_px=(CENTRES[:3], CENTRES[3:5]))

    scores = cross_fit_scores(distinct, replace(SETTINGS, steps=2), final(start), CPU, folds=2)

    assert [len(values) for values in scores] == [3, 2]
    assert np.isfinite(np.concatenate(scores)).all()
    assert not trained_on[0] & trained_on[1]
    assert len(trained_on[0] | trained_on[1]) == 5
    few = replace(store, labels_px=(CENTRES[:1], CENTRES[:0]))
    with pytest.raises(ValueError, match="at least two labels"):
        cross_fit_scores(few, SETTINGS, final(start), CPU)


def final(scorer):
    """Result of a training of a network on all labels."""
    return TrainingResult(best=scorer, best_step=2, curves=TrainingCurves([]), prior=0.1)


@pytest.mark.parametrize("cores", [2, 8])
def test_folds_that_are_trained_at_once_give_the_same_scores(store, start, monkeypatch, cores):
    def load(_, store):
        return Initialization(store, replace(SETTINGS, steps=2), start)

    monkeypatch.setattr("cryopick.train.cross_fit.load_initialization", load)
    threads = torch.get_num_threads()
    scores = []
    for count in (1, cores):
        monkeypatch.setattr("cryopick.train.cross_fit.available_cores", lambda count=count: count)
        scores.append(cross_fit_scores(store, replace(SETTINGS, steps=2), final(start), CPU))

    np.testing.assert_allclose(*map(np.concatenate, scores), rtol=1e-3, atol=1e-3)
    assert torch.get_num_threads() == threads


def test_a_fold_that_fails_stops_the_others(store, start, monkeypatch):
    done = []

    def train_fold(start, *_, on_progress, **__):
        if start.store.label_count == 2:  # of the first fold
            raise SettingsError("diverged")
        for step in range(1, 10_000):
            time.sleep(0.01)
            on_progress(step)
        done.append(start)

    monkeypatch.setattr(
        "cryopick.train.cross_fit.load_initialization",
        lambda _, store: Initialization(store, SETTINGS, start),
    )
    monkeypatch.setattr("cryopick.train.cross_fit.train_ensemble", train_fold)
    monkeypatch.setattr("cryopick.train.cross_fit.available_cores", lambda: 2)

    some = replace(store, labels_px=(CENTRES[:2], CENTRES[2:5]))
    with pytest.raises(SettingsError, match="diverged"):
        cross_fit_scores(some, SETTINGS, final(start), CPU, folds=2)
    assert not done


def test_a_label_has_the_highest_score_within_a_third_of_the_diameter(store, start):
    def score(xy_px, diameter_ang):
        settings = replace(SETTINGS, diameter_ang=diameter_ang)
        return float(score_store(start, store, [xy_px, CENTRES[:0]], settings).positions[0][0])

    at, near = score(CENTRES[:1], 1.0), score(CENTRES[:1], 90.0)
    beside, reached = score(CENTRES[:1] + 8, 1.0), score(CENTRES[:1] + 8, 90.0)

    assert at < near
    assert reached >= max(at, beside)


def test_peaks_of_labelled_micrographs_away_from_labels_are_scored(store, start):
    first, second = score_store(start, store, [CENTRES[:1], CENTRES[:0]], SETTINGS).peaks

    assert len(first) >= 3  # particles without labels
    assert (np.diff(first) <= 0).all()
    assert not len(second)


def test_left_out_labels_are_scored_by_the_network_and_its_partner_together(store, start):
    torch.manual_seed(4)
    other = Scorer(NetworkSettings(width=2)).eval()
    settings = replace(SETTINGS, diameter_ang=1.0, working_pixel_size_ang=1.0)
    ensembles = (
        (start, None),
        (other, None),
        (start, EnsemblePartner(extract_network(other), 3.0)),
    )

    alone, of_other, together = (
        score_store(scorer, store, [CENTRES, CENTRES], settings, partner).positions[0]
        for scorer, partner in ensembles
    )

    np.testing.assert_allclose(together, (alone + 3 * of_other) / 4, rtol=1e-4)  # float32


def test_scores_of_a_network_that_scores_lower_are_raised_to_those_of_the_other():
    rng = np.random.default_rng(0)
    particles, noise = rng.normal(3, 1, 200), rng.normal(-4, 1, 3000)
    other_peaks = np.concatenate([particles, noise])
    peaks = np.concatenate([particles - 0.5, noise])  # lower on particles, not elsewhere
    labels = rng.normal(2.5, 1, 40)

    translated = translate_scores(labels, rng.permutation(peaks), other_peaks)

    assert np.mean(translated - labels) == pytest.approx(0.5, abs=0.1)
    assert (translate_scores(labels, peaks[:5], other_peaks) == labels).all()  # too few to tell
    assert (translate_scores(labels, peaks, peaks) == labels).all()


def test_labels_do_not_lower_the_average_precision_of_the_general_model(tmp_path):
    gains = [tune_on_kind(tmp_path / str(kind), kind) for kind in (3, 4, 5, 6)]

    assert np.mean(gains) > -0.01


def tune_on_kind(folder, kind):
    """Fine-tune the general model on a simulated kind of particles; return the gain of AP."""
    model = load_model(GENERAL_MODEL)
    usable = np.ones((256, 256), bool)
    fields = simulate_session(Domain(side_px=256), (7, kind), 4)
    for number, field in enumerate(fields):
        image = Normalization("noise").apply(field.image, usable)
        inner = erode_mask(usable, model.diameter_px / 2)
        part = folder / ("test" if number % 2 else "training")
        save_micrograph(part, number // 2, StoredMicrograph(image, inner, (1.0, 1.0)))
    truth = [field.xy_px for field in fields]
    training = PreparedStore.open(
        folder / "training", [xy_px[: max(1, min(8, len(xy_px) // 2))] for xy_px in truth[::2]]
    )
    judge = HeldOutValidator(PreparedStore.open(folder / "test", truth[1::2]), 17.0, 2.0)
    chosen = choose_model_settings("general", model, 170.0)
    settings = TrainSettings(
        **chosen
        | {
            "diameter_ang": 170.0,
            "particles_per_micrograph": 2 + float(np.mean([len(xy_px) for xy_px in truth])),
            "init": "general",
            "steps": 10,
            "sampling": replace(chosen["sampling"], patch_px=165),
        }
    )
    start = load_initialization(settings, training)
    tuned = train(training, settings, folder / "run", device=CPU, start=start.scorer).best
    before = replace(judge, partner=model.partner)(model.scorer)[1]
    return replace(judge, partner=start.partner)(tuned)[1] - before


def test_labels_of_elongated_particles_are_spread_along_them(tmp_path):
    y, x = np.indices((160, 160))
    along, across = (x - 80) * 0.6 + (y - 75) * 0.8, (y - 75) * 0.6 - (x - 80) * 0.8
    rod = np.where((np.abs(along) < 30) & (np.abs(across) < 3), -6.0, 0.0)
    noise = np.random.default_rng(0).normal(size=rod.shape)
    image = (rod + noise).astype(np.float32)
    save_micrograph(tmp_path, 0, StoredMicrograph(image, np.ones(rod.shape, bool), (1.0, 1.0)))
    label = np.array([[82.0, 74.0]])
    elongated = PreparedStore.open(tmp_path, [label])
    settings = replace(SETTINGS, diameter_ang=60.0, width_ang=6.0)

    spread, counted = spread_labels(elongated, settings, load_model(GENERAL_MODEL))
    unchanged = spread_labels(elongated, SETTINGS, load_model(GENERAL_MODEL))

    (points,) = spread.labels_px
    offset = points - (80, 75)
    assert len(points) == 5
    assert np.abs(offset[:, 1] * 0.6 - offset[:, 0] * 0.8).max() < 4  # across the rod
    assert np.ptp(offset @ (0.6, 0.8)) == pytest.approx(0.68 * 60, rel=0.05)
    assert counted.particles_per_micrograph == 5 * SETTINGS.particles_per_micrograph
    assert counted.general_model_weight == choose_start_weight(SETTINGS, 1)
    assert unchanged == (elongated, SETTINGS)
