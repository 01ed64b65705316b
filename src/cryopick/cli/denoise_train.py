"""`cryopick denoise-train`: train a denoiser on half-sets."""

from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.cli.app import app
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Device, Force, PixelSizeAng
from cryopick.cli.progress import check_skipped, open_events
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.denoise.settings import DenoiserTrainingSettings, DenoiseSettings
from cryopick.errors import CryopickError
from cryopick.workflows.events import FileSkipped, track_progress

__all__ = ["denoise_train"]

_STEPS = 1000
_HALF = "Files, quoted patterns, folders or @LIST. Both halves have the same names but for EVN/ODD."


@app.command("denoise-train")
@expand_settings
def denoise_train(
    even: Annotated[
        list[str],
        Option("--even", "-a", metavar="MIC", help=f"Sums of the even frames. {_HALF}"),
    ],
    odd: Annotated[list[str], Option("--odd", "-b", metavar="MIC", help="Sums of the odd frames.")],
    out: Annotated[
        Path, Option("--out", "-o", metavar="FILE", help="Denoiser to write (.safetensors).")
    ],
    options: Annotated[
        SettingsOptions[DenoiserTrainingSettings],
        Fields(
            skip=("checkpoint_every", "average", "falling_steps", "final_rate_frac"),
            defaults={"steps": str(_STEPS)},
        ),
    ],
    pixel_size_ang: PixelSizeAng = None,
    init: Annotated[
        Path | None,
        Option(metavar="FILE", help="Denoiser to start from. [default: that of the package]"),
    ] = None,
    from_scratch: Annotated[
        bool, Option("--from-scratch", help="Start from random weights.")
    ] = False,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Train a denoiser on half-sets of micrographs.

    Motion correction writes the sums of the even and of the odd frames on request. The denoiser
    learns from those; give it to `cryopick denoise --denoiser`. Run the same command again to
    resume an interrupted run.

    Example: cryopick denoise-train -a "mc/*_EVN.mrc" -b "mc/*_ODD.mrc" -o mine.safetensors
    """
    from cryopick.denoise.half_set_training import HalfSetTraining, train_on_half_sets
    from cryopick.denoise.half_sets import pair_half_sets
    from cryopick.denoise.model_file import DENOISER
    from cryopick.io.inputs import find_micrographs
    from cryopick.model.torch_device import require_torch_device
    from cryopick.train.averaged_training import StepProgress

    settings = options.build(defaults={"steps": _STEPS, "falling_steps": _STEPS // 2})
    pairs = pair_half_sets(find_micrographs(even), find_micrographs(odd))
    training = HalfSetTraining(
        pairs=pairs,
        out=out,
        settings=settings,
        working_size_ang=DenoiseSettings().working_size_ang,
        pixel_size_ang=pixel_size_ang,
        init=None if from_scratch else init or DENOISER,
        overwrite=force,
    )
    skipped: list[Path] = []
    with open_events() as events, track_progress(events, "Training", settings.steps) as advance:
        last_step = 0

        def on_prepared(path: Path, error: CryopickError | None) -> None:
            if error:
                skipped.append(path)
                events.emit(FileSkipped.from_error(path, error))

        def on_progress(progress: StepProgress) -> None:
            nonlocal last_step
            advance(progress.step - last_step)
            last_step = progress.step

        train_on_half_sets(training, require_torch_device(device), on_prepared, on_progress)
    add_results(pairs=len(pairs) - len(skipped))
    note(f"{out} written")
    check_skipped(skipped, len(pairs))
