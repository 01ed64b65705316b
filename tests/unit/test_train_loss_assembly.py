"""The loss of a training step, against a slow twin that adds its terms region by region."""

import copy
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.model.architectures import NetworkSettings
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.data_parallel import DeviceGroup
from cryopick.train.loop import _Run
from cryopick.train.sampling import NEGATIVE, POSITIVE, UNLABELLED
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings

CPU = torch.device("cpu")
PRIOR = 0.03
LABELS = 3

# Small patches of 9 regions: all 34 of a minibatch are decoded, so that no draw matters.
SETTINGS = TrainSettings(
    diameter_ang=12.0,
    particles_per_micrograph=6.0,
    steps=8,
    autoencoder="10/N",
    independent_regions=5,
    network=NetworkSettings(width=2, dropout=0.0),
    sampling=SamplingSettings(
        patch_px=39, unlabelled_patches=3, positive_patches=2, label_radius_px=2.0
    ),
)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Compute in float32 on machines that otherwise train in bfloat16."""
    monkeypatch.setattr("cryopick.train.loop.autocast_context", lambda _: nullcontext())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A micrograph without any symmetry, with three labels and two negatives."""
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(3)
    image = rng.normal(size=(96, 104)).cumsum(axis=1).astype(np.float32)
    image = (image - image.mean()) / image.std()
    save_micrograph(folder, 0, StoredMicrograph(image, np.ones(image.shape, bool), (1.0, 1.0)))
    labels = np.array([[20.0, 25.0], [50.0, 70.0], [80.0, 25.0]])
    negatives = np.array([[50.0, 25.0], [20.0, 70.0]])
    return PreparedStore.open(folder, [labels], [negatives])


def twin_loss(run, batch):
    """Add the terms of the loss one region at a time; only the networks are the run's."""
    scorer = run.scorer.train()
    features = scorer.encode(batch.patches)
    logit_grid = scorer.classify(features).reshape(batch.kinds.shape)
    logits = {POSITIVE: [], NEGATIVE: [], UNLABELLED: []}
    regions, codes = [], []
    stride, field = scorer.stride_px, scorer.receptive_field_px
    for patch, row, column in np.ndindex(batch.kinds.shape):
        kind = int(batch.kinds[patch, row, column])
        if kind not in logits:
            continue
        logits[kind].append(logit_grid[patch, row, column].item())
        top, left = stride * row, stride * column
        regions.append(batch.patches[patch, 0, top : top + field, left : left + field])
        codes.append(features[patch, :, row, column])
    terms = twin_objective(run.settings.objective, logits[POSITIVE], logits[UNLABELLED])
    loss = terms
    if run.decoder:
        decoded = run.decoder.train()(torch.stack(codes))
        errors = [
            sum(difference**2 for difference in (region - image).detach().flatten().tolist())
            for region, image in zip(regions, decoded, strict=True)
        ]
        loss += 10 / LABELS * oracles.mean(errors)
    if logits[NEGATIVE]:
        partner = batch.partner_logits.tolist()
        loss += oracles.mean(
            oracles.cross_entropy(logit + score, False)
            for logit, score in zip(logits[NEGATIVE], partner, strict=True)
        )
    return loss, len(regions)


def twin_objective(name, positive, unlabelled):
    if name == "pn":
        return oracles.positive_negative(positive, unlabelled, PRIOR)
    if name in ("pu", "nnpu"):
        return oracles.nonnegative(positive, unlabelled, PRIOR)
    on_labels = oracles.mean(oracles.cross_entropy(x, True) for x in positive)
    if name == "ge-kl":
        return on_labels + 10.0 * oracles.divergence(unlabelled, PRIOR)
    g = torch.sigmoid(torch.tensor(unlabelled, dtype=torch.float64))
    q = oracles.exact_counts_by_recursion(g).tolist()
    weight = 5 / len(unlabelled)  # independent regions over regions
    return on_labels + weight * oracles.count_cross_entropy(q, PRIOR)


@pytest.mark.parametrize("autoencoder", ["0", "10/N"])
@pytest.mark.parametrize("objective", ["pn", "pu", "nnpu", "ge-kl", "ge-binomial"])
def test_the_loss_of_a_step_is_the_sum_of_the_terms_of_its_regions(store, objective, autoencoder):
    settings = replace(SETTINGS, objective=objective, autoencoder=autoencoder)
    run = _Run(store, settings, PRIOR, CPU, None, None, DeviceGroup())
    batch = run.main.sampler.batch(0, CPU)
    batch = replace(batch, partner_logits=torch.linspace(-1, 2, len(batch.partner_logits)))
    expected, regions = twin_loss(copy.deepcopy(run), batch)

    loss = run.step(0, batch).loss.item()

    assert 24 < regions <= 64  # all are decoded, and enough to average
    assert len(batch.partner_logits)
    assert loss == pytest.approx(expected, rel=1e-5)  # float32 against float64 sums


def test_the_penalty_has_its_whole_weight_where_all_regions_are_independent(store):
    settings = replace(SETTINGS, independent_regions=500, autoencoder="0")
    run = _Run(store, settings, PRIOR, CPU, None, None, DeviceGroup())
    heavier = replace(settings, penalty_weight=3.0)
    other = _Run(store, heavier, PRIOR, CPU, None, None, DeviceGroup())  # the same seed
    batch = run.main.sampler.batch(0, CPU)

    one, three = run.step(0, batch), other.step(0, batch)

    assert three.loss.item() - one.loss.item() == pytest.approx(2 * one.penalty.item(), rel=1e-4)
