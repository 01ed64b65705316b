"""Draw the figures of results pages from the tables in them: python scripts/make_result_figures.py.

Each figure shows the first table of its page, so that it needs no new measurement: run this after
a number in the table has changed.
"""

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


FIGURES = (
    Bars("consensus", ("F1", "average precision")),
    Bars("tomograms", ("average precision", "best F1")),
)


def read_table(page: Path) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the first table of a page."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"(?m)(?:^\|.*\n)+", text)[0].splitlines()
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return cells[0], cells[2:]


def name_row(head: Sequence[str], row: Sequence[str], columns: Sequence[str]) -> str:
    """Return the texts of a row before its first number."""
    first = min(head.index(name) for name in columns)
    return ", ".join(row[:first]) if "number" not in head[:first] else row[0]


def draw(axes: "Axes", bars: Bars) -> None:
    """Draw the bars of a table, the first row at the top."""
    head, rows = read_table(RESULTS / f"{bars.page}.md")
    thickness = 0.8 / len(bars.columns)
    for number, column in enumerate(bars.columns):
        values = [float(row[head.index(column)]) for row in rows]
        positions = [k + thickness * number for k in range(len(rows))]
        drawn = axes.barh(positions, values, thickness * 0.92, color=COLOURS[number], label=column)
        axes.bar_label(drawn, [f"{value:.3f}" for value in values], padding=3, fontsize=8)
    ticks = [k + 0.4 - thickness / 2 for k in range(len(rows))]
    axes.set_yticks(ticks, [name_row(head, row, bars.columns) for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, bars.maximum)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)


def main() -> None:
    """Draw all figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for bars in FIGURES:
        n_rows = len(read_table(RESULTS / f"{bars.page}.md")[1])
        figure = Figure(figsize=(8, 0.8 + 0.46 * n_rows), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(), bars)
        figure.savefig(RESULTS / f"{bars.page}.png", dpi=110)


if __name__ == "__main__":
    main()
