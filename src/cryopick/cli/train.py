"""`cryopick train`: from labelled micrographs to a model."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, echo

from cryopick.cli.app import app, stopwatch
from cryopick.cli.counting import look, tell_number, tell_odds
from cryopick.cli.options import MICROGRAPHS, Config, Device, Ignore, read_ignored_regions
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.errors import CryopickError
from cryopick.train.settings import GENERAL, RANDOM, TrainSettings

if TYPE_CHECKING:
    import torch

    from cryopick.train.curves import CurveRow
    from cryopick.train.labels import LabelledMicrographs
    from cryopick.train.particle_count import ParticleStatistics
    from cryopick.train.training_run import TrainingRun

__all__ = ["train"]


@app.command()
@expand_settings
def train(
    micrographs: Annotated[
        list[str],
        Option(
            "--micrographs", "-m", metavar="MIC", help=f"Micrographs; repeatable. {MICROGRAPHS}"
        ),
    ],
    picks: Annotated[
        Path, Option("--picks", "-p", metavar="PICKS", help="Table of labelled particles.")
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="MODEL", help="Model file to write (.safetensors).")
    ],
    options: Annotated[
        SettingsOptions[TrainSettings],
        Fields(
            defaults={
                "normalization": "white, or that of the model given with --init",
                "network.name": "conv31, or that of the model given with --init",
                "sampling.spectral_augmentation": "0.2; 0 from a model",
            },
            auto={"particles_per_micrograph": "auto estimates it, also where --config sets it."},
        ),
    ],
    negatives: Annotated[
        Path | None,
        Option(metavar="TABLE", help="Table of negative labels: positions without a particle."),
    ] = None,
    ignore: Ignore = None,
    config: Config = None,
    held_out_micrographs: Annotated[
        list[str] | None,
        Option(metavar="MIC", help="Micrographs to evaluate on instead of training; repeatable."),
    ] = None,
    held_out_picks: Annotated[
        Path | None,
        Option(metavar="PICKS", help="Table of all particles on the held-out micrographs."),
    ] = None,
    held_out_frac: Annotated[
        float | None,
        Option(
            help="Fraction of the labelled micrographs to hold out at random, instead of "
            "--held-out-micrographs."
        ),
    ] = None,
    device: Device = "auto",
    devices: Annotated[
        int, Option(min=1, help="Number of devices on this machine that share each minibatch.")
    ] = 1,
    resume: Annotated[
        bool, Option("--resume", help="Resume an interrupted run; fail if there is none.")
    ] = False,
    finish: Annotated[
        bool,
        Option("--finish", help="Write the best model so far of an interrupted run, and stop."),
    ] = False,
    force: Annotated[
        bool,
        Option("--force", help="Overwrite MODEL, and restart the run unless --resume is given."),
    ] = False,
) -> None:
    """Train a model on labelled particles. Unlabelled areas count as unlabelled, not as negative.

    The folder MODEL.run beside the model (without its suffix) holds the settings, the training
    curves, the run metadata and the last checkpoint. Run the same command again to resume an
    interrupted run.

    Example: cryopick train -m micrographs -p labels.star -o particle.safetensors
    --diameter-ang 190
    """
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.model.device import require_device
    from cryopick.runs.metadata import write_run_metadata
    from cryopick.train.fabric import check_devices
    from cryopick.train.particle_count import resolve_particle_count
    from cryopick.train.training_run import TrainingRun

    training = _labelled(micrographs, picks)
    defaults = {} if config else _defaults(options.given, len(training.labels))
    settings = options.build(config, defaults)
    if negatives:
        training = training.against(read_picks(negatives), negatives)
    held_out: LabelledMicrographs | None = None
    if held_out_frac is not None:
        if held_out_micrographs or held_out_picks:
            raise BadParameter(
                "--held-out-frac cannot be combined with --held-out-micrographs or --held-out-picks"
            )
        training, held_out = training.split(held_out_frac, settings.seed)
    elif held_out_micrographs and held_out_picks:
        held_out = _labelled(held_out_micrographs, held_out_picks)
    elif held_out_micrographs or held_out_picks:
        raise BadParameter("--held-out-micrographs and --held-out-picks require each other")
    everywhere = [*training.paths, *(held_out.paths if held_out else ())]
    regions = read_ignored_regions(everywhere, ignore)
    on = require_device(device)
    check_devices(devices, on, settings.sampling)
    complete = held_out.labels if held_out and held_out_picks else None
    known = look(training, settings, on, regions, complete)
    tell_number(known, settings.particles_per_micrograph)
    settings = resolve_particle_count(
        settings, known.estimate, len(training.labels), len(training.paths)
    )
    run = TrainingRun(
        model=out, settings=settings, training=training, held_out=held_out, ignore=regions
    )
    on_what = {"overwrite": force, "resume": resume or finish, "finish": finish}
    batch = _carry_out(run, known, on, **on_what, devices=devices)
    files = {"labels": picks, "negatives": negatives, "ignore": ignore}
    files |= {"model": out, "held-out labels": held_out_picks or (picks if held_out else None)}
    record = stopwatch().collect_metadata(
        micrographs=training.paths,
        files=files,
        held_out=held_out.paths if held_out else (),
        device=str(on),
    )
    write_run_metadata(record, run.folder / "run.json")
    batch.finish()


def _defaults(given: Mapping[str, Any], labels: int) -> dict[str, Any]:
    """Choose the defaults for the initial weights and the number of labels."""
    from cryopick.train.initialization import choose_training_settings

    init = given.get("init", GENERAL)
    for option, name in (("network", "network.name"), ("width", "network.width")):
        if name in given and init not in (RANDOM, GENERAL):
            raise BadParameter(
                f"--{option} cannot be changed in a trained model; remove it, or add --init random"
            )
    return choose_training_settings(
        init, given.get("diameter_ang"), labels=labels, steps=given.get("steps")
    )


def _labelled(micrographs: list[str], picks: Path) -> "LabelledMicrographs":
    """The micrographs with their labels; labels elsewhere are counted and told."""
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.train.labels import LabelledMicrographs

    labelled = LabelledMicrographs.of(find_micrographs(micrographs), read_picks(picks), picks)
    if labelled.left_out:
        echo(
            f"left out: {labelled.left_out} labels of {picks} on micrographs that were not given",
            err=True,
        )
    return labelled


def _carry_out(  # what to do, and three ways to begin and end
    run: "TrainingRun",
    known: "ParticleStatistics",
    device: "torch.device",
    *,
    overwrite: bool,
    resume: bool,
    finish: bool,
    devices: int,
) -> Batch:
    """Do the run, telling how far it is; return the batch of micrographs, some perhaps skipped."""
    from cryopick.report.training import plot_training
    from cryopick.train.particle_count import calibrate_model
    from cryopick.train.validation import HeldOutValidator

    done = run.open(overwrite=overwrite, resume=resume)
    if done:
        echo(f"going on at step {done} of the unfinished run in {run.folder}", err=True)
    paths = [*run.training.paths, *(run.held_out.paths if run.held_out else ())]
    batch = Batch(paths, doing="Preparing micrographs")
    with progress(len(paths), "Preparing micrographs") as advance:

        def on_micrograph(path: Path, error: CryopickError | None) -> None:
            if error:
                batch.skip(path, error)
            advance(1)

        prepared = run.prepare(on_micrograph)
    if prepared.training.left_out:
        echo(
            f"left out: {prepared.training.left_out} labels on borders, flat patches or ignored "
            "regions",
            err=True,
        )
    with progress(run.settings.steps - done, "Training") as advance:
        told = done

        def on_row(row: "CurveRow") -> None:
            nonlocal told
            echo(_as_text(row, run.settings.steps), err=True)
            advance(row.step - told)
            told = row.step

        judge = partial(HeldOutValidator.of, run.settings)
        outcome = run.learn(prepared, judge, device, on_row, finish=finish, devices=devices)
    plot_training(outcome.curves.rows, run.folder / "curves.png")
    model = run.model_of(prepared, outcome)
    model = calibrate_model(model, known, run.settings, device, run.ignore)
    tell_odds(model)
    run.finish(model, outcome)
    echo(
        f"{run.model}: learnt from {prepared.training.store.labelled} labels on "
        f"{len(prepared.training.paths)} micrographs, best at step {outcome.best_step}",
        err=True,
    )
    return batch


def _as_text(row: "CurveRow", steps: int) -> str:
    text = (
        f"step {row.step}/{steps}  loss {row.loss:.4f}  penalty {row.penalty:.4f}  "
        f"precision {row.expected_precision:.3f}  true positives {row.true_positive_rate:.3f}  "
        f"false positives {row.false_positive_rate:.4f}"
    )
    if row.particle_average_precision is None:
        return text
    return (
        f"{text}  held-out AP {row.particle_average_precision:.4f} "
        f"(regions {row.region_average_precision:.4f})"
    )
