"""Precision-recall plots.

- `plot_precision_recall`: the curve of an evaluation, as a file.
- `precision_recall_svg`: the same curve, as an element of a page.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from cryopick.errors import SettingsError
from cryopick.evaluate.confidence import PrecisionBand
from cryopick.evaluate.evaluation import Evaluation
from cryopick.report.drawing import FIRST, INK, SECOND, figure_svg, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_precision_recall", "precision_recall_svg"]


def plot_precision_recall(evaluation: Evaluation, path: Path, *, overwrite: bool = False) -> None:
    """Plot precision against recall, and mark the point of best F1.

    Args:
        evaluation: An evaluation of picks with scores.
        path: Output file; its suffix (.png, .svg or .pdf) sets the format.
        overwrite: Replace an existing file.

    Raises:
        SettingsError: The picks have no scores, or the suffix is not supported.
        OutputExistsError: The file exists and `overwrite` is false.
    """
    if evaluation.curve is None:
        raise SettingsError(f"{path}: cannot plot precision and recall of picks without scores")
    save_figure(lambda figure: _draw(figure, evaluation), (5.0, 5.0), path, overwrite=overwrite)


def precision_recall_svg(evaluation: Evaluation, band: PrecisionBand | None = None) -> Markup:
    """Plot precision against recall as an SVG element; empty axes for picks without scores.

    Args:
        evaluation: An evaluation of picks.
        band: Confidence band to draw behind the curve.
    """
    label = "Precision against recall on held-out micrographs"
    return figure_svg(lambda figure: _draw(figure, evaluation, band), (5.6, 4.2), label)


def _draw(figure: "Figure", evaluation: Evaluation, band: PrecisionBand | None = None) -> None:
    axes = figure.subplots()
    curve, best = evaluation.curve, evaluation.best
    if band is not None:
        axes.fill_between(
            band.recall,
            band.low,
            band.high,
            color=FIRST,
            alpha=0.2,
            linewidth=0,
            label="95 % confidence",
        )
    if curve is not None:
        axes.plot(curve.recall, curve.precision, color=FIRST)
    if best is not None:
        axes.plot(
            [best.recall], [best.precision], "o", color=SECOND, label=f"best F1, {best.f1:.3f}"
        )
        axes.legend(loc="lower left", frameon=False, labelcolor=INK)
    area = evaluation.average_precision
    area_text = "" if area is None else f", AP {area:.3f}"
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    style_axes(axes, f"{evaluation.n_picks} picks, {evaluation.n_truth} particles{area_text}")
