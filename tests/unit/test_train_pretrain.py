"""Training of the general model, on small fields."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryopick.errors import FormatError, SettingsError
from cryopick.model.architectures import ENCODER_DECODER, NetworkSettings
from cryopick.model.model_file import GENERAL_MODEL
from cryopick.model.networks import Scorer
from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.simulate.domain import Domain
from cryopick.train.pretrain import fields as pretrain_fields
from cryopick.train.pretrain.fields import Example, make_example, simulate_examples
from cryopick.train.pretrain.recipe import (
    _apply_d4,
    _make_batch,
    _make_targets,
    _schedule,
    train_general_model,
)
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.weight_average import WeightAverage

CPU = torch.device("cpu")
RING = builtin_molecule("ring", 120.0)
SMALL = GeneralSettings(
    side_px=64,
    field_count=3,
    fields=2,
    steps=4,
    checkpoint_every=2,
    max_shift_px=8,
    network=NetworkSettings(name=ENCODER_DECODER, width=2, dropout=0.1),
)
DOMAIN = Domain(molecules=[RING], side_px=SMALL.side_px)


@pytest.fixture(scope="module")
def fields():
    return [make_example(DOMAIN, (SMALL.seed, number)) for number in range(SMALL.field_count)]


@pytest.fixture(scope="module")
def trained(fields, tmp_path_factory):
    reports = []
    folder = tmp_path_factory.mktemp("general")
    scorer = train_general_model(
        SMALL, fields, folder / "a.safetensors", device=CPU, on_progress=reports.append
    )
    return scorer, reports, folder


def test_training_reports_each_checkpoint(trained):
    scorer, reports, _ = trained

    assert [progress.step for progress in reports] == [2, 4]
    assert all(np.isfinite(progress.loss) for progress in reports)
    assert not scorer.training


def test_a_resumed_run_gives_the_same_weights_as_an_uninterrupted_one(trained, fields, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    checkpoint = tmp_path / "b.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_general_model(SMALL, fields, checkpoint, device=CPU, on_progress=interrupt)
    resumed = train_general_model(SMALL, fields, checkpoint, device=CPU)

    for name, value in trained[0].state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_with_other_settings_is_rejected(trained, fields):
    with pytest.raises(FormatError, match="other settings"):
        train_general_model(
            replace(SMALL, seed=1), fields, trained[2] / "a.safetensors", device=CPU
        )


def test_the_loss_at_peaks_begins_after_a_third_of_the_steps(fields, tmp_path):
    with_peaks, without = (
        train_general_model(
            replace(SMALL, peak_weight=weight, steps=steps),
            fields,
            tmp_path / f"{weight}-{steps}",
            device=CPU,
        )
        for weight, steps in ((5.0, 4), (0.0, 4))
    )

    changes = [
        float((value - without.state_dict()[name]).abs().max())
        for name, value in with_peaks.state_dict().items()
        if value.is_floating_point()
    ]
    assert max(changes) > 0


def test_the_learning_rate_rises_stays_and_falls():
    assert _schedule(0, 0.0) == pytest.approx(1 / 200)
    assert _schedule(300, 0.1) == 1
    assert _schedule(5000, 0.575) == pytest.approx(0.5)
    assert _schedule(9999, 1.0) == pytest.approx(0, abs=1e-12)


def test_the_weight_average_follows_the_weights():
    scorer = Scorer(SMALL.network)
    average = WeightAverage(scorer, decay=0.9)
    with torch.no_grad():
        scorer.head.bias.fill_(1.0)

    before = float(average.scorer.head.bias)
    average.update(scorer, step=1000)

    # The terms are about 0.1 in float32, and may cancel.
    assert float(average.scorer.head.bias) == pytest.approx(0.9 * before + 0.1, abs=1e-7)


def test_simulated_fields_are_read_again_from_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_fields, "_BLOCK", 2)

    simulated = simulate_examples(DOMAIN, 5, 3, tmp_path)
    expected = make_example(DOMAIN, (5, 2))
    times = [file.stat().st_mtime_ns for file in sorted(tmp_path.iterdir())]
    again = simulate_examples(DOMAIN, 5, 3, tmp_path)

    assert len(simulated) == len(again) == 3
    assert [file.stat().st_mtime_ns for file in sorted(tmp_path.iterdir())] == times
    np.testing.assert_allclose(simulated[2].image, expected.image, atol=0.01)  # half precision
    np.testing.assert_array_equal(again[2].xy_px, expected.xy_px)


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

    target = _make_targets(np.array([[20.0, 10.0]]), positions, 2.0)

    assert target[5, 10] == 1
    assert target[5, 11] == pytest.approx(np.exp(-0.5))  # one standard deviation away
    assert target[6, 11] == pytest.approx(np.exp(-1))
    assert target[5, 15] < 1e-5
    assert (_make_targets(np.zeros((0, 2)), positions, 2.0) == 0).all()


def test_centres_are_shifted_with_their_image():
    image = np.zeros((64, 64), np.float32)
    image[30, 34] = 1  # a particle of one pixel
    plain = replace(SMALL, noise=0.0, contrast=0.0, colour=0.0, offset=0.0, fields=1)

    for step in range(12):
        patches, centres = _make_batch([Example(image, np.array([[34.0, 30.0]]))], plain, step, CPU)

        y, x = (patches[0, 0] == 1).nonzero()[0].tolist()
        assert centres[0][0].tolist() == [x, y]


def test_settings_out_of_range_are_rejected():
    with pytest.raises(SettingsError, match="steps must be at least 1"):
        GeneralSettings(steps=0)
    with pytest.raises(SettingsError, match="target_px must be above 0"):
        GeneralSettings(target_px=0.0)
    with pytest.raises(SettingsError, match="the network must be unet97"):
        GeneralSettings(network=NetworkSettings())
    with pytest.raises(SettingsError, match="average must be at least 0"):
        GeneralSettings(average=1.0)


def test_the_general_model_file_is_small():
    assert GENERAL_MODEL.stat().st_size < 10e6
