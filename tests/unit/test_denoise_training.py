"""Training of denoisers: simulated pairs, half-sets, resuming."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryopick.denoise.half_sets import HalfSetPairs, pair_half_sets, prepare_half_sets
from cryopick.denoise.network import DenoisingNetwork
from cryopick.denoise.settings import DenoiserTrainingSettings
from cryopick.denoise.simulated_pairs import SimulatedPairs
from cryopick.denoise.training import Pair, train_denoiser
from cryopick.errors import FormatError, InputError
from cryopick.io.images.mrc import write_mrc

SETTINGS = DenoiserTrainingSettings(steps=3, pairs=1, falling_steps=1, checkpoint_every=2)


class NoisyPairs:
    """Pairs whose target is 0: the best network attenuates everything."""

    def draw(self, step, count):
        rng = np.random.default_rng(step)
        noisy = rng.normal(size=(count, 32, 32)).astype(np.float32)
        return [Pair(image, np.zeros_like(image)) for image in noisy]


class Stop(Exception):
    pass


def train(folder, settings=SETTINGS, on_progress=lambda _: None):
    torch.manual_seed(0)
    return train_denoiser(
        DenoisingNetwork(), NoisyPairs(), settings, folder / "c", "key", on_progress=on_progress
    )


def test_an_interrupted_run_resumes_and_ends_with_the_same_weights(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(tmp_path / "a").state_dict()

    def stop(_):
        raise Stop

    with pytest.raises(Stop):
        train(tmp_path / "b", on_progress=stop)
    resumed = train(tmp_path / "b").state_dict()

    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train(tmp_path)

    with pytest.raises(FormatError, match="belongs to an unfinished run with other settings"):
        train_denoiser(DenoisingNetwork(), NoisyPairs(), SETTINGS, tmp_path / "c", "other")


def test_training_lowers_the_error(tmp_path):
    settings = DenoiserTrainingSettings(steps=16, pairs=2, falling_steps=1, average=0.0)
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    before = DenoisingNetwork()(image).square().mean()

    after = train(tmp_path, settings)(image).square().mean()

    assert after < 0.8 * before


def test_simulated_pairs_are_a_function_of_the_step_and_share_the_particles():
    source = SimulatedPairs(side_px=64, seed=3)
    first = source.draw(0, 2)
    source.draw(5, 1)

    again = SimulatedPairs(side_px=64, seed=3).draw(0, 2)

    for pair, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(pair.noisy, same.noisy)
        np.testing.assert_array_equal(pair.target, same.target)
        np.testing.assert_array_equal(pair.weights, same.weights)
        assert pair.noisy.shape == pair.target.shape == pair.weights.shape == (64, 64)
        assert np.abs(pair.noisy).max() <= 8
        assert (pair.noisy - pair.target).std() > 0.1


def test_errors_at_particles_weigh_up_to_twice_as_much():
    pairs = SimulatedPairs(side_px=64, seed=3).draw(0, 4)

    for pair in pairs:
        relative = pair.weights / pair.weights.min()
        assert 1 <= relative.max() <= 2
    sparse = max(pairs, key=lambda pair: pair.weights.max() / pair.weights.min())
    strongest = np.unravel_index(np.abs(sparse.target).argmax(), sparse.target.shape)
    assert sparse.weights[strongest] > 1.5 * sparse.weights.min()


def test_the_weights_of_a_pair_multiply_its_errors(tmp_path):
    class OneSide:
        """Pairs that ask for 5 on the left, without weight, and for the image on the right."""

        def draw(self, step, count):
            image = np.random.default_rng(step).normal(size=(32, 32)).astype(np.float32)
            target, weights = image.copy(), np.ones_like(image)
            target[:, :16], weights[:, :16] = 5, 0
            return [Pair(image, target, weights)] * count

    losses = []
    settings = DenoiserTrainingSettings(steps=1, pairs=1, falling_steps=0)

    train_denoiser(
        DenoisingNetwork(),
        OneSide(),
        settings,
        tmp_path / "c",
        "key",
        on_progress=lambda progress: losses.append(progress.loss),
    )

    assert losses[0] < 1


@pytest.fixture
def halves(tmp_path):
    rng = np.random.default_rng(0)
    for folder, name in (("even", "EVN"), ("odd", "ODD")):
        (tmp_path / folder).mkdir()
        for number in range(2):
            image = rng.normal(size=(96, 80)).astype(np.float32)
            path = tmp_path / folder / f"mic{number}_{name}.mrc"
            write_mrc(path, image, pixel_size_ang=(4.0, 4.0))
    return [sorted((tmp_path / folder).iterdir()) for folder in ("even", "odd")]


def test_halves_are_paired_by_name(halves):
    even, odd = halves

    pairs = pair_half_sets(even, odd[::-1])

    assert [[path.name for path in pair] for pair in pairs] == [
        ["mic0_EVN.mrc", "mic0_ODD.mrc"],
        ["mic1_EVN.mrc", "mic1_ODD.mrc"],
    ]
    with pytest.raises(InputError, match=r"mic1_EVN\.mrc: the other half has no file"):
        pair_half_sets(even, odd[:1])
    with pytest.raises(InputError, match="belong to the same half"):
        pair_half_sets([*even, *odd], odd)


def test_half_sets_are_normalised_alike_and_bad_pairs_are_skipped(halves, tmp_path):
    even, odd = halves
    odd[1].write_bytes(b"")
    skipped = {}

    files = prepare_half_sets(
        pair_half_sets(even, odd), tmp_path / "p", 4.0, None, skipped.__setitem__
    )

    assert "empty" in str(skipped[even[1]])
    assert skipped[even[0]] is None
    assert [file.name for file in files] == ["000000.npy"]
    assert np.load(files[0]).shape == (2, 96, 80)
    (pair,) = HalfSetPairs(files).draw(0, 1)
    assert pair.noisy.shape == pair.target.shape == (80, 80)
    assert pair.noisy.std() == pytest.approx(1, abs=0.1)
    assert abs(np.corrcoef(pair.noisy.ravel(), pair.target.ravel())[0, 1]) < 0.1


def test_denoise_train_writes_a_denoiser_that_denoise_takes(halves, run_words):
    line = (
        "denoise-train -a even -b odd -o mine.safetensors --steps 2 --pairs 1 --device cpu "
        "--from-scratch"
    )

    run_words(line)

    assert "already exists" in run_words(line, status=1).stderr
    assert not Path(".mine.safetensors.run").exists()
    run_words("denoise even --denoiser mine.safetensors -o out --device cpu")
    assert sorted(path.name for path in Path("out").glob("*.mrc")) == [
        "mic0_EVN.mrc",
        "mic1_EVN.mrc",
    ]
