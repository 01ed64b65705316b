"""The figure of comparisons: one row a data set, one column a measure.

As in Bepler et al. 2019, figure 5: mean and standard deviation by number of labels. Marks above
the curves tell which differences a two-sided paired t test finds at P < 0.05.

- `draw_comparisons`: the figure, as a file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.experiments.comparison import MEASURES, Comparison, Measure
from cryopick.report.drawing import FAINT, FIRST, INK, SECOND, THIRD, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SIGNIFICANT", "draw_comparisons"]

SIGNIFICANT = 0.05

# The further colours are of the same palette as the first three.
_COLOURS = (FIRST, SECOND, THIRD, "#cc79a7", "#e69f00", "#56b4e9", INK, "#8c6d31", "#7f7f7f")
_COLUMNS = 4  # of the legend
_MARKERS = "osD^vPX<>"
_TITLES: dict[Measure, str] = {
    "region_average_precision": "regions",
    "particle_average_precision": "particles",
}
_AXES = {"labels": "labelled particles", "prior_factor": "particles told / particles there are"}


def draw_comparisons(
    comparisons: Sequence[Comparison], path: Path, *, overwrite: bool = False
) -> None:
    """Draw mean and standard deviation of each way of learning, along the axis.

    Args:
        comparisons: One for each data set, all along the same axis.
        path: Picture to write: .png, .svg or .pdf.
        overwrite: Replace the picture if it exists.

    Raises:
        SettingsError: The suffix is of no known kind.
        OutputExistsError: The picture exists and was not to be replaced.
    """
    ways = tuple(dict.fromkeys(way for one in comparisons for way in one.ways))
    legend_in = 0.3 * -(-len(ways) // _COLUMNS) + 0.4
    size = (8.4, 2.7 * len(comparisons) + legend_in)
    save_figure(lambda figure: _draw(figure, comparisons, ways), size, path, overwrite=overwrite)


def _draw(figure: "Figure", comparisons: Sequence[Comparison], ways: Sequence[str]) -> None:
    grid = figure.subplots(len(comparisons), len(MEASURES), squeeze=False)
    for row, one in zip(grid, comparisons, strict=True):
        for axes, measure in zip(row, MEASURES, strict=True):
            _panel(axes, one, measure, ways)
    for axes in grid[-1]:
        axes.set_xlabel(_AXES[comparisons[0].axis])
    for axes in grid[:, 0]:
        axes.set_ylabel("average precision")
    drawn: dict[str, Artist] = {}
    for axes in grid.flat:
        handles, labels = axes.get_legend_handles_labels()
        drawn |= {str(label): own for label, own in zip(labels, handles, strict=True)}
    figure.legend(
        handles=[drawn[way] for way in ways],
        loc="outside lower center",
        ncols=_COLUMNS,
        frameon=False,
        labelcolor=INK,
    )


def _panel(axes: "Axes", one: Comparison, measure: Measure, ways: Sequence[str]) -> None:
    """One data set, one measure; the places stand at equal distances."""
    places = {place: number for number, place in enumerate(one.places)}
    span = 0.4
    has_marks = False
    for number, way in enumerate(ways):
        cells = [cell for cell in one.cells[measure] if cell.way == way]
        if not cells:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        shift = span * (number / max(len(ways) - 1, 1) - 0.5)
        x = [places[cell.at] + shift for cell in cells]
        axes.errorbar(
            x,
            [cell.mean for cell in cells],
            [0.0 if cell.spread != cell.spread else cell.spread for cell in cells],
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.4,
            elinewidth=1,
            capsize=2,
            label=way,
        )
        for cell in cells:
            if cell.p_value < SIGNIFICANT:
                mark = "†" if cell.gain > 0 else "∗"
                where = (places[cell.at] + shift, 1.0)
                axes.annotate(
                    mark,
                    where,
                    xycoords=("data", "axes fraction"),
                    color=colour,
                    ha="center",
                    va="bottom",
                    fontsize=11,
                )
                has_marks = True
    axes.set_xticks(range(len(places)), [f"{place:g}" for place in places])
    axes.set_xlim(-0.5, len(places) - 0.5)
    style_axes(axes, f"{one.name}, {_TITLES[measure]}")
    if has_marks:
        axes.set_title(axes.get_title(loc="left"), loc="left", pad=16, fontsize="medium")
    axes.grid(axis="x", color=FAINT, linewidth=0)
