"""Removal of noise from tomograms by training on their halves."""

import mrcfile
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.tomograms.denoise_network import (
    CONTEXT_PX,
    DenoisingNetwork3d,
    load_denoiser,
    save_denoiser,
)
from cryopick.tomograms.denoise_settings import DenoiserTraining
from cryopick.tomograms.denoising import denoise_volume, train_denoiser
from cryopick.tomograms.volumes import write_volume

CPU = torch.device("cpu")


def make_network():
    torch.manual_seed(0)
    return DenoisingNetwork3d().eval()


def make_halves(shape=(20, 24, 28), sd=2.0):
    """Return a smooth volume, and two copies with independent noise."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    clean = np.sin(x / 3.0) * np.sin(y / 4.0) * np.cos(z / 5.0)
    clean = (clean / clean.std()).astype(np.float32)
    rng = np.random.default_rng(0)
    return clean, *((clean + sd * rng.normal(size=shape)).astype(np.float32) for _ in range(2))


def test_the_halo_covers_the_receptive_field():
    network = make_network()
    volume = torch.zeros(1, 1, 64, 64, 64, requires_grad=True)

    network(volume)[0, 0, 30, 31, 32].backward()

    used = torch.nonzero(volume.grad[0, 0].abs() > 0)
    assert (used.min(dim=0).values >= torch.tensor([30, 31, 32]) - CONTEXT_PX).all()
    assert (used.max(dim=0).values <= torch.tensor([30, 31, 32]) + CONTEXT_PX).all()


def test_tiles_give_the_result_of_larger_tiles():
    network, volume = make_network(), make_halves((8, 16, 12))[1]

    small = denoise_volume(network, volume, device=CPU, tile=8)
    large = denoise_volume(network, volume, device=CPU, tile=28)

    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_training_on_halves_brings_a_volume_closer_to_the_signal():
    clean, even, odd = make_halves()
    settings = DenoiserTraining(steps=25, side_px=16, windows=2, learning_rate=5e-3)

    network = train_denoiser([(even, odd)], settings, device=CPU)
    error = np.square(denoise_volume(network, even, device=CPU) - clean).mean()

    assert error < 0.5 * np.square(even - clean).mean()


def test_halves_of_different_sizes_are_refused():
    _, even, odd = make_halves((16, 16, 16))

    with pytest.raises(SettingsError, match="same size"):
        train_denoiser([(even, odd[:-2])], DenoiserTraining(steps=1), device=CPU)


@pytest.mark.parametrize("wrong", [{"side_px": 30}, {"steps": 0}, {"learning_rate": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        DenoiserTraining(**wrong)


def test_a_model_file_keeps_the_network(tmp_path):
    network, volume = make_network(), make_halves((12, 12, 12))[1]
    save_denoiser(network, tmp_path / "m.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"no model")

    loaded = load_denoiser(tmp_path / "m.safetensors")

    np.testing.assert_array_equal(
        denoise_volume(loaded, volume, device=CPU, tile=12),
        denoise_volume(network, volume, device=CPU, tile=12),
    )
    with pytest.raises(InputError):
        load_denoiser(tmp_path / "missing.safetensors")
    with pytest.raises(FormatError, match="denoise-train"):
        load_denoiser(tmp_path / "other.safetensors")


def test_commands_train_on_halves_and_write_the_grey_values_of_the_input(tmp_path):
    _, even, odd = make_halves((8, 12, 16))
    for name, half in (("even", even), ("odd", odd)):
        write_volume(tmp_path / name / "a.mrc", 5 * half + 100, voxel_size_ang=8.0)
    line = f"tomo denoise-train -a {tmp_path}/even -b {tmp_path}/odd -o {tmp_path}/m.safetensors"

    trained = CliRunner().invoke(app, f"{line} --steps 2 --side-px 8 --windows 1".split())
    line = f"tomo denoise {tmp_path}/even/a.mrc --model {tmp_path}/m.safetensors -o {tmp_path}/out"
    denoised = CliRunner().invoke(app, line.split())

    assert (trained.exit_code, denoised.exit_code) == (0, 0), trained.output + denoised.output
    with mrcfile.open(tmp_path / "out" / "a.mrc") as file:
        assert file.data.shape == even.shape
        assert file.voxel_size.x == pytest.approx(8.0)
        assert file.data.mean() == pytest.approx(100.0, abs=5.0)
