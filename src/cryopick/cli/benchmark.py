"""`cryopick benchmark`: compare training methods with few labels."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

from typer import Argument, BadParameter, Option

from cryopick.cli.app import app
from cryopick.cli.messages import note, warn
from cryopick.cli.options import MICROGRAPHS, Config
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.errors import CryopickError, SettingsError, UnfinishedError, format_count
from cryopick.preprocess.settings import NormalizationKind
from cryopick.train.settings import ObjectiveName, TrainSettings

if TYPE_CHECKING:
    from cryopick.experiments.benchmark import Benchmark
    from cryopick.experiments.plan import Trial
    from cryopick.train.labels import LabelledMicrographs

__all__ = ["benchmark"]

_OBJECTIVES = list(get_args(ObjectiveName))


@app.command()
@expand_settings
def benchmark(
    out: Annotated[Path, Argument(metavar="DIR", file_okay=False, help="Folder of results.")],
    micrographs: Annotated[
        list[str],
        Option(
            "--micrographs", "-m", metavar="MIC", help=f"Micrographs; repeatable. {MICROGRAPHS}"
        ),
    ],
    picks: Annotated[
        Path,
        Option("--picks", "-p", metavar="PICKS", help="Table of all particles on the micrographs."),
    ],
    options: Annotated[
        SettingsOptions[TrainSettings],
        Fields(
            only=(
                "diameter_ang",
                "particles_per_micrograph",
                "pixel_size_ang",
                "network.name",
                "network.width",
                "sampling.positive_patches",
                "sampling.unlabelled_patches",
                "sampling.spectral_augmentation",
                "steps",
                "learning_rate",
            ),
            defaults={"particles_per_micrograph": "the mean of the table"},
        ),
    ],
    held_out_micrographs: Annotated[
        list[str] | None,
        Option(
            metavar="MIC",
            help="Micrographs to evaluate on, with particles in the same table; repeatable.",
        ),
    ] = None,
    held_out_frac: Annotated[
        float,
        Option(
            show_default="1/3",
            help="Fraction of the micrographs to hold out, without --held-out-micrographs.",
        ),
    ] = 1 / 3,
    objective: Annotated[
        list[str], Option(metavar="NAME", help="Training objective to compare; repeatable.")
    ] = _OBJECTIVES,
    labels: Annotated[
        list[int], Option(metavar="N", help="Number of labels to compare; repeatable.")
    ] = [10, 25, 100],  # noqa: B006  # read only
    repeats: Annotated[int, Option(help="Random draws of labels for each number of labels.")] = 5,
    autoencoder: Annotated[
        list[str] | None,
        Option(metavar="γ", help="Autoencoder weight to compare; repeatable. [default: 0]"),
    ] = None,
    init: Annotated[
        list[str] | None,
        Option(
            metavar="random|general|MODEL",
            help="Initial weights to compare; repeatable. [default: random]",
        ),
    ] = None,
    normalization: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="Normalization to compare; repeatable. [default: that of the initial weights]",
        ),
    ] = None,
    penalty_weight: Annotated[
        list[float] | None,
        Option(
            metavar="λ",
            help="Penalty weight of ge-kl and ge-binomial to compare, which ge-binomial multiplies "
            "as `cryopick train` does; repeatable. [default: as for `cryopick train`]",
        ),
    ] = None,
    warm_up_steps: Annotated[
        list[int] | None,
        Option(
            metavar="N",
            help="Number of warm-up steps on blob detections to compare; repeatable. [default: 0]",
        ),
    ] = None,
    prior_factor: Annotated[
        list[float] | None,
        Option(
            metavar="FACTOR",
            help="Train with this multiple of the true number of particles, to test how errors of "
            "the estimate matter; repeatable. [default: 1]",
        ),
    ] = None,
    evaluate_every: Annotated[
        int,
        Option(
            min=0,
            metavar="STEPS",
            help="Also evaluate on the held-out micrographs every so many training steps; 0 "
            "evaluates once, at the end.",
        ),
    ] = 0,
    config: Config = None,
    seed: Annotated[
        int, Option(min=0, help="Seed of the draws of labels and of the training runs.")
    ] = 0,
    jobs: Annotated[
        int | None,
        Option(min=1, help="Number of training runs in parallel. [default: number of CPU cores]"),
    ] = None,
) -> None:
    """Compare training methods with few labels.

    Needs micrographs with a table of all their particles. Every combination of the choices is
    trained on randomly drawn labels, several times, and evaluated on held-out micrographs. Results
    are kept in DIR: run the same command again to resume an interrupted benchmark, and other
    commands to add choices. `cryopick benchmark-report` summarizes the results.

    Example: cryopick benchmark study -m micrographs -p particles.tsv --diameter-ang 190
    --labels 10 --labels 100
    """
    from cryopick.experiments.plan import BenchmarkPlan
    from cryopick.runs.parallel import available_cores

    experiment = _open_benchmark(out, micrographs, picks, held_out_micrographs, held_out_frac, seed)
    mean_count = len(experiment.training.labels) / len(experiment.training.paths)
    _check_choices("--objective", objective, get_args(ObjectiveName))
    _check_choices("--normalization", normalization or (), get_args(NormalizationKind))
    settings = options.build(config, defaults={"particles_per_micrograph": mean_count})
    if settings.particles_per_micrograph is None:  # a settings file without it
        settings = replace(settings, particles_per_micrograph=mean_count)
    plan = BenchmarkPlan(
        settings=settings,
        labels=tuple(labels),
        repeats=repeats,
        objectives=tuple(cast("list[ObjectiveName]", objective)),
        autoencoders=tuple(autoencoder or ()),
        inits=tuple(init or ()),
        normalizations=tuple(cast("list[NormalizationKind]", normalization or [])),
        penalty_weights=tuple(penalty_weight or ()),
        warm_up_steps=tuple(warm_up_steps or ()),
        prior_factors=tuple(prior_factor or (1.0,)),
        is_longer_with_labels="steps" not in options.values and config is None,
        evaluate_every=evaluate_every,
        seed=seed,
    )
    experiment.open()
    trials = plan.list_trials()
    missing = experiment.list_missing(trials)
    if len(missing) < len(trials):
        note(f"{len(trials) - len(missing)} of {len(trials)} runs are finished already")
    _carry_out(experiment, missing, jobs or available_cores())


def _open_benchmark(
    out: Path,
    micrographs: list[str],
    picks: Path,
    held_out: list[str] | None,
    held_out_frac: float,
    seed: int,
) -> "Benchmark":
    """Split the data set into training and held-out micrographs."""
    from cryopick.experiments.benchmark import Benchmark

    training = _read_labelled(micrographs, picks)
    if held_out:
        held_out_set = _read_labelled(held_out, picks)
        same = {path.resolve() for path in held_out_set.paths}
        remaining = [path for path in training.paths if path.resolve() not in same]
        if not remaining:
            raise SettingsError("all micrographs are held out; leave some for training")
        training = _read_labelled([str(path) for path in remaining], picks)
    else:
        training, held_out_set = training.split(held_out_frac, seed)
    return Benchmark(folder=out, training=training, held_out=held_out_set)


def _read_labelled(micrographs: list[str], picks: Path) -> "LabelledMicrographs":
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.train.labels import LabelledMicrographs

    return LabelledMicrographs.from_table(find_micrographs(micrographs), read_picks(picks), picks)


def _check_choices(option: str, names: Sequence[str], choices: Sequence[str]) -> None:
    for name in names:
        if name not in choices:
            raise BadParameter(f"{option} must be one of {', '.join(choices)}; got {name!r}")


def _carry_out(experiment: "Benchmark", trials: "Sequence[Trial]", jobs: int) -> None:
    """Run the trials and report each; fail at the end if some failed."""
    batch = Batch(
        [*experiment.training.paths, *experiment.held_out.paths], stage="Preparing micrographs"
    )

    def on_micrograph(path: Path, error: CryopickError | None) -> None:
        if error:
            batch.skip(path, error)

    failed = 0
    with progress(len(trials), "Training") as advance:
        for trial, result in experiment.run(trials, jobs=jobs, on_micrograph=on_micrograph):
            name = _describe(trial)
            if isinstance(result, CryopickError):
                failed += 1
                warn(f"failed: {name}: {result}")
            else:
                note(
                    f"{name}: AP {result.particle_average_precision:.4f} "
                    f"(regions {result.region_average_precision:.4f}), {result.seconds:.0f} s"
                )
            advance(1)
    batch.finish()
    if failed:
        raise UnfinishedError(
            f"{failed} of {len(trials)} runs failed, see the errors above; the others are finished"
        )


def _describe(trial: "Trial") -> str:
    settings = trial.settings
    return (
        f"{format_count(trial.labels, 'label')}, repeat {trial.repeat}, "
        f"{settings.objective}, {settings.init}, "
        f"{settings.normalization}, γ {settings.autoencoder}, {trial.prior_factor:g} π"
    )
