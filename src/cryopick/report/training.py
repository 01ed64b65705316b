"""Plots of training.

- `read_curves`: the table that a run writes.
- `plot_training`: the curves of a run, as a file.
- `training_svg`: the same, to stand inside a page.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryopick.errors import FormatError
from cryopick.report.drawing import FIRST, INK, SECOND, THIRD, dress, figure_svg, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cryopick.train.curves import Row

__all__ = ["plot_training", "read_curves", "training_svg"]


class _Panel(NamedTuple):
    """One of the plots side by side: its title, and its curves by column of the table."""

    title: str
    curves: dict[str, str]
    is_share: bool = True


_PANELS = (
    _Panel("Objective", {"loss": "loss", "penalty": "penalty, unweighted"}, is_share=False),
    _Panel(
        "What the network expects of itself",
        {
            "true_positive_rate": "true positive rate",
            "expected_precision": "precision",
            "false_positive_rate": "false positive rate",
        },
    ),
    _Panel(
        "Average precision, held out",
        {
            "particle_average_precision": "over particles",
            "region_average_precision": "over regions",
        },
    ),
)


def read_curves(path: Path) -> "list[Row]":
    """Read curves.tsv of a run; "-" stands for no value.

    Raises:
        FormatError: The table does not have the columns of a run.
    """
    from cryopick.train.curves import Row

    lines = path.read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t") if lines else []
    try:
        return [Row(**_values(names, line.split("\t"))) for line in lines[1:]]
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: expected the curves of a training run, found another table ({error}); "
            "use the curves.tsv that `cryopick train` wrote"
        ) from error


def _values(names: list[str], texts: list[str]) -> dict[str, Any]:
    """The fields of a row: the step is a whole number, the others are numbers or missing."""
    return {
        name: None if text == "-" else int(text) if name == "step" else float(text)
        for name, text in zip(names, texts, strict=True)
    }


def plot_training(rows: "Sequence[Row]", path: Path) -> None:
    """Draw the objective, the expected rates and the held-out results against the step.

    The panel of held-out results is left out where nothing was held out.

    Args:
        rows: What the run recorded, one row for each checkpoint.
        path: Picture to write: .png, .svg or .pdf; one that exists is replaced.

    Raises:
        SettingsError: The suffix is of no known kind.
    """
    size = (4.0 * len(_panels(rows)), 3.4)
    save_figure(lambda figure: _draw(figure, rows), size, path, overwrite=True)


def training_svg(rows: "Sequence[Row]") -> str:
    """The panels as one SVG element in the colours of the page."""
    return figure_svg(lambda figure: _draw(figure, rows), (11.4, 3.1), "Curves of the training")


def _panels(rows: "Sequence[Row]") -> tuple[_Panel, ...]:
    return tuple(
        panel
        for panel in _PANELS
        if not rows or any(getattr(row, name) is not None for row in rows for name in panel.curves)
    )


def _draw(figure: "Figure", rows: "Sequence[Row]") -> None:
    panels = _panels(rows)
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    steps = [row.step for row in rows]
    marker = "o" if len(rows) < 30 else None
    for axes, panel in zip(every, panels, strict=True):
        colors = (FIRST, SECOND, THIRD)
        for color, (name, label) in zip(colors, panel.curves.items(), strict=False):
            values = [getattr(row, name) for row in rows]
            axes.plot(steps, values, marker=marker, markersize=3.5, color=color, label=label)
        axes.legend(frameon=False, labelcolor=INK, fontsize="small")
        axes.set(xlabel="step", xlim=(0, None))
        if panel.is_share:
            axes.set(ylim=(0, 1.02))
        dress(axes, panel.title)
