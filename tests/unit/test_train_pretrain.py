"""Training of the general model, on small fields."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryopick.errors import FormatError, SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.model.model_file import GENERAL_MODEL
from cryopick.model.networks import Scorer
from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.simulate.domain import Domain
from cryopick.train.pretrain.frozen import WeightAverage, estimate_statistics, freeze_statistics
from cryopick.train.pretrain.recipe import (
    _apply_d4,
    _make_batch,
    _make_targets,
    _score_positions,
    train_general_model,
)
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.stream import Example, ExampleStream, make_example

CPU = torch.device("cpu")
RING = builtin_molecule("ring", 120.0)
SMALL = GeneralSettings(
    side_px=128,
    fields=2,
    window=2,
    steps=4,
    checkpoint_every=2,
    network=NetworkSettings(name="conv31", width=2, dropout=0.1),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    reports = []
    folder = tmp_path_factory.mktemp("general")
    scorer = train_general_model(
        SMALL, [RING], folder / "a.safetensors", device=CPU, on_progress=reports.append
    )
    return scorer, reports, folder


def test_training_reports_each_checkpoint(trained):
    scorer, reports, _ = trained

    assert [progress.step for progress in reports] == [2, 4]
    assert all(np.isfinite(progress.loss) for progress in reports)
    assert not scorer.training


def test_a_resumed_run_gives_the_same_weights_as_an_uninterrupted_one(trained, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    checkpoint = tmp_path / "b.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_general_model(SMALL, [RING], checkpoint, device=CPU, on_progress=interrupt)
    resumed = train_general_model(SMALL, [RING], checkpoint, device=CPU)

    for name, value in trained[0].state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_with_other_settings_is_rejected(trained):
    with pytest.raises(FormatError, match="other settings"):
        train_general_model(
            replace(SMALL, seed=1), [RING], trained[2] / "a.safetensors", device=CPU
        )


def test_a_second_stage_starts_from_the_weights_of_the_first(trained, tmp_path):
    second_stage = replace(SMALL, seed=1, steps=2, peak_weight=1.0)

    retrained = train_general_model(
        second_stage, [RING], tmp_path / "c.safetensors", device=CPU, initial_scorer=trained[0]
    )

    weight_changes = [
        float((value - trained[0].state_dict()[name]).abs().max())
        for name, value in retrained.state_dict().items()
        if value.is_floating_point()
    ]
    assert 0 < max(weight_changes) < 1


def test_frozen_training_keeps_slopes_and_statistics(trained, tmp_path):
    frozen = replace(SMALL, seed=1, steps=2, frozen=True, fresh=0.5)

    tuned = train_general_model(
        frozen, [RING], tmp_path / "d.safetensors", device=CPU, initial_scorer=trained[0]
    )

    before, after = trained[0].state_dict(), tuned.state_dict()
    slopes = [name for name in before if name.endswith(".2.weight")]
    assert slopes
    assert all(torch.equal(before[name], after[name]) for name in slopes)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    assert set(before) == set(after)


def test_frozen_statistics_are_those_of_the_recipe():
    scorer = Scorer(SMALL.network)
    images = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 4 + 2
    first_layer = scorer.encoder[0]

    estimate_statistics(scorer, [images[:2], images[2:]])
    freeze_statistics(scorer.train())

    outputs = first_layer[0](images)
    expected = (outputs[:2].mean((0, 2, 3)) + outputs[2:].mean((0, 2, 3))) / 2
    torch.testing.assert_close(first_layer[1].running_mean, expected)
    assert scorer.training
    assert not first_layer[1].training


def test_the_weight_average_follows_the_weights():
    scorer = Scorer(SMALL.network)
    average = WeightAverage(scorer, decay=0.9)
    with torch.no_grad():
        scorer.head.bias.fill_(1.0)

    before = float(average.scorer.head.bias)
    average.update(scorer, step=1000)

    # The terms are about 0.1 in float32, and may cancel.
    assert float(average.scorer.head.bias) == pytest.approx(0.9 * before + 0.1, abs=1e-7)


def test_a_stream_is_reproducible_from_any_step_and_adds_new_fields():
    batches = list(ExampleStream(SMALL, [RING], first_step=0, workers=1).batches())
    later = next(ExampleStream(SMALL, [RING], first_step=2, workers=1).batches())

    assert len(batches) == SMALL.steps
    for a, b in zip(batches[2], later, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    assert not any((a.image == b.image).all() for a in batches[0] for b in batches[3])


def test_an_example_is_normalised():
    example = make_example(Domain(side_px=128), (0, 5))

    assert abs(float(np.median(example.image))) < 0.3
    assert float(example.image.std()) == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_centres_are_transformed_with_their_image(quarter, mirror):
    image = np.zeros((9, 9), np.float32)
    image[2, 7] = 1

    image, xy = _apply_d4(Example(image, np.array([[7.0, 2.0]])), quarter, mirror)

    x, y = xy[0].astype(int)
    assert image[y, x] == 1


def test_targets_are_gaussians_around_the_centres():
    positions = np.arange(0.0, 40.0, 2.0)

    target = _make_targets(np.array([[20.0, 10.0]]), positions, SMALL)

    assert target[5, 10] == 1
    assert target[5, 11] == pytest.approx(np.exp(-0.5))  # one standard deviation away
    assert target[6, 11] == pytest.approx(np.exp(-1))
    assert target[5, 15] < 1e-5
    assert (_make_targets(np.zeros((0, 2)), positions, SMALL) == 0).all()


def test_targets_match_the_receptive_fields_of_the_scores():
    image = np.zeros((128, 128), np.float32)
    image[62, 66] = 1  # a particle of one pixel
    scorer = Scorer(SMALL.network)
    half_field, stride = scorer.receptive_field_px // 2, scorer.stride_px

    plain = replace(SMALL, noise=0.0, contrast=0.0, colour=0.0, offset=0.0)
    example = Example(image, np.array([[66.0, 62.0]]))
    patches, centres = _make_batch([example], scorer, plain, 3, CPU)
    targets = _make_targets(centres[0], _score_positions(scorer, 25), plain)

    y, x = (patches[0, 0] == 1).nonzero()[0].tolist()
    for (row, column), target in np.ndenumerate(targets):
        distance = np.hypot(row * stride + half_field - y, column * stride + half_field - x)
        assert target == pytest.approx(np.exp(-(distance**2) / 8), abs=1e-6)
    assert targets.max() > 0.5


def test_settings_out_of_range_are_rejected():
    with pytest.raises(SettingsError, match="steps must be at least 1"):
        GeneralSettings(steps=0)
    with pytest.raises(SettingsError, match="target_px must be above 0"):
        GeneralSettings(target_px=0.0)
    with pytest.raises(SettingsError, match="average must be at least 0"):
        GeneralSettings(average=1.0)


def test_the_general_model_file_is_small():
    assert GENERAL_MODEL.stat().st_size < 10e6
