"""`cryopick benchmark-report`: summarize benchmarks."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force, Json

if TYPE_CHECKING:
    from cryopick.experiments.comparison import Axis, Comparison

__all__ = ["benchmark_report"]


@app.command("benchmark-report")
def benchmark_report(
    folders: Annotated[
        list[Path], Argument(metavar="DIR", exists=True, help="Folders of `cryopick benchmark`.")
    ],
    where: Annotated[
        list[str] | None,
        Option(
            metavar="FIELD=VALUES",
            help="Use only runs with these values, such as init=random; repeatable.",
        ),
    ] = None,
    axis: Annotated[
        str,
        Option(
            help="Columns of the table: labels, prior_factor, or steps (the curves of "
            "`benchmark --evaluate-every`)."
        ),
    ] = "labels",
    against: Annotated[
        str | None,
        Option(metavar="METHOD", help="Method to compare the others with. [default: ge-binomial]"),
    ] = None,
    figure: Annotated[
        Path | None, Option(metavar="FILE", help="Figure to write (.png, .svg or .pdf).")
    ] = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Summarize the results of benchmarks.

    Prints means, standard deviations and paired t-tests. Each folder is one data set, named after
    the folder. Methods are named by the settings in which they differ.

    Example: cryopick benchmark-report study --where init=random --figure study.png
    """
    from cryopick.experiments.comparison import Axis, compare_methods
    from cryopick.experiments.figure import plot_comparisons
    from cryopick.experiments.results import load_records, select_records

    if axis not in get_args(Axis):
        raise BadParameter(f"--axis must be one of {', '.join(get_args(Axis))}")
    conditions = _parse_conditions(where or [])
    comparisons = [
        compare_methods(
            select_records(load_records(folder), conditions),
            name=folder.resolve().name,
            axis=cast("Axis", axis),
            against=against,
        )
        for folder in folders
    ]
    if figure:
        plot_comparisons(comparisons, figure, overwrite=force)
    if as_json:
        echo(json.dumps([_as_table(comparison) for comparison in comparisons], indent=1))
    else:
        echo("\n\n".join(_as_text(comparison) for comparison in comparisons))


def _parse_conditions(where: Sequence[str]) -> dict[str, str]:
    conditions = {}
    for condition in where:
        name, equals, values = condition.partition("=")
        if not (name and equals and values):
            raise BadParameter(
                f"--where must have the form FIELD=VALUES, such as init=random; got {condition!r}"
            )
        conditions[name] = values
    return conditions


def _as_table(comparison: "Comparison") -> dict[str, Any]:
    """Convert a comparison for JSON, which has no NaN."""
    table = asdict(comparison)
    for cells in table["cells"].values():
        for cell in cells:
            cell["values"] = list(cell["values"].values())
            cell |= {
                k: None for k in ("standard_deviation", "p_value", "gain") if cell[k] != cell[k]
            }
    return table


def _as_text(comparison: "Comparison") -> str:
    """Format a comparison as a Markdown table with one row per method."""
    from cryopick.experiments.comparison import MEASURES

    heads = " | ".join(f"{column:g}" for column in comparison.columns)
    lines = [f"### {comparison.name}"]
    for measure in MEASURES:
        lines += [
            "",
            f"| {measure.replace('_', ' ')}, by {comparison.axis.replace('_', ' ')} | {heads} |",
            "|---" * (len(comparison.columns) + 1) + "|",
        ]
        for method in comparison.methods:
            cells = [
                _cell_text(comparison.find_cell(measure, method, column))
                for column in comparison.columns
            ]
            mark = (
                " (reference)"
                if method == comparison.reference and len(comparison.methods) > 1
                else ""
            )
            lines.append(f"| {method}{mark} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell_text(cell: Any) -> str:  # noqa: ANN401  # a ComparisonCell, whose module is heavy to load
    if cell is None:
        return "–"
    text = f"{cell.mean:.3f}"
    if cell.standard_deviation == cell.standard_deviation:
        text += f" ± {cell.standard_deviation:.3f}"
    if cell.p_value == cell.p_value:
        text += f" ({cell.gain:+.3f}, P {cell.p_value:.2g})"
    return text if len(cell.values) > 1 else f"{text} (one run)"
