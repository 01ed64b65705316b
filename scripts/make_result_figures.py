"""Draw the figures of results pages from the tables in them: python scripts/make_result_figures.py.

Each figure shows the first table of its page, so that it needs no new measurement: run this after
a number in the table has changed.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
COLOURS = ("#0072b2", "#e69f00", "#999999")


@dataclass(frozen=True)
class Bars:
    """Groups of bars from columns of a table.

    Attributes:
        page: Page with the table.
        columns: Columns to draw, by their heads.
        maximum: End of the axis.
    """

    page: str
    columns: tuple[str, ...]
    maximum: float = 1.0


@dataclass(frozen=True)
class Points:
    """One point per row, with the first number of a column along each axis.

    Attributes:
        page: Page with the table.
        x: Columns of the horizontal axis, one colour each, by their heads.
        y: Column of the vertical axis. A range in brackets after its number is drawn as a line.
        labels: Names of the axes.
        maximum: End of both axes.
        is_logarithmic: Draw logarithmic axes.
    """

    page: str
    x: tuple[str, ...]
    y: str
    labels: tuple[str, str]
    maximum: float = 1.0
    is_logarithmic: bool = False


FIGURES = (
    Bars("consensus", ("F1", "average precision")),
    Bars("tomograms", ("average precision", "best F1")),
    Bars("scores", ("best F1", "F1, auto")),
    Bars("speed", ("time", "asked"), maximum=2.6),
    Points(
        "foreign",
        ("first version", "topaz-em"),
        "this version",
        ("average precision of others", "average precision of this version"),
    ),
    Points(
        "trust",
        ("particles",),
        "expected",
        ("true number of particles", "expected, with 95 % interval"),
        maximum=3000,
        is_logarithmic=True,
    ),
)


def read_table(page: Path) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the first table of a page."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"(?m)(?:^\|.*\n)+", text)[0].splitlines()
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return cells[0], cells[2:]


def name_row(row: Sequence[str]) -> str:
    """Return the texts of a row before its first number."""
    texts = itertools.takewhile(lambda cell: read_number(cell) is None, row)
    return ", ".join(texts).replace("`", "")


def draw(axes: "Axes", bars: Bars) -> None:
    """Draw the bars of a table, the first row at the top."""
    head, rows = read_table(RESULTS / f"{bars.page}.md")
    thickness = 0.8 / len(bars.columns)
    for number, column in enumerate(bars.columns):
        values = [read_number(row[head.index(column)]) or 0.0 for row in rows]
        positions = [k + thickness * number for k in range(len(rows))]
        drawn = axes.barh(positions, values, thickness * 0.92, color=COLOURS[number], label=column)
        axes.bar_label(drawn, [row[head.index(column)] for row in rows], padding=3, fontsize=8)
    ticks = [k + 0.4 - thickness / 2 for k in range(len(rows))]
    axes.set_yticks(ticks, [name_row(row) for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, bars.maximum)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)


def read_number(cell: str) -> float | None:
    """Return the first number of a cell; None if it has none."""
    found = re.match(r"[\d.]+", cell.replace(",", ""))
    return float(found[0]) if found else None


def draw_points(axes: "Axes", points: Points) -> None:
    """Draw a point per row, and the line on which both axes are equal."""
    head, rows = read_table(RESULTS / f"{points.page}.md")
    lowest = points.maximum
    for name, colour in zip(points.x, COLOURS, strict=False):
        cells = [(row[head.index(name)], row[head.index(points.y)]) for row in rows]
        pairs = [(read_number(x), read_number(y), y) for x, y in cells]
        drawn = [(x, y, cell) for x, y, cell in pairs if x is not None and y is not None]
        axes.plot(*zip(*[(x, y) for x, y, _ in drawn], strict=True), "o", color=colour, label=name)
        for x, _, cell in drawn:
            limits = re.search(r"\(([\d.]+) to ([\d.]+)\)", cell)
            if limits:
                axes.plot([x, x], [float(limits[1]), float(limits[2])], color=colour, alpha=0.5)
        lowest = min(lowest, *(min(x, y) for x, y, _ in drawn))
    ends = (lowest * 0.8, points.maximum)
    axes.plot(ends, ends, color="#999999", zorder=0)
    if points.is_logarithmic:
        axes.loglog()
    axes.set(xlabel=points.labels[0], ylabel=points.labels[1])
    axes.spines[["top", "right"]].set_visible(False)
    if len(points.x) > 1:
        axes.legend(loc="lower right", frameon=False)


def main() -> None:
    """Draw all figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for one in FIGURES:
        n_rows = len(read_table(RESULTS / f"{one.page}.md")[1])
        size = (8, 0.8 + 0.46 * n_rows) if isinstance(one, Bars) else (6.4, 4.8)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        if isinstance(one, Bars):
            draw(figure.add_subplot(), one)
        else:
            draw_points(figure.add_subplot(), one)
        figure.savefig(RESULTS / f"{one.page}-table.png", dpi=110)


if __name__ == "__main__":
    main()
