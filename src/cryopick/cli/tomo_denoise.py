"""`cryopick tomo denoise-train` and `denoise`: remove noise from tomograms."""

from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Device, Force
from cryopick.cli.outputs import OutputFolder, plan_output_files
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.cli.tomo_group import TomogramFiles, VoxelSizeAng, tomo
from cryopick.errors import SettingsError, format_count
from cryopick.tomograms.denoise_settings import DenoiserTraining

__all__ = ["denoise", "denoise_train"]


@tomo.command("denoise-train")
@expand_settings
def denoise_train(
    even: Annotated[
        list[str],
        Option("--even", "-a", metavar="TOMO", help="Half-tomograms of the even images."),
    ],
    odd: Annotated[
        list[str],
        Option("--odd", "-b", metavar="TOMO", help="Half-tomograms of the odd images, in order."),
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="MODEL", help="Model file to write (.safetensors).")
    ],
    options: SettingsOptions[DenoiserTraining],
    voxel_size_ang: VoxelSizeAng = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Train a denoiser on halves of tomograms.

    The halves are reconstructed from the even and the odd images of the tilt series, or from the
    even and odd frames of each image. The network learns to predict each half from the other. Use
    it for these tomograms, or for others of the same microscope and voxel size.

    Example: cryopick tomo denoise-train -a even.mrc -b odd.mrc -o denoiser.safetensors
    """
    from cryopick.errors import OutputExistsError
    from cryopick.model.torch_device import require_torch_device
    from cryopick.tomograms.denoise_network import save_denoiser
    from cryopick.tomograms.denoising import read_volume, train_denoiser
    from cryopick.tomograms.volumes import find_tomograms

    settings = options.build()
    if out.exists() and not force:
        raise OutputExistsError(f"{out}: already exists; overwrite it with --force")
    halves = [find_tomograms(one, voxel_size_ang=voxel_size_ang) for one in (even, odd)]
    if len(halves[0]) != len(halves[1]):
        raise SettingsError(
            f"each even half needs its odd half; got {len(halves[0])} and {len(halves[1])}"
        )
    pairs = [(read_volume(a)[0], read_volume(b)[0]) for a, b in zip(*halves, strict=True)]
    losses: list[float] = []
    with progress(settings.steps, "Training") as advance:

        def record(_step: int, loss: float) -> None:
            losses.append(loss)
            advance(1)

        network = train_denoiser(
            pairs, settings, device=require_torch_device(device), on_step=record
        )
    save_denoiser(network, out, overwrite=force)
    last = losses[-50:]
    add_results(pairs=len(pairs), loss=sum(last) / len(last))
    note(f"trained on {format_count(len(pairs), 'pair')}; loss {sum(last) / len(last):.4f}; {out}")


@tomo.command()
def denoise(
    tomograms: TomogramFiles,
    model: Annotated[
        Path,
        Option(
            "--model", metavar="MODEL", help="Model file written by `cryopick tomo denoise-train`."
        ),
    ],
    out: OutputFolder,
    voxel_size_ang: VoxelSizeAng = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Remove noise from tomograms.

    The output has the voxel size and the grey values of the input. Show it or pick in it by eye;
    `cryopick tomo pick` needs no denoising.

    Example: cryopick tomo denoise tomo_1.mrc --model denoiser.safetensors -o denoised
    """
    from cryopick.model.torch_device import require_torch_device
    from cryopick.tomograms.denoise_network import load_denoiser
    from cryopick.tomograms.denoising import denoise_tomogram
    from cryopick.tomograms.volumes import find_tomograms, write_volume

    torch_device = require_torch_device(device)
    network = load_denoiser(model).to(torch_device)
    by_path = {one.path: one for one in find_tomograms(tomograms, voxel_size_ang=voxel_size_ang)}
    outputs = plan_output_files(list(by_path), out)

    def run(path: Path) -> Path:
        volume = denoise_tomogram(network, by_path[path], device=torch_device)
        size_ang = by_path[path].voxel_size_ang
        write_volume(outputs[path], volume, voxel_size_ang=size_ang, overwrite=force)
        return outputs[path]

    batch = Batch(list(by_path), stage="Denoising tomograms")
    written = [output for _, output in batch.run(run)]
    add_results(tomograms=len(written))
    note(f"{format_count(len(written), 'tomogram')} written to {out}")
    batch.finish()
