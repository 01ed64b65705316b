import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import SettingsError
from cryopick.model.geometry import Geometry
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.sampling import IGNORED, POSITIVE, UNLABELLED, Sampler
from cryopick.train.sampling_settings import SamplingSettings

CPU = torch.device("cpu")
HEIGHT, WIDTH = 150, 190
FIELD, STRIDE = 31, 4
# Bicubic interpolation as torch has it is off by up to this much on a ramp of slope 1.
BLUR = 0.08
LABELS = np.array([[60.0, 70.0], [110.3, 80.6], [95.0, 64.5]])

few = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 10_000)


def stored(image, usable=None):
    usable = np.ones(image.shape, bool) if usable is None else usable
    return StoredMicrograph(image.astype(np.float32), usable, (1.0, 1.0))


def holes():
    usable = np.ones((HEIGHT, WIDTH), bool)
    usable[:20] = False
    usable[100:130, 20:60] = False
    return usable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stores of one micrograph: pixels tell their own x, their own y, or that they are there."""
    folder = tmp_path_factory.mktemp("ramps")
    y, x = np.indices((HEIGHT, WIDTH))
    for name, values in {"x": x, "y": y, "there": np.ones_like(x)}.items():
        save_micrograph(folder / name, 0, stored(values, holes()))
    return folder


def sampler(folder, *, seed=0, labels=LABELS, **values):
    geometry = Geometry.of(values.get("patch_px"), FIELD, STRIDE)
    plain = SamplingSettings(**{"contrast": 0.0, "noise": 0.0, **values})
    return Sampler(PreparedStore.open(folder, [labels]), plain, geometry, seed=seed)


def places(folder, step=0, **values):
    """(x, y) of every pixel in the patches of a batch, NaN beyond the image; and the kinds."""
    names = ("x", "y", "there")
    batches = [sampler(folder / name, **values).batch(step, CPU) for name in names]
    assert all(np.array_equal(batch.kinds, batches[0].kinds) for batch in batches)
    x, y, there = (batch.patches[:, 0].double().numpy() for batch in batches)
    xy = np.stack([x, y], axis=-1)
    return np.where(abs(there - 1)[..., None] < 1e-4, xy, np.nan), batches[0].kinds


def centre_pixels(xy):
    """The pixel at the centre of each score's region."""
    first = FIELD // 2
    count = (xy.shape[1] - FIELD) // STRIDE + 1
    return xy[:, first : first + STRIDE * count : STRIDE, first : first + STRIDE * count : STRIDE]


@few
@given(seeds, st.sampled_from([None, 31, 50, 64, 97]), st.floats(0.1, 6))
def test_tiled_crops_are_centred_within_the_label_radius(folder, seed, patch_px, radius_px):
    xy, kinds = places(folder, seed=seed, patch_px=patch_px, label_radius_px=radius_px)

    positive = centre_pixels(xy)[kinds == POSITIVE]
    gaps = np.hypot(*(positive[:, None] - LABELS).transpose(2, 0, 1)).min(axis=1)

    geometry = Geometry.of(patch_px, FIELD, STRIDE)
    assert len(positive) == SamplingSettings().positive_patches * geometry.tiles**2
    assert (gaps <= radius_px + BLUR).all()
    assert (kinds[: SamplingSettings().unlabelled_patches] != POSITIVE).all()


@few
@given(seeds)
def test_each_positive_region_is_one_complete_rotated_crop(folder, seed):
    xy, kinds = places(folder, seed=seed)

    for patch, row, column in np.argwhere(kinds == POSITIVE):
        top, left = row * STRIDE, column * STRIDE
        crop = xy[patch, top : top + FIELD, left : left + FIELD]
        rows, columns = np.indices((FIELD, FIELD)) - FIELD // 2
        design = np.stack([columns.ravel(), rows.ravel(), np.ones(FIELD**2)], axis=1)
        turn, residues, *_ = np.linalg.lstsq(design, crop.reshape(-1, 2), rcond=None)

        np.testing.assert_allclose(turn[:2] @ turn[:2].T, np.eye(2), atol=0.01)
        assert (residues / FIELD**2 < BLUR**2).all()


@few
@given(seeds, st.sampled_from([None, 31, 47, 64]), st.floats(0.5, 12))
def test_unlabelled_regions_are_the_usable_ones_away_from_labels(folder, seed, patch_px, radius_px):
    count = SamplingSettings().unlabelled_patches
    xy, kinds = places(folder, seed=seed, patch_px=patch_px, label_radius_px=radius_px)
    centres, kinds = centre_pixels(xy)[:count], kinds[:count]

    usable = holes()
    for (x, y), kind in zip(centres.reshape(-1, 2), kinds.ravel(), strict=True):
        if np.isnan(x):
            continue  # beyond the image, or half so: another test
        gap = np.hypot(*(LABELS - (x, y)).T).min()
        if min(abs(gap - radius_px), *np.abs(np.array([x, y]) % 1 - 0.5)) < BLUR:
            continue  # too near a boundary to tell by a pixel's value
        expected = usable[round(y), round(x)] and gap > radius_px
        assert kind == (UNLABELLED if expected else IGNORED)


def test_every_kind_of_region_occurs(folder):
    xy, kinds = places(folder, label_radius_px=12.0, unlabelled_patches=30)
    centres, kinds = centre_pixels(xy)[:30], kinds[:30]
    near = np.hypot(*(centres[..., None, :] - LABELS).transpose(4, 0, 1, 2, 3)).min(-1) < 11.9

    assert (kinds == UNLABELLED).any()
    assert ((kinds == IGNORED) & near).any()
    assert ((kinds == IGNORED) & ~near).any()


def test_regions_beyond_the_image_are_never_unlabelled(tmp_path):
    save_micrograph(tmp_path, 0, stored(np.ones((40, 40))))
    drawn = sampler(tmp_path, labels=np.array([[-50.0, -50.0]]))

    batch = drawn.batch(0, CPU)

    centres = centre_pixels(batch.patches[:8, 0].numpy())
    # the image is 1 and all beyond it 0: a cubic step lies between them
    assert (centres[batch.kinds[:8] == UNLABELLED] > 0.3).all()
    assert (centres < 0.1).any()


def test_every_angle_and_both_mirror_images_occur(folder):
    xy, kinds = places(folder, positive_patches=12)
    angles, hands = [], []
    for patch, row, column in np.argwhere(kinds == POSITIVE):
        crop = xy[patch, row * STRIDE :, column * STRIDE :][:2, :2]
        along_x, along_y = crop[0, 1] - crop[0, 0], crop[1, 0] - crop[0, 0]
        angles.append(math.atan2(along_x[1], along_x[0]))
        hands.append(np.sign(along_x[0] * along_y[1] - along_x[1] * along_y[0]))

    assert len(angles) == 108
    assert set(hands) == {-1.0, 1.0}
    assert abs(np.mean(hands)) < 0.3
    assert (np.histogram(angles, bins=8, range=(-math.pi, math.pi))[0] > 3).all()


def test_without_rotation_rows_stay_rows(folder):
    xy, kinds = places(folder, rotate=False)

    for patch, row, column in np.argwhere(kinds == POSITIVE):
        crop = xy[patch, row * STRIDE :, column * STRIDE :][:FIELD, :FIELD]
        np.testing.assert_allclose(np.diff(crop[..., 0], axis=1), 1, atol=0.01)
        np.testing.assert_allclose(np.diff(crop[..., 1], axis=0), 1, atol=0.01)


def test_displacements_fill_the_disc_evenly(folder):
    xy, kinds = places(folder, positive_patches=40, label_radius_px=6.0)
    positive = centre_pixels(xy)[kinds == POSITIVE]
    gaps = np.hypot(*(positive[:, None] - LABELS).transpose(2, 0, 1)).min(axis=1)

    # 360 points, even in area: half of them within 1/sqrt(2) of the radius
    assert abs((gaps < 6 / math.sqrt(2)).mean() - 0.5) < 0.1


@few
@given(seeds, st.integers(0, 1000))
def test_a_batch_depends_on_seed_and_step_only(folder, seed, step):
    first, again = (sampler(folder / "x", seed=seed).batch(step, CPU) for _ in range(2))
    later, other = (
        sampler(folder / "x", seed=seed).batch(step + 1, CPU),
        sampler(folder / "x", seed=seed + 1).batch(step, CPU),
    )

    assert torch.equal(first.patches, again.patches)
    assert np.array_equal(first.kinds, again.kinds)
    assert not torch.equal(first.patches, later.patches)
    assert not torch.equal(first.patches, other.patches)


def test_batches_do_not_depend_on_earlier_ones(folder):
    drawn = sampler(folder / "x")
    drawn.batch(0, CPU)

    assert torch.equal(drawn.batch(7, CPU).patches, sampler(folder / "x").batch(7, CPU).patches)


def test_patches_of_one_receptive_field_are_the_papers_minibatch(folder):
    drawn = sampler(folder / "x", patch_px=FIELD, unlabelled_patches=230, positive_patches=26)

    batch = drawn.batch(0, CPU)

    assert batch.patches.shape == (256, 1, FIELD, FIELD)
    assert batch.kinds.shape == (256, 1, 1)
    assert (batch.kinds[230:] == POSITIVE).all()
    assert (batch.kinds[:230] != POSITIVE).all()


def test_micrographs_are_drawn_by_their_usable_area(tmp_path):
    for number, (rows, value) in enumerate([(40, 1.0), (120, 2.0)]):
        usable = np.zeros((HEIGHT, WIDTH), bool)
        usable[:rows] = True
        save_micrograph(tmp_path, number, stored(np.full((HEIGHT, WIDTH), value), usable))
    single_px = SamplingSettings(patch_px=FIELD, unlabelled_patches=400, contrast=0.0, noise=0.0)
    store = PreparedStore.open(tmp_path, [LABELS, LABELS])
    drawn = Sampler(store, single_px, Geometry.of(FIELD, FIELD, STRIDE), seed=0)

    middle = drawn.batch(0, CPU).patches[:400, 0, 15, 15]

    # three quarters of 400 draws, within three standard deviations
    assert abs((middle > 1.5).float().mean().item() - 0.75) < 0.065


def test_a_draw_without_unlabelled_regions_is_repeated(tmp_path):
    usable = np.zeros((HEIGHT, WIDTH), bool)
    usable[:30, :60] = True
    save_micrograph(tmp_path, 0, stored(usable, usable))
    drawn = sampler(tmp_path, patch_px=FIELD, unlabelled_patches=1)

    assert all((drawn.batch(step, CPU).kinds == UNLABELLED).any() for step in range(20))


def test_micrographs_without_an_unlabelled_region_are_refused(tmp_path):
    usable = np.zeros((HEIGHT, WIDTH), bool)
    usable[69:72, 59:62] = True
    save_micrograph(tmp_path, 0, stored(usable, usable))
    drawn = sampler(tmp_path, label_radius_px=4.0)

    with pytest.raises(SettingsError, match="no unlabelled region in 100 draws"):
        drawn.batch(0, CPU)


def test_a_store_without_labels_is_refused(folder):
    with pytest.raises(SettingsError, match="there is no label on any training micrograph"):
        sampler(folder / "x", labels=np.zeros((0, 2)))


@settings(deadline=None)
@given(st.integers(0, 120), st.integers(1, 20), st.integers(0, 200))
def test_a_patch_contains_as_many_scores_and_tiles_as_fit(half_field, stride, extra):
    field = 2 * half_field + 1
    geometry = Geometry.of(field + extra, field, stride)
    fits = [k for k in range(500) if k * stride + field <= geometry.patch_px]
    tiles = [k for k in range(500) if k * geometry.tile_px + field <= geometry.patch_px]
    middle = [k * stride + half_field - (geometry.patch_px - 1) / 2 for k in fits]

    assert (geometry.grid, geometry.tiles) == (len(fits), len(tiles))
    assert geometry.tile_px >= field
    assert geometry.tile_px % stride == 0
    assert geometry.centres_px.tolist() == pytest.approx(middle)


def test_by_default_a_patch_is_three_tiles_wide():
    geometry = Geometry.of(None, FIELD, STRIDE)

    assert (geometry.patch_px, geometry.tile_px, geometry.tiles) == (96, 32, 3)


def test_a_patch_smaller_than_a_region_is_refused():
    with pytest.raises(SettingsError, match="at least the network's receptive field of 31 pixels"):
        Geometry.of(30, FIELD, STRIDE)


@pytest.mark.parametrize(
    "values",
    [
        {"unlabelled_patches": 0},
        {"positive_patches": 0},
        {"label_radius_px": -1.0},
        {"label_radius_px": math.nan},
        {"label_radius_px": math.inf},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(SettingsError, match=r"at least one|must be above 0"):
        SamplingSettings(**values)


def test_spectral_augmentation_changes_patches_only_if_enabled(folder):
    plain, coloured = (
        sampler(folder / "x", spectral_augmentation=spectral_augmentation).batch(0, CPU)
        for spectral_augmentation in (0.0, 0.3)
    )

    assert np.array_equal(plain.kinds, coloured.kinds)
    for before, after in zip(plain.patches[:, 0], coloured.patches[:, 0], strict=True):
        assert after.std().item() == pytest.approx(before.std().item(), rel=1e-3)
        assert not torch.allclose(after, before, atol=0.1 * before.std().item())
