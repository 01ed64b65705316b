"""The last layer that suits a few labels, and how it varies between simulate_kinds."""

import numpy as np
import pytest
import torch

from cryopick.model.architectures import NetworkSettings
from cryopick.model.networks import Scorer
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.simulate.domain import Domain
from cryopick.train import head_fit
from cryopick.train.head_fit import (
    Candidates,
    find_candidates,
    find_score_peaks,
    find_store_candidates,
    fit_head,
    read_head_weights,
    replace_head,
)
from cryopick.train.pretrain.heads import fit_head_distribution, simulate_kinds
from cryopick.train.pretrain.peak_loss import peak_loss


def logistic(rng, head, count=4000):
    """Candidates whose log-odds are linear in two features and a constant."""
    features = np.column_stack([rng.normal(size=(count, 2)), np.ones(count)])
    chance = 1 / (1 + np.exp(-features @ head))
    return features, rng.random(count) < chance


def some_labels(rng, features, is_particle, count):
    labelled = np.zeros(len(features), bool)
    labelled[rng.choice(np.flatnonzero(is_particle), count, replace=False)] = True
    return Candidates(features, labelled, 1)


def test_a_tenth_of_the_labels_gives_nearly_the_true_weights():
    rng, true = np.random.default_rng(0), np.array([2.0, -1.0, -1.5])
    features, is_particle = logistic(rng, true, 40_000)
    found = some_labels(rng, features, is_particle, int(is_particle.sum()) // 10)

    head = fit_head(found, np.zeros(3), 30 * np.eye(3), particles=float(is_particle.sum()))

    # Nearly: a small share of the labels is taken to be mistakes, which are none here.
    np.testing.assert_allclose(head, true, atol=0.3)


def test_the_weights_stay_without_labels_and_particles():
    rng, mean = np.random.default_rng(1), np.array([1.0, 0.5, -2.0])
    features, _ = logistic(rng, mean)
    none = Candidates(features, np.zeros(len(features), bool), 1)

    np.testing.assert_allclose(fit_head(none, mean, np.eye(3), particles=50.0), mean, atol=1e-6)


def test_weights_change_only_where_kinds_differ():
    rng, mean = np.random.default_rng(2), np.array([1.0, 0.0, -1.0])
    features, is_particle = logistic(rng, np.array([1.0, 2.0, -1.0]))
    found = some_labels(rng, features, is_particle, 200)

    head = fit_head(found, mean, np.diag([0, 3.0, 0]), particles=float(is_particle.sum()))

    assert head[[0, 2]] == pytest.approx(mean[[0, 2]])
    assert head[1] > 1


def test_an_outlying_label_has_little_influence():
    rng, mean = np.random.default_rng(3), np.array([1.0, 1.0, -1.0])
    features, is_particle = logistic(rng, mean)
    found = some_labels(rng, features, is_particle, 25)
    stray = Candidates(np.array([[-9.0, -9.0, 1.0]]), np.array([True]), 0)
    number = float(is_particle.sum())

    without = fit_head(found, mean, np.eye(3), particles=number)
    slip = fit_head(Candidates.concatenate([found, stray]), mean, np.eye(3), particles=number)

    assert np.abs(slip - without).max() < 0.1


def test_the_fitted_distribution_has_the_mean_and_covariance_of_the_kinds():
    rng = np.random.default_rng(4)
    true = np.array([1.0, -1.0, -1.0]) + rng.normal(size=(60, 3)) * (0.1, 1.0, 0.5)
    known = [Candidates(*logistic(rng, head, 800), 1) for head in true]

    mean, spread = fit_head_distribution(known, np.zeros(3))

    np.testing.assert_allclose(mean, true.mean(axis=0), atol=0.15)
    deviation = np.sqrt(np.diag(spread @ spread.T))
    np.testing.assert_allclose(deviation, true.std(axis=0), atol=0.15)


def network():
    torch.manual_seed(0)
    return Scorer(NetworkSettings(name="conv31", width=2)).eval()


def test_features_and_head_weights_give_the_scores_of_the_candidates():
    scorer, rng = network(), np.random.default_rng(5)
    image = rng.normal(size=(96, 80)).astype(np.float32)
    usable = np.ones(image.shape, bool)

    found = find_candidates(scorer, image, usable, np.zeros((0, 2)), diameter_px=16.0)

    scores = found.features @ read_head_weights(scorer)
    assert len(scores) > 3
    assert (np.diff(scores) <= 1e-6).all()  # best first
    other = replace_head(scorer, read_head_weights(scorer) + 1)
    np.testing.assert_allclose(read_head_weights(other), read_head_weights(scorer) + 1, rtol=1e-6)


def test_a_label_matches_its_best_peak_and_without_one_is_no_candidate():
    scorer, rng = network(), np.random.default_rng(6)
    image = rng.normal(size=(96, 96)).astype(np.float32)
    usable = np.ones(image.shape, bool)
    usable[:, 60:] = False  # a label there has no peak
    output = scorer(torch.nn.functional.pad(torch.from_numpy(image)[None, None], (15,) * 4))[0]
    best = find_score_peaks(output, 2.0, torch.from_numpy(usable[::4, ::4]))[0, ::-1] * 4.0
    labels = np.array([best + 2, best + 3, [90.0, 50.0]])

    found = find_candidates(scorer, image, usable, labels, diameter_px=16.0)

    assert np.flatnonzero(found.is_labelled).tolist() == [0]


def test_a_network_is_applied_to_a_micrograph_once_whatever_the_labels(tmp_path, monkeypatch):
    image = np.random.default_rng(7).normal(size=(96, 80)).astype(np.float32)
    usable = np.ones(image.shape, bool)
    save_micrograph(tmp_path, 0, StoredMicrograph(image, usable, (1.0, 1.0)))
    scorer = network()
    best = find_candidates(scorer, image, usable, np.zeros((0, 2)), diameter_px=16.0)
    applied, apply = [], head_fit._apply
    monkeypatch.setattr(head_fit, "_kept_peaks", {})
    monkeypatch.setattr(
        head_fit, "_apply", lambda scorer, *rest: applied.append(scorer) or apply(scorer, *rest)
    )

    found = []
    for labels_px in (np.array([[40.0, 40.0]]), np.array([[8.0, 8.0], [60.0, 70.0]])):
        store = PreparedStore.open(tmp_path, [labels_px])
        found.append(find_store_candidates(scorer, store, diameter_px=16.0))
        direct = find_candidates(scorer, image, usable, labels_px, diameter_px=16.0)
        np.testing.assert_array_equal(found[-1].is_labelled, direct.is_labelled)
        np.testing.assert_array_equal(found[-1].features, best.features)
    other = replace_head(scorer, read_head_weights(scorer) + 1)
    find_store_candidates(other, store, diameter_px=16.0)

    assert applied == [scorer, scorer, scorer, other]  # twice directly


def test_peaks_are_the_maxima_of_their_squares_in_descending_order():
    logits = torch.full((9, 9), -20.0)
    logits[2, 2], logits[2, 4], logits[7, 7] = 3.0, 2.0, 5.0

    assert find_score_peaks(logits, 2.0).tolist() == [[7, 7], [2, 2]]
    usable = torch.ones(9, 9, dtype=torch.bool)
    usable[7, 7] = False
    assert find_score_peaks(logits, 2.0, usable).tolist() == [[2, 2]]


def test_the_peak_loss_raises_particles_and_lowers_other_peaks():
    places = np.arange(0.0, 40.0, 2.0)
    logits = torch.full((1, 20, 20), -20.0)
    logits[0, 5, 5], logits[0, 15, 15] = 2.0, 2.0  # at (10, 10) a particle, at (30, 30) none
    logits.requires_grad_(True)

    loss = peak_loss(logits, [np.array([[10.0, 10.0], [30.0, 6.0]])], places, diameter_px=12.0)
    loss.backward()

    pulled = {tuple(cell): float(logits.grad[0][tuple(cell)]) for cell in logits.grad[0].nonzero()}
    signs = {(int(y), int(x)): np.sign(value) for (y, x), value in pulled.items()}
    assert signs == {(5, 5): -1, (15, 15): 1, (3, 15): -1}  # the last is the particle without one


def test_kinds_are_simulated_once(tmp_path):
    domain = Domain(molecules=(builtin_molecule("ring", 120.0),), side_px=96)

    first = list(simulate_kinds(network(), domain, 0, 1, tmp_path))
    stamp = (tmp_path / "0000.npz").stat().st_mtime_ns
    again = list(simulate_kinds(network(), domain, 0, 1, tmp_path))

    assert (tmp_path / "0000.npz").stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first[0].features, again[0].features)
