"""Plots of training curves.

- `read_curves`: the table of curves in the folder of a training run.
- `plot_training`: the curves, as a file.
- `training_svg`: the curves, as an element of a page.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from cryopick.errors import FormatError
from cryopick.report.drawing import FIRST, INK, SECOND, THIRD, figure_svg, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cryopick.train.curves import CurveRow

__all__ = ["plot_training", "read_curves", "training_svg"]


class _Panel(NamedTuple):
    """One of several plots side by side.

    Attributes:
        title: Title of the plot.
        curves: Label of each curve, by column of the table.
        is_fraction: The values lie between 0 and 1.
    """

    title: str
    curves: dict[str, str]
    is_fraction: bool = True


_PANELS = (
    _Panel("Training loss", {"loss": "loss", "penalty": "penalty, unweighted"}, is_fraction=False),
    _Panel(
        "Expected by the network",
        {
            "true_positive_rate": "true positive rate",
            "expected_precision": "precision",
            "false_positive_rate": "false positive rate",
        },
    ),
    _Panel(
        "Average precision, held-out micrographs",
        {
            "particle_average_precision": "of particles",
            "region_average_precision": "of regions",
        },
    ),
)


def read_curves(path: Path) -> "list[CurveRow]":
    """Read the file curves.tsv of a training run, in which "-" is a missing value.

    Raises:
        FormatError: The table does not have the columns of training curves.
    """
    from cryopick.train.curves import CurveRow

    lines = path.read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t") if lines else []
    try:
        return [CurveRow(**_values(names, line.split("\t"))) for line in lines[1:]]
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: expected the curves of a training run, found another table ({error}); "
            "use the file curves.tsv that `cryopick train` wrote"
        ) from error


def _values(names: list[str], texts: list[str]) -> dict[str, Any]:
    """Parse a row: the step is an integer, the other columns are numbers or missing."""
    return {
        name: None if text == "-" else int(text) if name == "step" else float(text)
        for name, text in zip(names, texts, strict=True)
    }


def plot_training(rows: "Sequence[CurveRow]", path: Path) -> None:
    """Plot the loss, the expected rates and the held-out results against the training step.

    A run without held-out micrographs has no panel of held-out results.

    Args:
        rows: Training curves, one row per checkpoint.
        path: Output file, .png, .svg or .pdf; an existing file is replaced.

    Raises:
        SettingsError: The suffix is not supported.
    """
    size = (4.0 * len(_panels(rows)), 3.4)
    save_figure(lambda figure: _draw(figure, rows), size, path, overwrite=True)


def training_svg(rows: "Sequence[CurveRow]") -> Markup:
    """Plot the training curves as an SVG element."""
    return figure_svg(lambda figure: _draw(figure, rows), (11.4, 3.1), "Training curves")


def _panels(rows: "Sequence[CurveRow]") -> tuple[_Panel, ...]:
    return tuple(
        panel
        for panel in _PANELS
        if not rows or any(getattr(row, name) is not None for row in rows for name in panel.curves)
    )


def _draw(figure: "Figure", rows: "Sequence[CurveRow]") -> None:
    panels = _panels(rows)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    steps = [row.step for row in rows]
    marker = "o" if len(rows) < 30 else None
    for axes, panel in zip(all_axes, panels, strict=True):
        colors = (FIRST, SECOND, THIRD)
        for color, (name, label) in zip(colors, panel.curves.items(), strict=False):
            values = [getattr(row, name) for row in rows]
            axes.plot(steps, values, marker=marker, markersize=3.5, color=color, label=label)
        axes.legend(frameon=False, labelcolor=INK, fontsize="small")
        axes.set(xlabel="training step", xlim=(0, None))
        if panel.is_fraction:
            axes.set(ylim=(0, 1.02))
        style_axes(axes, panel.title)
