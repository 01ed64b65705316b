"""Sampling, network, scoring and training on tomograms."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.model.model_file import GENERAL_MODEL
from cryopick.model.model_file import load_model as load_micrograph_model
from cryopick.tomograms.model_file import TomogramModel, load_model, save_model
from cryopick.tomograms.network import FIELD_PX, STRIDE_PX, Scorer3d
from cryopick.tomograms.picking import calibrate_scorer, select_peaks
from cryopick.tomograms.sampling import LabelledVolume, WindowSampler3d, reflect_indices
from cryopick.tomograms.scoring import score_volume
from cryopick.tomograms.settings import TomogramPicking, TomogramTraining
from cryopick.tomograms.training import compute_prior, train_scorer

CPU = torch.device("cpu")
NONE = np.zeros((0, 3))


def make_scorer(classes=1, seed=0):
    torch.manual_seed(seed)
    scorer = Scorer3d(classes)
    for norm in scorer.modules():
        if isinstance(norm, torch.nn.BatchNorm3d):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2.0)
    return scorer.eval()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_sampler(volumes, **changes):
    settings = {
        "unlabelled_windows": 3,
        "positive_windows": 4,
        "label_radius_px": 2.0,
        "max_turn_deg": 0.0,
        "contrast": 0.0,
        "seed": 0,
    }
    return WindowSampler3d(
        volumes=volumes, field_px=FIELD_PX, stride_px=STRIDE_PX, **{**settings, **changes}
    )


def test_a_window_is_scored_as_the_same_crop_of_a_volume():
    scorer, volume = make_scorer(2), torch.from_numpy(noise(1, 1, 29, 27, 25))

    with torch.inference_mode():
        whole = scorer(volume)
        k, j, i = 4, 3, 2
        crop = volume[..., 2 * k : 2 * k + 17, 2 * j : 2 * j + 17, 2 * i : 2 * i + 17]
        single = scorer(crop)

    assert whole.shape == (1, 2, 7, 6, 5)
    torch.testing.assert_close(single[0, :, 0, 0, 0], whole[0, :, k, j, i], rtol=1e-4, atol=1e-5)


def test_the_receptive_field_is_that_of_the_layers():
    scorer = make_scorer()
    volume = torch.zeros(1, 1, 33, 33, 33, requires_grad=True)

    scorer(volume)[0, 0, 4, 4, 4].backward()

    used = torch.nonzero(volume.grad[0, 0].abs() > 0)
    first, last = used.min(dim=0).values, used.max(dim=0).values
    assert (last - first + 1).tolist() == [FIELD_PX] * 3
    assert ((first + last) // 2).tolist() == [4 * STRIDE_PX + FIELD_PX // 2] * 3


def test_tiles_give_the_scores_of_the_whole_volume():
    scorer, image = make_scorer(2), noise(21, 26, 18)

    whole = score_volume(scorer, image, device=CPU, tile=100)
    tiled = score_volume(scorer, image, device=CPU, tile=4)

    assert whole.shape == (2, 11, 13, 9)
    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-5)


def test_scores_belong_to_every_second_voxel():
    scorer, image = make_scorer(), noise(22, 24, 26)
    padded = np.pad(image, FIELD_PX // 2, mode="reflect")

    with torch.inference_mode():
        expected = scorer(torch.from_numpy(padded)[None, None])[0].numpy()

    np.testing.assert_allclose(
        score_volume(scorer, image, device=CPU), expected, rtol=1e-4, atol=1e-5
    )


def test_all_views_make_scores_independent_of_flips():
    scorer, image = make_scorer(), noise(19, 21, 17)

    scores = score_volume(scorer, image, device=CPU, views=8)
    flipped = score_volume(scorer, np.ascontiguousarray(image[::-1, :, ::-1]), device=CPU, views=8)

    np.testing.assert_allclose(flipped[:, ::-1, :, ::-1], scores, rtol=1e-3, atol=1e-4)


def test_indices_are_reflected_as_numpy_pads():
    expected = np.pad(np.arange(5), 7, mode="reflect")

    np.testing.assert_array_equal(reflect_indices(np.arange(-7, 12), 5), expected)


@pytest.mark.parametrize("turn_deg", [0.0, 40.0])
def test_scores_near_a_label_are_positive_in_every_augmented_window(turn_deg):
    # The image holds one bright voxel at the label: the window must show it in a positive region.
    image = np.zeros((50, 52, 54), np.float32)
    label = np.array([[30.0, 24.0, 20.0]])
    image[20, 24, 30] = 1.0
    sampler = make_sampler([LabelledVolume(image, [label], NONE)], max_turn_deg=turn_deg)

    for step in range(4):
        windows = sampler.sample(step)
        for number in range(sampler.unlabelled_windows, len(windows.images)):
            bright = np.array(np.unravel_index(windows.images[number, 0].argmax(), (33, 33, 33)))
            cells = np.argwhere(windows.positive[number, 0])
            centres = cells * STRIDE_PX + FIELD_PX // 2
            assert len(cells)
            assert np.linalg.norm(centres - bright, axis=1).max() <= 2.0 + 1.0


def test_unlabelled_scores_come_from_random_windows_away_from_labels():
    labels, negatives = np.array([[20.0, 20.0, 20.0]]), np.array([[10.0, 12.0, 14.0]])
    sampler = make_sampler([LabelledVolume(noise(40, 40, 40), [labels, labels + 9], negatives)])

    windows = sampler.sample(0)

    near = windows.positive.any(axis=1) | windows.negative
    assert len(windows.images) == 3 + 4 * 3
    assert not (windows.unlabelled & near).any()
    assert not windows.unlabelled[3:].any()
    assert windows.negative[-4:].any(axis=(1, 2, 3)).all()
    assert (windows.unlabelled[:3] | near[:3]).all()


def test_flips_keep_the_missing_wedge():
    # Only waves along x: after any flip, and without rotation, none is along y or z.
    wave = np.sin(np.arange(60) * 0.9).astype(np.float32)
    image = np.broadcast_to(wave, (60, 60, 60)).copy()
    sampler = make_sampler([LabelledVolume(image, [np.array([[30.0, 30.0, 30.0]])], NONE)])

    windows = sampler.sample(0).images[:, 0]

    assert np.abs(np.diff(windows, axis=1)).max() == 0
    assert np.abs(np.diff(windows, axis=2)).max() == 0


def test_minibatches_depend_on_the_seed_and_the_step_only():
    volume = LabelledVolume(noise(40, 40, 40), [np.array([[20.0, 20.0, 20.0]])], NONE)

    first, again, other = (make_sampler([volume]).sample(step) for step in (1, 1, 2))

    np.testing.assert_array_equal(first.images, again.images)
    assert np.abs(first.images - other.images).max() > 0


def test_a_class_without_labels_is_refused():
    with pytest.raises(SettingsError, match="class 2"):
        make_sampler([LabelledVolume(noise(40, 40, 40), [np.ones((1, 3)), NONE], NONE)])


def test_the_prior_counts_unlabelled_particles_per_voxel():
    volume = LabelledVolume(noise(10, 20, 30), [np.ones((5, 3))], NONE)

    assert compute_prior([volume, volume], 0, 20.0) == pytest.approx(30 / 12000)
    with pytest.raises(SettingsError, match="--particles-per-tomogram"):
        compute_prior([volume], 0, 5.0)


def test_training_lowers_the_loss_and_finds_bright_balls():
    rng = np.random.default_rng(3)
    image = noise(40, 48, 48)
    z, y, x = np.mgrid[:40, :48, :48]
    points = np.array([[a, b, c] for a in (9, 24, 39) for b in (9, 24, 39) for c in (9, 30)])
    for px, py, pz in points:
        image += 4.0 * np.exp(-((x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2) / 12)
    labels = points[rng.permutation(len(points))[:9]].astype(float)
    settings = TomogramTraining(
        diameter_ang=100.0,
        particles_per_tomogram=18.0,
        steps=16,
        unlabelled_windows=2,
        positive_windows=2,
    )
    losses = []

    scorer = train_scorer(
        [LabelledVolume(image, [labels], NONE)],
        settings,
        device=CPU,
        on_step=lambda _, loss: losses.append(loss),
    )

    scores = score_volume(scorer, image, device=CPU)[0]
    at_balls = scores[tuple((points[:, ::-1] // 2).T)]
    assert losses[-1] < losses[0]
    assert np.median(at_balls) > np.percentile(scores, 90)


@pytest.mark.parametrize("classes", [1, 2])
def test_calibration_makes_probabilities_sum_to_the_expected_number(classes):
    scorer, image = make_scorer(classes), noise(40, 40, 40)

    calibrated = calibrate_scorer(scorer, [image], expected=7.0, radius_px=6.0, device=CPU)

    scores = score_volume(calibrated, image, device=CPU)
    for row in scores:
        picks = select_peaks(row[None], 6.0, -60.0, "a")
        assert (1 / (1 + np.exp(-picks.score))).sum() == pytest.approx(7.0, rel=0.05)


def test_picks_of_several_classes_have_the_best_class_and_all_scores():
    scores = np.full((2, 9, 9, 9), -5.0, np.float32)
    scores[0, 2, 2, 2], scores[1, 6, 6, 6] = 3.0, 2.0

    picks = select_peaks(scores, 4.0, 0.0, "a")

    assert picks.extra["class"].tolist() == [1, 2]
    assert picks.extra["score_1"].tolist() == [3.0, -5.0]
    assert picks.extra["score_2"].tolist() == [-5.0, 2.0]
    np.testing.assert_allclose(picks.xy_px, [[4.0, 4.0], [12.0, 12.0]], atol=0.1)


def make_model():
    return TomogramModel(
        scorer=make_scorer(2),
        diameter_ang=150.0,
        working_ang=15.0,
        classes=("ring", "rod"),
        summary={"labels": {"ring": 25}},
    )


def test_a_model_file_keeps_the_network_and_its_scale(tmp_path):
    model, image = make_model(), noise(20, 20, 20)
    save_model(model, tmp_path / "m.safetensors")

    loaded = load_model(tmp_path / "m.safetensors")

    assert (loaded.classes, loaded.diameter_px) == (("ring", "rod"), 10.0)
    np.testing.assert_array_equal(
        score_volume(loaded.scorer, image, device=CPU),
        score_volume(model.scorer, image, device=CPU),
    )


def test_models_for_tomograms_and_for_micrographs_are_not_mixed_up(tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(make_model(), path)

    with pytest.raises(FormatError, match="cryopick tomo pick"):
        load_micrograph_model(path)
    with pytest.raises(FormatError, match="for micrographs"):
        load_model(GENERAL_MODEL)


@pytest.mark.parametrize(
    "damage",
    [{"classes": []}, {"format": 2}, {"diameter_ang": 0.0}, {"network": {"name": "x", "width": 1}}],
)
def test_damaged_model_files_are_refused(tmp_path, damage):
    path = tmp_path / "m.safetensors"
    save_model(make_model(), path)
    weights = load_file(path)
    facts = {
        "format": 1,
        "dimensions": 3,
        "network": {"name": "conv17-3d", "width": 1},
        "diameter_ang": 150.0,
        "working_voxel_ang": 15.0,
        "classes": ["a", "b"],
        "summary": {},
    }
    save_file(weights, path, {"cryopick": json.dumps(facts)})
    load_model(path)

    save_file(weights, path, {"cryopick": json.dumps({**facts, **damage})})

    with pytest.raises(FormatError, match="train the model again"):
        load_model(path)
    save_file(weights, path, {"cryopick": json.dumps([facts])})
    with pytest.raises(FormatError, match="description is not an object"):
        load_model(path)
    with pytest.raises(InputError, match="no such model"):
        load_model(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        {"diameter_ang": 0.0},
        {"steps": 0},
        {"max_turn_deg": 200.0},
        {"seed": -1},
        {"contrast": -1.0},
    ],
)
def test_training_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        TomogramTraining(**{"diameter_ang": 100.0, "particles_per_tomogram": 9.0, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"views": 9}, {"min_distance_frac": 0.0}, {"threshold": math.nan}]
)
def test_picking_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        TomogramPicking(**wrong)
