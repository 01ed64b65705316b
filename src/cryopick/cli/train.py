"""`cryopick train`: from labelled micrographs to a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import BadParameter, Option

from cryopick.cli.app import app, stopwatch
from cryopick.cli.messages import add_results
from cryopick.cli.options import MICROGRAPHS, Config, Device, Ignore, read_ignored_regions
from cryopick.cli.progress import check_skipped, open_events
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.cli.volume_check import refuse_tomograms
from cryopick.train.settings import GENERAL, RANDOM, TrainSettings

if TYPE_CHECKING:
    from cryopick.train.labels import LabelledMicrographs

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
        list[Path],
        Option(
            "--picks",
            "-p",
            metavar="PICKS",
            help="Table of labelled particles; repeatable with --classes.",
        ),
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="MODEL", help="Model file to write (.safetensors).")
    ],
    options: Annotated[
        SettingsOptions[TrainSettings],
        Fields(
            defaults={
                "particles_per_micrograph": "auto",
                "normalization": "that of the initial model; white for random weights",
                "network.name": "that of the initial model; conv31 for random weights",
                "sampling.spectral_augmentation": "0; 0.2 for random weights",
            },
            auto={
                "particles_per_micrograph": "auto estimates it from the micrographs and the "
                "labels, even if --config sets a number."
            },
        ),
    ],
    classes: Annotated[
        bool,
        Option(
            "--classes",
            help="Learn a kind of particles from each table of labels, named after it; labels of "
            "the others are negative labels. `cryopick pick` then tells the class of each pick.",
        ),
    ] = False,
    negatives: Annotated[
        Path | None,
        Option(metavar="TABLE", help="Table of negative labels: positions without a particle."),
    ] = None,
    trust_labels: Annotated[
        bool,
        Option(
            "--trust-labels",
            help="Train although the labels fit much better when mirrored, scaled or shifted.",
        ),
    ] = False,
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
    """Train a model on labelled particles.

    The labels need not be complete: all other areas count as unlabelled, not as background. The
    folder MODEL.run beside the model (without its suffix) holds the settings, the training curves,
    the run metadata and the last checkpoint. Run the same command again to resume an interrupted
    run.

    Example: cryopick train -m micrographs -p labels.star -o particle.safetensors
    --diameter-ang 190

    Example: cryopick train -m micrographs -p ribosome.star -p proteasome.star --classes -o
    both.safetensors --diameter-ang 200
    """
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.workflows.training import TrainJob, train_model

    labels = {table.stem: _read_labels(micrographs, table) for table in picks}
    _check_classes(picks, held_out_micrographs, held_out_frac, classes=classes)
    training = next(iter(labels.values()))
    defaults = {} if config else _choose_defaults(options.values, len(training.labels))
    settings = options.build(config, defaults)
    if negatives:
        table = read_picks(negatives)
        labels = {name: one.with_negatives(table, negatives) for name, one in labels.items()}
        training = next(iter(labels.values()))
    held_out: LabelledMicrographs | None = None
    if held_out_frac is not None:
        if held_out_micrographs or held_out_picks:
            raise BadParameter(
                "--held-out-frac cannot be combined with --held-out-micrographs or --held-out-picks"
            )
        training, held_out = training.split(held_out_frac, settings.seed)
    elif held_out_micrographs and held_out_picks:
        held_out = _read_labels(held_out_micrographs, held_out_picks)
    elif held_out_micrographs or held_out_picks:
        raise BadParameter("--held-out-micrographs and --held-out-picks require each other")
    all_micrographs = [*training.paths, *(held_out.paths if held_out else ())]
    job = TrainJob(
        model=out,
        settings=settings,
        training=training,
        held_out=held_out,
        held_out_is_complete=held_out_picks is not None,
        trust_labels=trust_labels,
        ignore=read_ignored_regions(all_micrographs, ignore),
        device=device,
        devices=devices,
        overwrite=force,
        resume=resume,
        finish=finish,
        files={
            "labels": picks[0],
            "negatives": negatives,
            "ignore": ignore,
            "held-out labels": held_out_picks or (picks[0] if held_out else None),
        },
        stopwatch=stopwatch(),
    )
    with open_events() as events:
        if classes:
            from cryopick.workflows.classes import train_classes

            skipped = train_classes(job, labels, events)
        else:
            skipped = train_model(job, events).skipped
    count = sum(len(one.labels) for one in labels.values()) if classes else len(training.labels)
    add_results(model=str(out), labels=count, micrographs=len(training.paths))
    check_skipped(skipped, len(all_micrographs))


def _check_classes(
    picks: list[Path],
    held_out_micrographs: list[str] | None,
    held_out_frac: float | None,
    *,
    classes: bool,
) -> None:
    """Check the options of a training of several classes.

    Raises:
        BadParameter: They contradict each other.
    """
    if not classes:
        if len(picks) > 1:
            raise BadParameter("several tables of labels need --classes; or join them to one")
        return
    if len({table.stem for table in picks}) < max(len(picks), 2):
        raise BadParameter("--classes needs two or more tables of labels with different names")
    if held_out_micrographs or held_out_frac is not None:
        raise BadParameter("--classes cannot be combined with held-out micrographs")


def _choose_defaults(explicit: Mapping[str, Any], labels: int) -> dict[str, Any]:
    """Choose the defaults for the initial weights and the number of labels."""
    from cryopick.train.initialization import choose_training_settings

    init = explicit.get("init", GENERAL)
    for option, name in (("network", "network.name"), ("width", "network.width")):
        if name in explicit and init != RANDOM:
            raise BadParameter(
                f"--{option} cannot be changed in a trained model; remove it, or add --init random"
            )
    return choose_training_settings(
        init, explicit.get("diameter_ang"), labels=labels, steps=explicit.get("steps")
    )


def _read_labels(micrographs: list[str], picks: Path) -> "LabelledMicrographs":
    """Read the labels of some micrographs."""
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.train.labels import LabelledMicrographs

    paths = find_micrographs(micrographs)
    refuse_tomograms(paths, "train")
    return LabelledMicrographs.from_table(paths, read_picks(picks), picks)
