"""Denoising of tomograms with the options of Topaz.

The denoiser is one that cryopick has trained on half-tomograms, here or by `tomo denoise-train`. No
network comes with the package that would do without halves.

- `denoise3d`: train a denoiser if halves are given, and denoise tomograms.
"""

from argparse import Namespace
from pathlib import Path

from cryopick.clients.topaz_cli.arguments import report, set_thread_count
from cryopick.clients.topaz_cli.denoising import name_output
from cryopick.clients.topaz_cli.micrographs import report_failures
from cryopick.errors import CryopickError, SettingsError
from cryopick.runs.file_errors import translate_file_errors
from cryopick.tomograms.denoise_settings import DenoiserTraining

__all__ = ["denoise3d"]

_TOPAZ_MODELS = ("unet-3d", "unet-3d-10a", "unet-3d-20a")
_TOPAZ_EPOCHS = 500  # its default, which stands for the default number of steps
_MIN_STEPS = 2


def denoise3d(values: Namespace) -> int:
    """Train a denoiser if half-tomograms are given, and denoise tomograms."""
    set_thread_count(values.num_threads)
    model = Path(values.model)
    if values.even_train_path or values.odd_train_path:
        if not (values.even_train_path and values.odd_train_path):
            values.parser.error("--even-train-path and --odd-train-path require each other")
        model = _train(values)
    elif not values.volumes:
        values.parser.error("tomograms are required, or --even-train-path and --odd-train-path")
    elif values.model in _TOPAZ_MODELS:
        report(
            "denoise3d: nothing was written, as there is no pretrained denoiser of tomograms "
            "here; train one with --even-train-path and --odd-train-path, or with `cryopick tomo "
            "denoise-train`, and name its file with --model"
        )
        return 1
    return _denoise_files(values, model) if values.volumes else 0


def _train(values: Namespace) -> Path:
    """Train a denoiser on two files or folders of half-tomograms, and return its file."""
    from cryopick.clients.topaz_cli.detectors import choose_torch_device
    from cryopick.tomograms.denoise_network import save_denoiser
    from cryopick.tomograms.denoising import read_volume, train_denoiser
    from cryopick.tomograms.volumes import find_tomograms

    halves = [
        find_tomograms([folder]) for folder in (values.even_train_path, values.odd_train_path)
    ]
    if len(halves[0]) != len(halves[1]):
        raise SettingsError(
            f"each even half needs its odd half; got {len(halves[0])} and {len(halves[1])}"
        )
    pairs = [(read_volume(a)[0], read_volume(b)[0]) for a, b in zip(*halves, strict=True)]
    default_steps = DenoiserTraining().steps
    steps = max(round(default_steps * values.num_epochs / _TOPAZ_EPOCHS), _MIN_STEPS)
    device = choose_torch_device(values.device)
    network = train_denoiser(pairs, DenoiserTraining(steps=steps), device=device)
    out = Path(f"{values.save_prefix or 'denoiser3d'}_epoch{values.num_epochs}.sav")
    save_denoiser(network, out, overwrite=True)
    report(f"# written: {out}, after {steps} steps")
    return out


def _denoise_files(values: Namespace, model: Path) -> int:
    """Denoise tomograms with the denoiser of a file, and return the exit status."""
    from scipy.ndimage import gaussian_filter

    from cryopick.clients.topaz_cli.detectors import choose_torch_device
    from cryopick.tomograms.denoise_network import load_denoiser
    from cryopick.tomograms.denoising import denoise_tomogram
    from cryopick.tomograms.volumes import find_tomograms, write_volume

    device = choose_torch_device(values.device)
    network = load_denoiser(model).to(device)
    tomograms = find_tomograms(values.volumes)
    failures: list[Exception] = []
    for tomogram in tomograms:
        try:
            path = tomogram.path
            out = name_output(path, path.stem, path.suffix, values)
            with translate_file_errors(path):
                volume = denoise_tomogram(network, tomogram, device=device)
            if values.gaussian > 0:
                volume = gaussian_filter(volume, values.gaussian)
            write_volume(out, volume, voxel_size_ang=tomogram.voxel_size_ang, overwrite=True)
        except CryopickError as error:
            failures.append(error)
    return report_failures(len(tomograms), failures, "tomograms")
