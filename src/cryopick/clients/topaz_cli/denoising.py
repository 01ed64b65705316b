"""Denoising of micrographs with the options of Topaz, and training of a denoiser.

The denoiser is that of cryopick: the names of Topaz's models all stand for it. Its result does not
depend on patches. Filters apply to the result, because the denoiser expects unfiltered noise.

- `denoise`: denoise micrographs, or train a denoiser.
- `denoise_files`, `denoise_pixels`, `open_denoisers`: its parts, for `topaz_library`.
- `name_output`: file of a result.
"""

import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float32
from cryopick.clients.topaz_cli.arguments import report, set_thread_count
from cryopick.clients.topaz_cli.images import write_image
from cryopick.clients.topaz_cli.micrographs import find_images, report_failures
from cryopick.denoise.settings import DenoiserTrainingSettings, DenoiseSettings
from cryopick.errors import CryopickError, SettingsError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import micrograph_stem
from cryopick.runs.file_errors import translate_file_errors

if TYPE_CHECKING:
    from cryopick.denoise.denoiser import Denoiser

__all__ = ["denoise", "denoise_files", "denoise_pixels", "name_output", "open_denoisers"]

_TOPAZ_MODELS = ("unet", "unet-small", "unet-v0.2.1", "fcnn", "affine", "affineresnet8")
_NO_MODEL = "none"
_STEPS_PER_EPOCH = 10  # an epoch of Topaz is one pass over the micrographs
_MIN_STEPS = 20
_SD_PER_WAVELENGTH = math.sqrt(2 * math.log(2)) / (2 * math.pi)  # where a filter's gain is 1/2


def denoise(values: Namespace) -> int:
    """Train a denoiser if folders of half-sets are given, and denoise micrographs."""
    set_thread_count(values.num_threads)
    if values.hdf or values.stack:
        option = "--hdf" if values.hdf else "--stack"
        report(f"{option} is not supported; give micrographs in files of their own")
        return 1
    ignored = [
        name
        for name, is_given in (
            ("--inv-gaussian", values.inv_gaussian > 0),
            ("--deconvolve", values.deconvolve),
        )
        if is_given
    ]
    if ignored:
        report(f"# not supported, ignored: {', '.join(ignored)}")
    models = values.model
    if values.dir_a or values.dir_b:
        if not (values.dir_a and values.dir_b):
            values.parser.error("--dir-a and --dir-b require each other")
        models = [str(_train(values))]
    elif not values.micrographs:
        values.parser.error("micrographs are required, or --dir-a and --dir-b")
    return denoise_files(values, models) if values.micrographs else 0


def denoise_files(values: Namespace, models: Sequence[str]) -> int:
    """Denoise files with the denoisers of some names, and return the exit status."""
    denoisers = open_denoisers(models, values.device)
    paths = find_images(values.micrographs)
    failures: list[Exception] = []
    for path in paths:
        try:
            with translate_file_errors(path):
                _denoise_file(path, denoisers, values)
        except CryopickError as error:
            failures.append(error)
    return report_failures(len(paths), failures)


def open_denoisers(names: Sequence[str], device: int) -> "list[Denoiser]":
    """Open the denoisers of names or files; the model `none` stands for no denoiser.

    Raises:
        InputError: A file is missing, or is not a denoiser of cryopick.
    """
    from cryopick.clients.topaz_cli.detectors import choose_torch_device
    from cryopick.denoise.denoiser import open_denoiser
    from cryopick.denoise.model_file import DENOISER

    torch_device = choose_torch_device(device)
    files = [
        DENOISER if name in _TOPAZ_MODELS else Path(name) for name in names if name != _NO_MODEL
    ]
    return [open_denoiser(file, torch_device) for file in dict.fromkeys(files)]


def _denoise_file(path: Path, denoisers: "Sequence[Denoiser]", values: Namespace) -> None:
    """Write a denoised micrograph where Topaz writes it; several denoisers are averaged."""
    raw = read_micrograph(path)
    out = name_output(path, micrograph_stem(path.name), f".{values.format}", values)
    pixels = np.asarray(raw.pixels)
    if values.pixel_cutoff > 0:
        pixels = np.array(pixels, np.float32)
        mean, sd = float(pixels.mean()), float(pixels.std())
        pixels[np.abs(pixels - mean) >= values.pixel_cutoff * sd] = mean
    image = denoise_pixels(pixels, raw.pixel_size_ang, denoisers, values)
    if values.normalize:
        image = (image - image.mean()) / max(float(image.std()), 1e-12)
    write_image(out, image, raw.pixel_size_ang)


def name_output(path: Path, stem: str, ending: str, values: Namespace) -> Path:
    """Name the result of a file by the options for its folder and its suffix.

    Raises:
        SettingsError: The result would overwrite the file.
    """
    suffix = values.suffix or ("" if values.output else ".denoised")
    folder = Path(values.output) if values.output else path.parent
    out = folder / f"{stem}{suffix}{ending}"
    if out.resolve() == path.resolve():
        raise SettingsError(f"{path}: would overwrite itself; choose another --output")
    return out


def denoise_pixels(
    pixels: np.ndarray,
    pixel_size_ang: float | None,
    denoisers: "Sequence[Denoiser]",
    values: Namespace,
) -> Float32[np.ndarray, "height width"]:
    """Denoise and filter an image."""
    from cryopick.denoise.denoiser import denoise_image
    from cryopick.preprocess.display import filter_band

    low_pass_sd = 0.0
    if values.lowpass > 1:  # keeps frequencies up to Nyquist divided by this factor
        low_pass_sd = 2 * values.lowpass * _SD_PER_WAVELENGTH
    gaussian_px = math.hypot(values.gaussian, low_pass_sd)
    if not denoisers:
        wavelength_px = gaussian_px / _SD_PER_WAVELENGTH or None
        return filter_band(np.array(pixels, np.float32), 1.0, low_pass_ang=wavelength_px)
    settings = DenoiseSettings(gaussian_px=gaussian_px)
    images = [denoise_image(pixels, pixel_size_ang, settings, each) for each in denoisers]
    return np.asarray(np.mean(images, axis=0, dtype=np.float32))


def _train(values: Namespace) -> Path:
    """Train a denoiser on two folders of half-sets, and return its file."""
    from cryopick.clients.topaz_cli.detectors import choose_torch_device
    from cryopick.denoise.half_set_training import HalfSetTraining, train_on_half_sets
    from cryopick.denoise.half_sets import pair_half_sets
    from cryopick.denoise.model_file import DENOISER

    steps = max(_STEPS_PER_EPOCH * values.num_epochs, _MIN_STEPS)
    pairs = pair_half_sets(*(find_images([folder]) for folder in (values.dir_a, values.dir_b)))
    prefix = values.save_prefix or "denoiser"
    training = HalfSetTraining(
        pairs=pairs,
        out=Path(f"{prefix}_epoch{values.num_epochs}.sav"),
        settings=DenoiserTrainingSettings(steps=steps, falling_steps=steps // 2),
        working_size_ang=DenoiseSettings().working_size_ang,
        pixel_size_ang=None,
        init=DENOISER,
        overwrite=True,
    )
    train_on_half_sets(
        training,
        choose_torch_device(values.device),
        lambda _, error: report(f"skipped {error}") if error else None,
        lambda progress: report(f"# step {progress.step} of {steps}: loss {progress.loss:.4f}"),
    )
    report(f"# written: {training.out}")
    return training.out
