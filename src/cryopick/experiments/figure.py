"""Figure of comparisons, with one row per data set and one column per measure.

The figure shows mean and standard deviation by number of labels, as Figure 5 of Bepler et al. 2019.
Marks above the curves show significant differences (two-sided paired t-test, P < 0.05).

- `plot_comparisons`: the figure, as a file.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.experiments.comparison import MEASURES, Comparison, Measure
from cryopick.report.drawing import FAINT, FIRST, INK, SECOND, THIRD, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SIGNIFICANCE_LEVEL", "plot_comparisons"]

SIGNIFICANCE_LEVEL = 0.05

# The other colours belong to the palette of the first three.
_COLORS = (FIRST, SECOND, THIRD, "#cc79a7", "#e69f00", "#56b4e9", INK, "#8c6d31", "#7f7f7f")
_LEGEND_COLUMNS = 4
_MARKERS = "osD^vPX<>"
_TITLES: dict[Measure, str] = {
    "region_average_precision": "regions",
    "particle_average_precision": "particles",
}
_AXES = {
    "labels": "labelled particles",
    "prior_factor": "expected / true particles",
    "steps": "training steps",
}


def plot_comparisons(
    comparisons: Sequence[Comparison], path: Path, *, overwrite: bool = False
) -> None:
    """Plot mean and standard deviation of each method.

    Args:
        comparisons: Comparisons of all data sets, with the same axis.
        path: Output file, .png, .svg or .pdf.
        overwrite: Replace an existing file.

    Raises:
        SettingsError: The suffix is not supported.
        OutputExistsError: The file exists and `overwrite` is false.
    """
    methods = tuple(
        dict.fromkeys(method for comparison in comparisons for method in comparison.methods)
    )
    legend_in = 0.3 * -(-len(methods) // _LEGEND_COLUMNS) + 0.4
    size = (8.4, 2.7 * len(comparisons) + legend_in)
    save_figure(lambda figure: _draw(figure, comparisons, methods), size, path, overwrite=overwrite)


def _draw(figure: "Figure", comparisons: Sequence[Comparison], methods: Sequence[str]) -> None:
    grid = figure.subplots(len(comparisons), len(MEASURES), squeeze=False)
    for row, comparison in zip(grid, comparisons, strict=True):
        for axes, measure in zip(row, MEASURES, strict=True):
            _draw_panel(axes, comparison, measure, methods)
    for axes in grid[-1]:
        axes.set_xlabel(_AXES[comparisons[0].axis])
    for axes in grid[:, 0]:
        axes.set_ylabel("average precision")
    handle_by_method: dict[str, Artist] = {}
    for axes in grid.flat:
        handles, labels = axes.get_legend_handles_labels()
        handle_by_method |= dict(zip(map(str, labels), handles, strict=True))
    figure.legend(
        handles=[handle_by_method[method] for method in methods],
        loc="outside lower center",
        ncols=_LEGEND_COLUMNS,
        frameon=False,
        labelcolor=INK,
    )


def _draw_panel(
    axes: "Axes", comparison: Comparison, measure: Measure, methods: Sequence[str]
) -> None:
    """Draw one measure of one data set, with columns at equal distances."""
    position_by_column = {column: number for number, column in enumerate(comparison.columns)}
    width = 0.4
    has_marks = False
    for number, method in enumerate(methods):
        cells = [cell for cell in comparison.cells[measure] if cell.method == method]
        if not cells:
            continue
        color = _COLORS[number % len(_COLORS)]
        shift = width * (number / max(len(methods) - 1, 1) - 0.5)
        x = [position_by_column[cell.column] + shift for cell in cells]
        axes.errorbar(
            x,
            [cell.mean for cell in cells],
            [
                0.0 if math.isnan(cell.standard_deviation) else cell.standard_deviation
                for cell in cells
            ],
            color=color,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.4,
            elinewidth=1,
            capsize=2,
            label=method,
        )
        for cell_x, cell in zip(x, cells, strict=True):
            if cell.p_value < SIGNIFICANCE_LEVEL:
                mark = "†" if cell.gain > 0 else "∗"
                axes.annotate(
                    mark,
                    (cell_x, 1.0),
                    xycoords=("data", "axes fraction"),
                    color=color,
                    ha="center",
                    va="bottom",
                    fontsize=11,
                )
                has_marks = True
    axes.set_xticks(
        range(len(comparison.columns)), [f"{column:g}" for column in comparison.columns]
    )
    axes.set_xlim(-0.5, len(comparison.columns) - 0.5)
    style_axes(axes, f"{comparison.name}, {_TITLES[measure]}")
    if has_marks:
        axes.set_title(axes.get_title(loc="left"), loc="left", pad=16, fontsize="medium")
    axes.grid(axis="x", color=FAINT, linewidth=0)
