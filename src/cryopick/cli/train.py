"""`cryopick train`: from labelled micrographs to a model."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option, echo

from cryopick.cli.app import app, stopwatch
from cryopick.cli.counting import AUTO, look, number_or_auto, tell_number, tell_odds
from cryopick.cli.options import MICROGRAPHS, Device, Ignore, RawPixelSizeAng, regions_on
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import settings_of
from cryopick.errors import CryopickError

if TYPE_CHECKING:
    import torch

    from cryopick.train.curves import Row
    from cryopick.train.labels import Labelled
    from cryopick.train.particle_count import Known
    from cryopick.train.training_run import Run

__all__ = ["WITHIN", "train"]

# Options that set a field of a table within the settings.
WITHIN = {
    "network": "network.name",
    "width": "network.width",
    "dropout": "network.dropout",
    "label_radius_px": "sampling.label_radius_px",
    "patch_px": "sampling.patch_px",
    "positive_patches": "sampling.positive_patches",
    "unlabelled_patches": "sampling.unlabelled_patches",
    "rotate": "sampling.rotate",
    "contrast": "sampling.contrast",
    "noise": "sampling.noise",
    "colour": "sampling.colour",
}


@app.command()
def train(
    micrographs: Annotated[
        list[str],
        Option("--micrographs", "-m", metavar="MIC", help=f"Micrographs; repeat. {MICROGRAPHS}"),
    ],
    picks: Annotated[
        Path, Option("--picks", "-p", metavar="PICKS", help="Table of labelled particles.")
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="MODEL", help="Model to write: .safetensors")
    ],
    negatives: Annotated[
        Path | None, Option(metavar="TABLE", help="Table of places that are no particles.")
    ] = None,
    ignore: Ignore = None,
    diameter_ang: Annotated[
        float | None, Option(help="Longest extent of the particle in ångströms; needed.")
    ] = None,
    particles_per_micrograph: Annotated[
        str | None,
        Option(
            metavar="N|auto",
            help="Particles expected on a micrograph, labelled or not [auto: as micrographs and "
            "labels tell].",
        ),
    ] = None,
    pixel_size_ang: RawPixelSizeAng = None,
    working_pixel_size_ang: Annotated[
        float | None,
        Option(help="Ångströms per pixel that the network sees [the diameter over 17]."),
    ] = None,
    normalization: Annotated[
        str | None,
        Option(help="How to standardise: dataset, micrograph, affine or white [white]."),
    ] = None,
    objective: Annotated[
        str | None, Option(help="pn, pu, ge-kl or ge-binomial [ge-binomial].")
    ] = None,
    penalty_weight: Annotated[
        float | None, Option(help="λ of the GE objectives [10 for ge-kl, 1 for ge-binomial].")
    ] = None,
    independent_regions: Annotated[
        int | None, Option(help="Regions of a step that ge-binomial counts as independent [240].")
    ] = None,
    autoencoder: Annotated[
        str | None,
        Option(help="Weight γ of the reconstruction: a number, or 10/N for N labels [0]."),
    ] = None,
    init: Annotated[
        str | None,
        Option(
            metavar="general|random|MODEL",
            help="Be guided by the general model, start from nothing, or go on from a model of "
            "yours [general].",
        ),
    ] = None,
    guide_weight: Annotated[
        float | None,
        Option(help="How much the general model counts [72 over the labels, at most 4]."),
    ] = None,
    frozen: Annotated[
        int | None, Option(help="First layers of a model of yours that stay as they are [0].")
    ] = None,
    network: Annotated[
        str | None, Option(help="conv31, conv63, conv127, resnet41, … or dilated101 [conv31].")
    ] = None,
    width: Annotated[int | None, Option(help="Channels of the first layer [32].")] = None,
    dropout: Annotated[float | None, Option(help="Share of features dropped [0.5].")] = None,
    l2: Annotated[float | None, Option("--l2", help="Weight of the squared weights [0].")] = None,
    steps: Annotated[
        int | None,
        Option(
            help="Minibatches in all [200, and 12 a label, at least 200 and at most 900; from a "
            "model 200]."
        ),
    ] = None,
    proposal_steps: Annotated[
        int | None,
        Option(
            help="The first of them, which learn what stands out and not the labels [200, at "
            "most two fifths of all; from a model 0]."
        ),
    ] = None,
    learning_rate: Annotated[float | None, Option(help="Greatest learning rate [0.003].")] = None,
    label_radius_px: Annotated[
        float | None, Option(help="Working pixels around a label that are positive [1].")
    ] = None,
    patch_px: Annotated[
        int | None, Option(help="Side of a patch in working pixels [three receptive fields].")
    ] = None,
    positive_patches: Annotated[
        int | None, Option(help="Patches of labelled regions in a step [2].")
    ] = None,
    unlabelled_patches: Annotated[
        int | None, Option(help="Patches of unlabelled regions in a step [8].")
    ] = None,
    rotate: Annotated[
        bool | None,
        Option("--rotate/--no-rotate", help="Turn and mirror the crops at random [yes]."),
    ] = None,
    contrast: Annotated[
        float | None, Option(help="Spread of the contrast, varied at random, as a logarithm [0.2].")
    ] = None,
    noise: Annotated[
        float | None, Option(help="Greatest spread of noise added, in those of the background [1].")
    ] = None,
    colour: Annotated[
        float | None,
        Option(
            help="Spread of the power at each frequency, varied at random, as a logarithm [0.2; "
            "from a model 0]."
        ),
    ] = None,
    checkpoint_every: Annotated[int | None, Option(help="Steps between checkpoints [50].")] = None,
    seed: Annotated[int | None, Option(help="Another seed, another run [0].")] = None,
    config: Annotated[
        Path | None,
        Option(metavar="FILE", help="Settings as a run writes them, settings.toml; options win."),
    ] = None,
    held_out_micrographs: Annotated[
        list[str] | None,
        Option(metavar="MIC", help="Micrographs to judge by and not to learn from; repeat."),
    ] = None,
    held_out_picks: Annotated[
        Path | None, Option(metavar="PICKS", help="All particles on those micrographs.")
    ] = None,
    held_out_frac: Annotated[
        float | None, Option(help="Judge by this share of the labelled micrographs instead.")
    ] = None,
    device: Device = "auto",
    devices: Annotated[
        int, Option(min=1, help="How many such devices share each minibatch, on this machine.")
    ] = 1,
    resume: Annotated[
        bool, Option("--resume", help="Go on with an unfinished run, or fail if there is none.")
    ] = False,
    finish: Annotated[
        bool,
        Option("--finish", help="Make the model of an unfinished run as it is, its best so far."),
    ] = False,
    force: Annotated[
        bool, Option("--force", help="Replace MODEL, and start afresh unless --resume is given.")
    ] = False,
) -> None:
    """Train a model on labelled particles; the rest of the micrographs counts as unlabelled.

    The folder MODEL.run beside the model (without its suffix) keeps settings, curves, a record of
    the run and the last checkpoint. A run that was cut off goes on when its command is given again.

    Example: cryopick train -m micrographs -p labels.star -o particle.safetensors
    --diameter-ang 190
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.model.device import ready_device
    from cryopick.runs.metadata import write_record
    from cryopick.train.fabric import check_devices
    from cryopick.train.particle_count import settled
    from cryopick.train.settings import GENERAL, TrainSettings
    from cryopick.train.training_run import Run

    training = _labelled(micrographs, picks)
    defaults = {} if config else _defaults(init or GENERAL, options, len(training.labels))
    number = number_or_auto("--particles-per-micrograph", particles_per_micrograph)
    options["particles_per_micrograph"] = number
    settings = settings_of(TrainSettings, options, config, WITHIN, defaults)
    if particles_per_micrograph == AUTO:  # whatever the file says
        settings = replace(settings, particles_per_micrograph=None)
    if negatives:
        training = training.against(read_picks(negatives), negatives)
    held_out: Labelled | None = None
    if held_out_frac is not None:
        if held_out_micrographs or held_out_picks:
            raise BadParameter("give --held-out-frac alone, or micrographs and picks held out")
        training, held_out = training.split(held_out_frac, settings.seed)
    elif held_out_micrographs and held_out_picks:
        held_out = _labelled(held_out_micrographs, held_out_picks)
    elif held_out_micrographs or held_out_picks:
        raise BadParameter("--held-out-micrographs and --held-out-picks go together")
    everywhere = [*training.paths, *(held_out.paths if held_out else ())]
    regions = regions_on(everywhere, ignore)
    on = ready_device(device)
    check_devices(devices, on, settings.sampling)
    complete = held_out.labels if held_out and held_out_picks else None
    known = look(training, settings, on, regions, complete)
    tell_number(known, settings.particles_per_micrograph)
    settings = settled(settings, known.estimate, len(training.labels), len(training.paths))
    run = Run(model=out, settings=settings, training=training, held_out=held_out, ignore=regions)
    on_what = {"overwrite": force, "resume": resume or finish, "finish": finish}
    batch = _carry_out(run, known, on, **on_what, devices=devices)
    files = {"labels": picks, "negatives": negatives, "ignore": ignore}
    files |= {"model": out, "held-out labels": held_out_picks or (picks if held_out else None)}
    record = stopwatch().record(
        micrographs=training.paths,
        files=files,
        held_out=held_out.paths if held_out else (),
        device=str(on),
    )
    write_record(record, run.folder / "run.json")
    batch.finish()


def _defaults(init: str, options: Mapping[str, Any], labels: int) -> dict[str, Any]:
    """The settings that suit what the run starts from, and how many labels it has."""
    from cryopick.train.initialization import usual_training
    from cryopick.train.settings import GENERAL, RANDOM

    for name in ("network", "width"):
        if options[name] is not None and init not in (RANDOM, GENERAL):
            raise BadParameter(
                f"--{name} cannot be changed in a model; leave it out, or add --init random"
            )
    return usual_training(init, options["diameter_ang"], labels=labels, steps=options["steps"])


def _labelled(micrographs: list[str], picks: Path) -> "Labelled":
    """The micrographs with their labels; labels elsewhere are counted and told."""
    from cryopick.io.inputs import micrograph_paths
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.train.labels import Labelled

    labelled = Labelled.of(micrograph_paths(micrographs), read_picks(picks), picks)
    if labelled.left_out:
        echo(
            f"left out: {labelled.left_out} labels of {picks} on micrographs that were not given",
            err=True,
        )
    return labelled


def _carry_out(  # what to do, and three ways to begin and end
    run: "Run",
    known: "Known",
    device: "torch.device",
    *,
    overwrite: bool,
    resume: bool,
    finish: bool,
    devices: int,
) -> Batch:
    """Do the run, telling how far it is; return the batch of micrographs, some perhaps skipped."""
    from cryopick.report.training import plot_training
    from cryopick.train.particle_count import calibrated
    from cryopick.train.validation import HeldOutMicrographs

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

        def on_row(row: "Row") -> None:
            nonlocal told
            echo(_as_text(row, run.settings.steps), err=True)
            advance(row.step - told)
            told = row.step

        judge = partial(HeldOutMicrographs.of, run.settings)
        outcome = run.learn(prepared, judge, device, on_row, finish=finish, devices=devices)
    plot_training(outcome.curves.rows, run.folder / "curves.png")
    model = run.model_of(prepared, outcome)
    model = calibrated(model, known, run.settings, device, run.ignore)
    tell_odds(model)
    run.finish(model, outcome)
    echo(
        f"{run.model}: learnt from {prepared.training.store.labelled} labels on "
        f"{len(prepared.training.paths)} micrographs, best at step {outcome.best_step}",
        err=True,
    )
    return batch


def _as_text(row: "Row", steps: int) -> str:
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
