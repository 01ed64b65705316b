"""Plots of curves, as picture files or as SVG for a page.

- `plot_precision_recall`: the precision-recall curve of an evaluation.
- `plot_training`: how a training went.
- `precision_recall_svg`, `training_svg`: the same, to stand inside a page.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.errors import SettingsError
from cryopick.evaluate import Evaluation
from cryopick.io import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cryopick.learn import Curves, Row

__all__ = ["plot_precision_recall", "plot_training", "precision_recall_svg", "training_svg"]

# Blue, orange and green of Wong 2011, Nat. Methods 8:441, which all readers can tell apart.
INK, FAINT, FIRST, SECOND, THIRD = "#1f2933", "#d5dbe1", "#0072b2", "#d55e00", "#009e73"

# In a page, these colours become the page's own, which differ by day and by night.
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
_SUFFIXES = (".png", ".svg", ".pdf")
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def plot_precision_recall(judged: Evaluation, path: Path, *, overwrite: bool = False) -> None:
    """Draw precision against recall, and mark the point of best F1.

    Args:
        judged: An evaluation of picks that carry scores.
        path: Picture to write; its suffix (.png, .svg, .pdf) says of what kind.
        overwrite: Replace the picture if it exists.

    Raises:
        SettingsError: The picks had no scores, or the suffix is of no known kind.
        OutputExistsError: The picture exists and was not to be replaced.
    """
    if judged.curve is None:
        raise SettingsError(f"{path}: picks without scores have no curve to draw")
    _save(lambda figure: _draw_precision_recall(figure, judged), (5.0, 5.0), path, overwrite=overwrite)


def plot_training(curves: "Curves", path: Path, *, overwrite: bool = False) -> None:
    """Draw the objective, the expected rates and the held-out results against the step.

    The panel of held-out results is left out where nothing was held out.

    Args:
        curves: What the run recorded, one row for each checkpoint.
        path: Picture to write; its suffix (.png, .svg, .pdf) says of what kind.
        overwrite: Replace the picture if it exists.

    Raises:
        SettingsError: The suffix is of no known kind.
        OutputExistsError: The picture exists and was not to be replaced.
    """
    size = (4.0 * len(_panels(curves)), 3.4)
    _save(lambda figure: _draw_training(figure, curves), size, path, overwrite=overwrite)


def precision_recall_svg(judged: Evaluation) -> str:
    """The curve of `plot_precision_recall` as an SVG element in the colours of the page."""
    return _svg(lambda figure: _draw_precision_recall(figure, judged), (4.4, 3.6))


def training_svg(curves: "Curves") -> str:
    """The panels of `plot_training` as an SVG element in the colours of the page."""
    size = (3.6 * len(_panels(curves)), 3.0)
    return _svg(lambda figure: _draw_training(figure, curves), size)


def _draw_precision_recall(figure: "Figure", judged: Evaluation) -> None:
    axes = figure.subplots()
    curve, best = judged.curve, judged.best
    if curve is not None:
        axes.plot(curve.recall, curve.precision, color=FIRST)
    if best is not None:
        axes.plot(
            [best.recall], [best.precision], "o", color=SECOND, label=f"best F1, {best.f1:.3f}"
        )
        axes.legend(loc="lower left", frameon=False, labelcolor=INK)
    area = "" if judged.average_precision is None else f", AP {judged.average_precision:.3f}"
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    _style(axes, f"{judged.n_picks} picks, {judged.n_truth} particles{area}")


def _draw_training(figure: "Figure", curves: "Curves") -> None:
    panels = _panels(curves)
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, columns, limits) in zip(every, panels.values(), strict=True):
        for (label, column), color in zip(columns.items(), (FIRST, SECOND, THIRD), strict=False):
            points = [(row.step, column(row)) for row in curves.rows]
            steps, values = zip(*points, strict=True) if points else ((), ())
            axes.plot(steps, values, "o-", markersize=3.5, color=color, label=label)
        axes.legend(frameon=False, labelcolor=INK, fontsize="small")
        axes.set(xlabel="step", xlim=(0, None))
        if limits:
            axes.set(ylim=limits)
        _style(axes, title)


# A panel: its title, its curves by label, and the limits of its axis if they are set.
_Panel = tuple[str, dict[str, Callable[["Row"], float | None]], tuple[float, float] | None]


def _panels(curves: "Curves") -> dict[str, _Panel]:
    panels: dict[str, _Panel] = {
        "objective": (
            "Objective",
            {"loss": lambda row: row.loss, "penalty, unweighted": lambda row: row.penalty},
            None,
        ),
        "rates": (
            "Expected by the network itself",
            {
                "true positive rate": lambda row: row.true_positive_rate,
                "false positive rate": lambda row: row.false_positive_rate,
                "precision": lambda row: row.expected_precision,
            },
            (0.0, 1.02),
        ),
    }
    if any(row.particle_average_precision is not None for row in curves.rows):
        panels["held out"] = (
            "Average precision, held out",
            {
                "particles": lambda row: row.particle_average_precision,
                "regions": lambda row: row.region_average_precision,
            },
            (0.0, 1.02),
        )
    return panels


def _style(axes: "Axes", title: str) -> None:
    """Quiet axes: no box, a faint grid, everything in the ink of the text."""
    axes.set_title(title, color=INK, fontsize="medium", loc="left")
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _save(
    draw: "Callable[[Figure], None]", size: tuple[float, float], path: Path, *, overwrite: bool
) -> None:
    """Draw on a white figure of `size` inches and write it, whole or not at all."""
    from matplotlib.figure import Figure

    if path.suffix not in _SUFFIXES:
        raise SettingsError(f"{path}: a plot is .png, .svg or .pdf, not {path.suffix!r}")
    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    with whole(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)


def _svg(draw: "Callable[[Figure], None]", size: tuple[float, float]) -> str:
    """Draw on a transparent figure of `size` inches; the text stays text."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cryopick"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    return text[text.index("<svg") :]
