"""The denoiser of the package: flat on noise, right on simulations, independent of tiles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cryopick.denoise.background import measure_background, split_extremes
from cryopick.denoise.denoiser import Denoiser, denoise_image
from cryopick.denoise.model_file import DENOISER, load_denoiser, save_denoiser
from cryopick.denoise.network import DenoisingNetwork
from cryopick.denoise.settings import DenoiserTrainingSettings, DenoiseSettings
from cryopick.errors import FormatError, InputError, MissingPixelSizeError, SettingsError
from cryopick.simulate.micrograph import simulate_scene
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings


@pytest.fixture(scope="module")
def denoiser():
    """Compute in float32, so that results are exact on every machine."""
    return Denoiser(load_denoiser())


def make_scene(**changes):
    settings = SimulationSettings(
        width_px=256, height_px=256, pixel_size_ang=4.0, particles=12, **changes
    ).without_junk()
    return simulate_scene(settings, load_molecule("compact"), 3)


# A Gaussian filter of 3 pixels leaves 0.09 and 0.26.
@pytest.mark.parametrize(
    ("exponent", "max_std", "max_deviation"), [(0.0, 0.05, 0.5), (0.5, 0.13, 0.8)]
)
def test_noise_without_particles_stays_flat(exponent, max_std, max_deviation, denoiser):
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft2(rng.normal(size=(384, 384)))
    frequency = np.hypot(np.fft.fftfreq(384)[:, None], np.fft.rfftfreq(384)[None])
    noise = np.fft.irfft2(spectrum * np.maximum(frequency, 1 / 64) ** -exponent)
    image = (100 + 10 * noise / noise.std()).astype(np.float32)

    denoised = denoise_image(image, 4.0, denoiser=denoiser)

    assert denoised.std() < max_std * image.std()
    assert np.abs(denoised - 100).max() < max_deviation * image.std()


@pytest.mark.parametrize("sign", [1, -1])
def test_particles_of_both_contrasts_are_seen_better_than_by_a_gaussian_filter(sign, denoiser):
    from scipy.ndimage import gaussian_filter

    scene = make_scene(defocus_um=(2.0, 2.0))
    image = sign * scene.expose(np.random.default_rng(1), 0.5)

    denoised = denoise_image(image, scene.pixel_size_ang, denoiser=denoiser)

    def error(estimate):
        return float(np.square(estimate - sign * scene.intensity).mean())

    filtered = [error(gaussian_filter(image, sigma)) for sigma in (1.0, 1.5, 2.0, 3.0, 4.0)]
    assert error(denoised) < min(filtered)


def test_tiles_do_not_change_the_result(denoiser):
    image = np.random.default_rng(0).normal(size=(300, 419)).astype(np.float32)

    np.testing.assert_allclose(
        denoiser.denoise(image, tile_px=64), denoiser.denoise(image), atol=1e-5
    )


def test_no_output_depends_on_pixels_beyond_the_context(denoiser):
    image = np.random.default_rng(0).normal(size=(16, 512)).astype(np.float32)
    changed = image.copy()
    changed[:, 256 + DenoisingNetwork.CONTEXT_PX :] += 5

    before, after = denoiser.denoise(image), denoiser.denoise(changed)

    np.testing.assert_allclose(before[:, :257], after[:, :257], atol=1e-5)
    assert np.abs(after - before)[:, -100:].max() > 0.1


@pytest.mark.parametrize("pixel_size_ang", [1.0, 3.3, 7.0, None])
@pytest.mark.parametrize("shape", [(131, 200), (64, 64)])
def test_size_and_unit_are_those_of_the_input(pixel_size_ang, shape, denoiser):
    image = np.random.default_rng(2).normal(0, 1, shape).astype(np.float32)

    plain = denoise_image(image, pixel_size_ang, denoiser=denoiser)
    scaled = denoise_image(7 * image + 50, pixel_size_ang, denoiser=denoiser)

    assert plain.shape == shape
    np.testing.assert_allclose(scaled, 7 * plain + 50, atol=2e-3)


def test_a_fine_micrograph_has_no_detail_below_twice_the_working_size(denoiser):
    image = np.random.default_rng(2).poisson(20, (256, 256)).astype(np.uint16)

    denoised = denoise_image(image, 1.0, DenoiseSettings(working_size_ang=4.0), denoiser)

    power = np.abs(np.fft.rfft2(denoised - denoised.mean())) ** 2
    # but for the background, which differs between opposite edges
    assert power[:, 40:].sum() + power[40:-40].sum() < 1e-3 * power.sum()


def test_filters_remove_detail_from_the_result(denoiser):
    scene = make_scene()
    image = scene.expose(np.random.default_rng(1))

    plain, low_pass, gaussian = (
        denoise_image(image, 4.0, settings, denoiser)
        for settings in (
            DenoiseSettings(),
            DenoiseSettings(low_pass_ang=80.0),
            DenoiseSettings(gaussian_px=3.0),
        )
    )

    roughness = [float(np.square(np.diff(x, axis=0)).mean()) for x in (plain, low_pass, gaussian)]
    assert max(roughness[1:]) < 0.7 * roughness[0]


def test_a_low_pass_filter_needs_the_pixel_size(denoiser):
    image = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float32)

    with pytest.raises(MissingPixelSizeError, match="needs the pixel size"):
        denoise_image(image, None, DenoiseSettings(low_pass_ang=20.0), denoiser)


@pytest.mark.parametrize("change", [{"working_size_ang": 0.0}, {"gaussian_px": -1.0},
                                    {"low_pass_ang": -3.0}])  # fmt: skip
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        DenoiseSettings(**change)
    with pytest.raises(SettingsError, match="steps"):
        replace(DenoiserTrainingSettings(), steps=0)


def test_gold_keeps_its_contrast(denoiser):
    image = np.random.default_rng(2).normal(size=(128, 128)).astype(np.float32)
    image[60:70, 60:70] -= 40

    denoised = denoise_image(image, 4.0, denoiser=denoiser)

    assert denoised[63:67, 63:67].mean() < -30


def test_the_background_is_smooth_and_the_noise_measured():
    rng = np.random.default_rng(2)
    gradient = np.linspace(0, 10, 300, dtype=np.float32)[None] + np.zeros((257, 1), np.float32)
    image = gradient + rng.normal(0, 3, gradient.shape).astype(np.float32)

    background = measure_background(image)

    assert background.noise_sd == pytest.approx(3, rel=0.02)
    inner = (slice(64, -64), slice(64, -64))
    np.testing.assert_allclose(background.interpolate((257, 300))[inner], gradient[inner], atol=0.5)
    half = background.interpolate((128, 150))
    np.testing.assert_allclose(
        half[:, 75], background.interpolate((257, 300))[::2, 150][:128], atol=0.2
    )


def test_extremes_are_split_off():
    moderate, excess = split_extremes(np.array([[-30, 2, 9]], np.float32))

    assert moderate.tolist() == [[-8, 2, 8]]
    assert excess.tolist() == [[-22, 0, 1]]


def test_a_denoiser_is_restored_from_its_file_in_half_precision(tmp_path):
    torch.manual_seed(0)
    network = DenoisingNetwork()

    save_denoiser(network, tmp_path / "a.safetensors", {"note": 1})

    read = load_denoiser(tmp_path / "a.safetensors").state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(read[name], value, rtol=1e-3, atol=1e-6)
    assert DENOISER.stat().st_size < 5_000_000


def test_denoisers_with_fewer_features_of_earlier_versions_are_read(tmp_path):
    network = DenoisingNetwork((16, 32, 64, 96)).eval()
    image = torch.randn(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))

    save_denoiser(network.half().float(), tmp_path / "a.safetensors", {})

    torch.testing.assert_close(load_denoiser(tmp_path / "a.safetensors")(image), network(image))


def test_files_that_are_no_denoisers_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such denoiser"):
        load_denoiser(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"text")
    with pytest.raises(FormatError, match="cannot be read"):
        load_denoiser(tmp_path / "a.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(FormatError, match="not a denoiser"):
        load_denoiser(tmp_path / "b.safetensors")
    damaged = (
        Path(DENOISER).read_bytes().replace(b"decode1.pair.first.bias", b"decode1.pair.firsX.bias")
    )
    (tmp_path / "c.safetensors").write_bytes(damaged)
    with pytest.raises(FormatError, match="cannot be read"):
        load_denoiser(tmp_path / "c.safetensors")
