"""Plots of judgements.

- `plot_precision_recall`: the precision-recall curve of an evaluation, as a file.
- `precision_recall_svg`: the same, to stand inside a page.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.errors import SettingsError
from cryopick.evaluate.confidence import PrecisionBand
from cryopick.evaluate.evaluation import Evaluation
from cryopick.report.drawing import FIRST, INK, SECOND, dress, figure_svg, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_precision_recall", "precision_recall_svg"]


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
    save_figure(lambda figure: _draw(figure, judged), (5.0, 5.0), path, overwrite=overwrite)


def precision_recall_svg(judged: Evaluation, band: PrecisionBand | None = None) -> str:
    """The curve as an SVG element in the colours of the page; empty axes without scores.

    Args:
        judged: An evaluation of picks.
        band: Intervals to draw behind the curve.
    """
    label = "Precision against recall on held-out micrographs"
    return figure_svg(lambda figure: _draw(figure, judged, band), (5.6, 4.2), label)


def _draw(figure: "Figure", judged: Evaluation, band: PrecisionBand | None = None) -> None:
    axes = figure.subplots()
    curve, best = judged.curve, judged.best
    if band is not None:
        axes.fill_between(
            band.recall, band.low, band.high, color=FIRST, alpha=0.2, linewidth=0, label="95 %"
        )
    if curve is not None:
        axes.plot(curve.recall, curve.precision, color=FIRST)
    if best is not None:
        axes.plot(
            [best.recall], [best.precision], "o", color=SECOND, label=f"best F1, {best.f1:.3f}"
        )
        axes.legend(loc="lower left", frameon=False, labelcolor=INK)
    area = "" if judged.average_precision is None else f", AP {judged.average_precision:.3f}"
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    dress(axes, f"{judged.n_picks} picks, {judged.n_truth} particles{area}")
