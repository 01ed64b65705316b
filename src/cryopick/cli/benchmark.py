"""`cryopick benchmark` and `cryopick benchmark-report`: compare ways to learn from few labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS, Force, Json, RawPixelSizeAng
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import settings_of
from cryopick.errors import CryopickError, SettingsError, UnfinishedError

if TYPE_CHECKING:
    from cryopick.experiments.comparison import Axis, Comparison
    from cryopick.experiments.plan import Plan, Trial
    from cryopick.experiments.study import Study
    from cryopick.train.labels import Labelled

__all__ = ["benchmark", "benchmark_report"]

_OBJECTIVES = ["pn", "pu", "ge-kl", "ge-binomial"]
_WITHIN = {
    "network": "network.name",
    "width": "network.width",
    "positive_patches": "sampling.positive_patches",
    "unlabelled_patches": "sampling.unlabelled_patches",
    "colour": "sampling.colour",
}


@app.command()
def benchmark(
    out: Annotated[
        Path, Argument(metavar="DIR", file_okay=False, help="Folder to keep results in.")
    ],
    micrographs: Annotated[
        list[str],
        Option("--micrographs", "-m", metavar="MIC", help=f"Micrographs; repeat. {MICROGRAPHS}"),
    ],
    picks: Annotated[
        Path, Option("--picks", "-p", metavar="PICKS", help="Table of all particles on them.")
    ],
    held_out_micrographs: Annotated[
        list[str] | None,
        Option(metavar="MIC", help="Micrographs to judge by, with particles in the same table."),
    ] = None,
    held_out_frac: Annotated[
        float, Option(help="Judge by this share of the micrographs, where none are named.")
    ] = 1 / 3,
    objective: Annotated[list[str], Option(help="Objective to try; repeat.")] = _OBJECTIVES,
    labels: Annotated[list[int], Option(help="Number of labels to try; repeat.")] = [10, 25, 100],  # noqa: B006  # read only
    repeats: Annotated[int, Option(help="Draws of labels for each number.")] = 5,
    autoencoder: Annotated[
        list[str] | None, Option(help="Weight γ of the reconstruction to try; repeat [0].")
    ] = None,
    init: Annotated[
        list[str] | None,
        Option(metavar="random|general|MODEL", help="Start to try; repeat [random]."),
    ] = None,
    normalization: Annotated[
        list[str] | None, Option(help="Normalisation to try; repeat [as suits the start].")
    ] = None,
    penalty_weight: Annotated[
        list[float] | None, Option(help="Weight λ of the GE objectives, to try; repeat [as train].")
    ] = None,
    proposal_steps: Annotated[
        list[int] | None,
        Option(help="First steps that learn what stands out, to try; repeat [0, as the paper]."),
    ] = None,
    prior_factor: Annotated[
        list[float] | None,
        Option(help="Tell so many times the particles that there are; repeat [1]."),
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(help="Longest extent of the particle in ångströms; needed.")
    ] = None,
    particles_per_micrograph: Annotated[
        float | None, Option(help="Particles on a micrograph [counted in the table].")
    ] = None,
    pixel_size_ang: RawPixelSizeAng = None,
    network: Annotated[str | None, Option(help="Network, as for train [conv31].")] = None,
    width: Annotated[int | None, Option(help="Channels of the first layer [32].")] = None,
    positive_patches: Annotated[
        int | None, Option(help="Patches of labelled regions in a step [2].")
    ] = None,
    unlabelled_patches: Annotated[
        int | None, Option(help="Patches of unlabelled regions in a step [8].")
    ] = None,
    colour: Annotated[
        float | None, Option(help="Spread of the power at each frequency, as for train [0].")
    ] = None,
    steps: Annotated[
        int | None, Option(help="Minibatches of a run [12 a label, from 200 to 900].")
    ] = None,
    learning_rate: Annotated[float | None, Option(help="Greatest learning rate [0.003].")] = None,
    config: Annotated[
        Path | None,
        Option(metavar="FILE", help="Further settings of the training, as train writes them."),
    ] = None,
    seed: Annotated[int, Option(min=0, help="Another seed, other labels and networks.")] = 0,
    jobs: Annotated[int | None, Option(min=1, help="Runs at a time [one a core].")] = None,
) -> None:
    """Compare ways to learn from few labels on micrographs of which all particles are known.

    Every combination of the choices is trained on labels drawn at random, several times, and
    judged on micrographs held out. DIR keeps what each run gave: runs that it holds are not done
    again, so a benchmark that was cut off goes on, and further choices are added by further
    commands. `cryopick benchmark-report` shows what there is so far.

    Example: cryopick benchmark study -m micrographs -p particles.tsv --diameter-ang 190
    --labels 10 --labels 100
    """
    options = locals()
    from cryopick.runs.parallel import cores

    study = _study(out, micrographs, picks, held_out_micrographs, held_out_frac, seed)
    known = len(study.training.labels) / len(study.training.paths)
    plan = _plan(options, known)
    study.open()
    trials = plan.trials()
    missing = study.missing(trials)
    if len(missing) < len(trials):
        echo(f"{len(trials) - len(missing)} of {len(trials)} runs are done already", err=True)
    _carry_out(study, missing, jobs or cores())


def _study(
    out: Path,
    micrographs: list[str],
    picks: Path,
    held_out: list[str] | None,
    held_out_frac: float,
    seed: int,
) -> "Study":
    """The data set, parted by micrograph."""
    from cryopick.experiments.study import Study

    training = _labelled(micrographs, picks)
    if held_out:
        judged = _labelled(held_out, picks)
        same = {path.resolve() for path in judged.paths}
        kept = [path for path in training.paths if path.resolve() not in same]
        if not kept:
            raise SettingsError("all micrographs are held out; leave some to learn from")
        training = _labelled([str(path) for path in kept], picks)
    else:
        training, judged = training.split(held_out_frac, seed)
    return Study(folder=out, training=training, held_out=judged)


def _labelled(micrographs: list[str], picks: Path) -> "Labelled":
    from cryopick.io.inputs import micrograph_paths
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.train.labels import Labelled

    return Labelled.of(micrograph_paths(micrographs), read_picks(picks), picks)


def _plan(options: Mapping[str, Any], known: float) -> "Plan":
    """The plan that the options mean; `known` particles lie on a micrograph."""
    from cryopick.experiments.plan import Plan
    from cryopick.preprocess.normalize import NormalizationKind
    from cryopick.train.objectives import OBJECTIVES
    from cryopick.train.settings import TrainSettings

    single = ("diameter_ang", "particles_per_micrograph", "pixel_size_ang", "steps")
    shared = {name: options[name] for name in (*single, "learning_rate", *_WITHIN)}
    defaults = {"particles_per_micrograph": known}
    settings = settings_of(TrainSettings, shared, options["config"], _WITHIN, defaults)
    for name in options["objective"]:
        if name not in OBJECTIVES:
            raise SettingsError(
                f"there is no objective {name!r}; choose of {', '.join(OBJECTIVES)}"
            )
    for name in options["normalization"] or ():
        if name not in get_args(NormalizationKind):
            raise BadParameter(f"normalization is one of {', '.join(get_args(NormalizationKind))}")
    return Plan(
        settings=settings,
        labels=tuple(options["labels"]),
        repeats=options["repeats"],
        objectives=tuple(options["objective"]),
        autoencoders=tuple(options["autoencoder"] or ()),
        inits=tuple(options["init"] or ()),
        normalizations=tuple(options["normalization"] or ()),
        penalty_weights=tuple(options["penalty_weight"] or ()),
        proposal_steps=tuple(options["proposal_steps"] or ()),
        prior_factors=tuple(options["prior_factor"] or (1.0,)),
        is_longer_with_labels=options["steps"] is None and options["config"] is None,
        seed=options["seed"],
    )


def _carry_out(study: "Study", trials: "Sequence[Trial]", jobs: int) -> None:
    """Do the runs, telling each; fail at the end if some could not be done."""
    batch = Batch([*study.training.paths, *study.held_out.paths], doing="Preparing micrographs")

    def on_micrograph(path: Path, error: CryopickError | None) -> None:
        if error:
            batch.skip(path, error)

    failed = 0
    with progress(len(trials), "Runs") as advance:
        for trial, result in study.run(trials, jobs=jobs, on_micrograph=on_micrograph):
            what = _told(trial)
            if isinstance(result, CryopickError):
                failed += 1
                echo(f"skipped {what}: {result}", err=True)
            else:
                echo(
                    f"{what}: AP {result.particle_average_precision:.4f} "
                    f"(regions {result.region_average_precision:.4f}), {result.seconds:.0f} s",
                    err=True,
                )
            advance(1)
    batch.finish()
    if failed:
        raise UnfinishedError(
            f"{failed} of {len(trials)} runs were skipped for these reasons; the others are done"
        )


def _told(trial: "Trial") -> str:
    own = trial.settings
    return (
        f"{trial.labels} labels, repeat {trial.repeat}, {own.objective}, {own.init}, "
        f"{own.normalization}, γ {own.autoencoder}, {trial.prior_factor:g} π"
    )


@app.command("benchmark-report")
def benchmark_report(
    folders: Annotated[
        list[Path], Argument(metavar="DIR", exists=True, help="Folders of cryopick benchmark.")
    ],
    where: Annotated[
        list[str] | None,
        Option(metavar="FIELD=VALUES", help="Take runs with these values alone, as init=random."),
    ] = None,
    axis: Annotated[
        str, Option(help="What runs along the table: labels or prior_factor.")
    ] = "labels",
    against: Annotated[
        str | None, Option(metavar="WAY", help="Way to test the others against [ge-binomial].")
    ] = None,
    figure: Annotated[
        Path | None, Option(metavar="FILE", help="Draw the figure: .png .svg .pdf")
    ] = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Show what benchmarks found so far: means, spreads and paired t tests.

    Each folder is a data set, called by its name. Ways of learning are named by the fields in
    which they differ.

    Example: cryopick benchmark-report study --where init=random --figure study.png
    """
    from cryopick.experiments.comparison import Axis, compare
    from cryopick.experiments.figure import draw_comparisons
    from cryopick.experiments.results import load_records, selected

    if axis not in get_args(Axis):
        raise BadParameter(f"--axis is one of {', '.join(get_args(Axis))}")
    wanted = _wanted(where or [])
    found = [
        compare(
            selected(load_records(folder), wanted),
            name=folder.resolve().name,
            axis=cast("Axis", axis),
            against=against,
        )
        for folder in folders
    ]
    if figure:
        draw_comparisons(found, figure, overwrite=force)
    if as_json:
        echo(json.dumps([_as_table(one) for one in found], indent=1))
    else:
        echo("\n\n".join(_as_text(one) for one in found))


def _wanted(where: Sequence[str]) -> dict[str, str]:
    wanted = {}
    for one in where:
        name, equals, values = one.partition("=")
        if not (name and equals and values):
            raise BadParameter(f"--where wants FIELD=VALUES, such as init=random; got {one!r}")
        wanted[name] = values
    return wanted


def _as_table(one: "Comparison") -> dict[str, Any]:
    """The comparison for JSON, which knows no NaN."""
    table = asdict(one)
    for cells in table["cells"].values():
        for cell in cells:
            cell["values"] = list(cell["values"].values())
            cell |= {k: None for k in ("spread", "p_value", "gain") if cell[k] != cell[k]}
    return table


def _as_text(one: "Comparison") -> str:
    """Markdown: a line for each way, a column for each place."""
    from cryopick.experiments.comparison import MEASURES

    heads = " | ".join(f"{place:g}" for place in one.places)
    lines = [f"### {one.name}"]
    for measure in MEASURES:
        lines += [
            "",
            f"| {measure.replace('_', ' ')}, by {one.axis.replace('_', ' ')} | {heads} |",
            "|---" * (len(one.places) + 1) + "|",
        ]
        for way in one.ways:
            cells = [_cell_text(one.cell(measure, way, place)) for place in one.places]
            mark = " (reference)" if way == one.reference and len(one.ways) > 1 else ""
            lines.append(f"| {way}{mark} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell_text(cell: Any) -> str:  # noqa: ANN401  # a Cell, whose module is heavy to load
    if cell is None:
        return "–"
    text = f"{cell.mean:.3f}"
    if cell.spread == cell.spread:
        text += f" ± {cell.spread:.3f}"
    if cell.p_value == cell.p_value:
        text += f" ({cell.gain:+.3f}, P {cell.p_value:.2g})"
    return text if len(cell.values) > 1 else f"{text} (one run)"
