"""Warm-up on blob detections, before training on labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles

from cryopick.model.architectures import NetworkSettings
from cryopick.preprocess.blob_detection import multiscale_blob_response
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.loop import learning_rate, train
from cryopick.train.prior import compute_disc_area
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings
from cryopick.train.warm_up import label_blobs

CPU = torch.device("cpu")
CENTRES = np.array([[x, y] for x in (20.0, 52.0, 80.0) for y in (25.0, 70.0)])
SHAPE = (96, 104)
SETTINGS = TrainSettings(
    diameter_ang=12.0,
    working_pixel_size_ang=1.0,
    particles_per_micrograph=6.0,
    steps=6,
    warm_up_steps=3,
    checkpoint_every=1,
    learning_rate=1e-2,
    network=NetworkSettings(width=2),
    sampling=SamplingSettings(patch_px=63, unlabelled_patches=2, positive_patches=1),
)


def made(folder, sign, micrographs=2, labelled=(1, 0), usable=None):
    """Blobs in noise, dark for a negative sign; so many of each micrograph are labelled."""
    for number in range(micrographs):
        image = sign * oracles.blobs(SHAPE, CENTRES, 3.0, noise=0.2, seed=number)
        good = np.ones(SHAPE, bool) if usable is None else usable
        save_micrograph(
            folder, number, StoredMicrograph(image.astype(np.float32), good, (1.0, 1.0))
        )
    return PreparedStore.open(folder, [CENTRES[:count] for count in labelled])


def gaps(places):
    """From each place to the nearest centre."""
    return np.linalg.norm(places[:, None] - CENTRES, axis=2).min(axis=1)


@pytest.mark.parametrize("sign", [-1, 1])
def test_blobs_are_half_as_many_as_particles_and_lie_on_particles(sign, tmp_path):
    proposed, _ = label_blobs(made(tmp_path, sign), SETTINGS)

    assert [len(own) for own in proposed.labels_px] == [3, 3]  # also where none is labelled
    assert gaps(np.concatenate(proposed.labels_px)).max() < 2.0


def test_masked_areas_get_no_blobs(tmp_path):
    usable = np.ones(SHAPE, bool)
    usable[:, :60] = False

    proposed, _ = label_blobs(made(tmp_path, -1, usable=usable), SETTINGS)

    assert (np.concatenate(proposed.labels_px)[:, 0] >= 60).all()


def test_negative_labels_get_no_blobs(tmp_path):
    store = made(tmp_path, -1)
    no_particles = tuple(own[:1] for own in label_blobs(store, SETTINGS)[0].labels_px)

    proposed, _ = label_blobs(replace(store, negatives_px=no_particles), SETTINGS)

    for wrong, own in zip(no_particles, proposed.labels_px, strict=True):
        assert len(own) == 3
        assert np.linalg.norm(own - wrong, axis=1).min() > 6.0


def test_the_prior_counts_the_particles_without_a_blob(tmp_path):
    store = made(tmp_path, -1)

    _, prior = label_blobs(store, SETTINGS)

    disc = compute_disc_area(SETTINGS.sampling.label_radius_px)
    assert prior == pytest.approx(6 * disc / (sum(store.usable_px) - 6 * disc))


def test_of_many_micrographs_some_get_blobs_and_labelled_ones_are_among_them(tmp_path):
    labelled = [0] * 60
    labelled[37] = 2
    store = made(tmp_path, -1, micrographs=60, labelled=labelled)

    proposed, _ = label_blobs(store, SETTINGS)

    looked_at = [number for number, own in enumerate(proposed.labels_px) if len(own)]
    assert 16 <= len(looked_at) <= 32
    assert 37 in looked_at
    assert {0, 59} <= set(looked_at)


@pytest.mark.parametrize("shape", ["compact", "arms"])
def test_the_blob_response_peaks_at_the_centre_of_compact_and_thin_particles(shape):
    y, x = np.mgrid[:96, :96] - 48.0
    angle = np.arctan2(y, x)
    radius = np.hypot(x, y)
    if shape == "arms":
        particle = (radius < 16) & (np.abs(radius * np.sin(1.5 * angle)) < 3)
    else:
        particle = np.exp(-np.square(radius / 8) / 2)
    image = particle + np.random.default_rng(0).normal(0, 0.3, (96, 96))

    usable = np.ones((96, 96), bool)
    merit = multiscale_blob_response(image.astype(np.float32), usable, diameter_px=32.0)

    best = np.array(np.unravel_index(merit.argmax(), merit.shape))
    assert np.abs(best - 48).max() <= 6
    assert merit.max() > 3


def test_the_learning_rate_has_one_cycle_for_the_warm_up_and_one_for_the_labels():
    settings = replace(SETTINGS, steps=150, warm_up_steps=50, learning_rate=0.1)

    rates = [learning_rate(step, settings) for step in range(151)]

    assert rates[:50] == [
        learning_rate(s, replace(settings, steps=50, warm_up_steps=0)) for s in range(50)
    ]
    alone = replace(settings, steps=100, warm_up_steps=0)
    assert rates[50:] == [learning_rate(step, alone) for step in range(101)]


def test_the_warm_up_does_not_use_the_labels(tmp_path):
    few, other = made(tmp_path, -1), made(tmp_path, -1, labelled=(0, 1))
    early = replace(SETTINGS, steps=4, warm_up_steps=3)

    def losses(store, name):
        return [row.loss for row in train(store, early, tmp_path / name, device=CPU).curves.rows]

    mine, its = losses(few, "a"), losses(other, "b")
    assert mine[:3] == its[:3]
    assert mine[3] != its[3]


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_a_run_resumed_before_or_after_the_warm_up_ends_the_same(cut, tmp_path):
    store = made(tmp_path, -1)
    whole = train(store, SETTINGS, tmp_path / "whole", device=CPU)

    class Cut(Exception):
        pass

    def stop(row):
        if row.step == cut:
            raise Cut

    with pytest.raises(Cut):
        train(store, SETTINGS, tmp_path / "cut", device=CPU, on_row=stop)
    again = train(store, SETTINGS, tmp_path / "cut", device=CPU)

    mine, its = whole.best.state_dict(), again.best.state_dict()
    assert all(torch.equal(mine[name], its[name]) for name in mine)
