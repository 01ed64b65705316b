import numpy as np
import pytest
import torch

from cryopick.errors import SettingsError
from cryopick.model.geometry import Geometry
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.sampling import IGNORED, NEGATIVE, POSITIVE, UNLABELLED
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.window_sampling import WindowSampler

CPU = torch.device("cpu")
GEOMETRY = Geometry(patch_px=31 + 64, field_px=31, stride_px=4)
SHAPE = (120, 150)
PLAIN = SamplingSettings(unlabelled_patches=3, positive_patches=3, contrast=0.0, noise=0.0)


def made(folder, labels, negatives=None, usable=None):
    """Micrographs whose pixels are bright at the labels."""
    for number, xy_px in enumerate(labels):
        image = np.zeros(SHAPE, np.float32)
        for x, y in np.rint(xy_px).astype(int):
            image[y - 2 : y + 3, x - 2 : x + 3] = 1.0
        mask = np.ones(SHAPE, bool) if usable is None else usable
        save_micrograph(folder, number, StoredMicrograph(image, mask, (1.0, 1.0)))
    return PreparedStore.open(folder, labels, negatives)


def sampler(store, settings=PLAIN, seed=0):
    return WindowSampler(store, settings, GEOMETRY, seed=seed, exclusion_px=9.0)


def test_labels_lie_on_their_particles_however_a_window_is_turned(tmp_path):
    labels = np.array([[30.0, 40.0], [101.0, 66.0], [77.0, 90.0]])
    batches = [sampler(made(tmp_path, [labels])).batch(step, CPU) for step in range(8)]

    first = GEOMETRY.field_px // 2
    for batch in batches:
        at_scores = batch.patches[:, 0, first:-first:4, first:-first:4].numpy()
        assert (batch.kinds[:3] == POSITIVE).any(axis=(1, 2)).all()  # the windows around labels
        assert (at_scores[batch.kinds == POSITIVE] == 1).all()
        assert (at_scores[batch.kinds == UNLABELLED] == 0).all()


def test_only_micrographs_with_labels_are_sampled(tmp_path):
    usable = np.ones(SHAPE, bool)
    store = made(tmp_path, [np.zeros((0, 2)), np.array([[60.0, 60.0]])], usable=usable)
    marked = StoredMicrograph(np.full(SHAPE, 7.0, np.float32), usable, (1.0, 1.0))
    save_micrograph(tmp_path, 0, marked)

    assert all(sampler(store).batch(step, CPU).patches.max() == 1 for step in range(6))


def test_unusable_pixels_are_ignored_and_negative_labels_marked(tmp_path):
    usable = np.ones(SHAPE, bool)
    usable[:, :50] = False
    labels, negatives = np.array([[80.0, 60.0]]), np.array([[110.0, 40.0]])
    store = made(tmp_path, [labels], [negatives], usable)

    kinds = np.stack([sampler(store).batch(step, CPU).kinds for step in range(6)])

    assert kinds.shape[1:] == (7, GEOMETRY.grid, GEOMETRY.grid)
    assert {IGNORED, UNLABELLED, POSITIVE, NEGATIVE} == set(np.unique(kinds))
    assert (kinds[:, 3] == NEGATIVE).any(axis=(1, 2)).all()  # the window around a negative


def test_a_batch_depends_only_on_seed_and_step(tmp_path):
    store = made(tmp_path, [np.array([[60.0, 60.0], [100.0, 80.0]])])
    augmented = SamplingSettings(contrast=0.2, noise=0.5, spectral_augmentation=0.1)

    one, same, other = (
        sampler(store, augmented, seed).batch(step, CPU) for seed, step in ((1, 5), (1, 5), (1, 6))
    )

    assert torch.equal(one.patches, same.patches)
    assert not torch.equal(one.patches, other.patches)


def test_micrographs_that_are_smaller_than_a_window_can_be_used(tmp_path):
    image = np.ones((40, 36), np.float32)
    stored = StoredMicrograph(image, np.ones(image.shape, bool), (1.0, 1.0))
    save_micrograph(tmp_path, 0, stored)
    store = PreparedStore.open(tmp_path, [np.array([[20.0, 12.0]])])

    batch = sampler(store).batch(0, CPU)

    assert (batch.kinds == POSITIVE).sum() == 6  # one in each window


def test_a_store_without_labels_or_without_usable_pixels_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no label on any training micrograph"):
        sampler(made(tmp_path / "a", [np.zeros((0, 2))]))

    masked = np.zeros(SHAPE, bool)
    masked[0, 0] = True
    store = made(tmp_path / "b", [np.array([[60.0, 60.0]])], usable=masked)
    with pytest.raises(SettingsError, match="no unlabelled or no labelled position"):
        sampler(store).batch(0, CPU)
