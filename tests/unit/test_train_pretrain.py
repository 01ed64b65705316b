"""The recipe of the general model, on fields of a hundred pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryopick.errors import FormatError, SettingsError
from cryopick.model.model_file import GENERAL_MODEL
from cryopick.model.networks import NetworkSettings, Scorer
from cryopick.simulate.domain import Domain
from cryopick.simulate.shapes import builtin_molecule
from cryopick.train.pretrain.recipe import _batch, _places, _targets, _turned, train_general
from cryopick.train.pretrain.settings import GeneralSettings
from cryopick.train.pretrain.stream import Example, Stream, make_example

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
def finished(tmp_path_factory):
    told = []
    folder = tmp_path_factory.mktemp("general")
    scorer = train_general(
        SMALL, [RING], folder / "a.safetensors", device=CPU, on_progress=told.append
    )
    return scorer, told, folder


def test_training_tells_of_each_checkpoint(finished):
    scorer, told, _ = finished

    assert [progress.step for progress in told] == [2, 4]
    assert all(np.isfinite(progress.loss) for progress in told)
    assert not scorer.training


def test_a_run_that_was_cut_off_goes_on_as_it_would_have(finished, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    checkpoint = tmp_path / "b.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_general(SMALL, [RING], checkpoint, device=CPU, on_progress=stop)
    again = train_general(SMALL, [RING], checkpoint, device=CPU)

    for name, value in finished[0].state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_checkpoint_of_another_recipe_is_refused(finished):
    with pytest.raises(FormatError, match="other settings"):
        train_general(replace(SMALL, seed=1), [RING], finished[2] / "a.safetensors", device=CPU)


def test_a_second_stage_goes_on_from_the_first(finished, tmp_path):
    at_peaks = replace(SMALL, seed=1, steps=2, peak_weight=1.0)

    other = train_general(
        at_peaks, [RING], tmp_path / "c.safetensors", device=CPU, start=finished[0]
    )

    moved = [
        float((value - finished[0].state_dict()[name]).abs().max())
        for name, value in other.state_dict().items()
        if value.is_floating_point()
    ]
    assert 0 < max(moved) < 1


def test_a_stream_brings_new_fields_and_keeps_a_window_of_them():
    batches = list(Stream(SMALL, [RING], first=0, workers=1).batches())
    later = next(Stream(SMALL, [RING], first=2, workers=1).batches())

    assert len(batches) == SMALL.steps
    for a, b in zip(batches[2], later, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    assert not any((a.image == b.image).all() for a in batches[0] for b in batches[3])


def test_an_example_is_standardised():
    example = make_example(Domain(side_px=128), (0, 5))

    assert abs(float(example.image.mean())) < 0.2
    assert float(example.image.std()) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_centres_turn_with_their_image(quarter, mirror):
    image = np.zeros((9, 9), np.float32)
    image[2, 7] = 1

    turned, xy = _turned(Example(image, np.array([[7.0, 2.0]])), quarter, mirror)

    x, y = xy[0].astype(int)
    assert turned[y, x] == 1


def test_targets_are_positive_near_ignored_around_and_negative_away():
    places = np.arange(0.0, 40.0, 2.0)

    target = _targets(np.array([[21.0, 10.0]]), places, SMALL)

    assert target[5, 10] == target[5, 11] == 1
    assert target[5, 12] == target[6, 10] == -1
    assert target[5, 13] == 0
    assert (_targets(np.zeros((0, 2)), places, SMALL) == 0).all()


def test_targets_lie_where_the_network_looks():
    image = np.zeros((128, 128), np.float32)
    image[62, 66] = 1  # a particle of one pixel
    scorer = Scorer(SMALL.network)
    reach, stride = scorer.receptive_field_px // 2, scorer.stride_px

    plain = replace(
        SMALL, noise=0.0, contrast=0.0, colour=0.0, positive_px=3.0
    )  # one at least is near
    example = Example(image, np.array([[66.0, 62.0]]))
    patches, centres = _batch([example], scorer, plain, 3, CPU)
    targets = _targets(centres[0], _places(scorer, 25), plain)

    y, x = (patches[0, 0] == 1).nonzero()[0].tolist()
    for row, column in np.argwhere(targets == 1):
        gap = np.hypot(row * stride + reach - y, column * stride + reach - x)
        assert gap <= plain.positive_px
    assert (targets == 1).any()


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="steps must be at least 1"):
        GeneralSettings(steps=0)
    with pytest.raises(SettingsError, match="at most ignored_px"):
        GeneralSettings(positive_px=5.0)


def test_the_model_that_ships_is_small():
    assert GENERAL_MODEL.stat().st_size < 10e6
