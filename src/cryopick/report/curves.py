"""Plots of curves.

- `plot_precision_recall`: the precision-recall curve of an evaluation.
"""

from pathlib import Path

from cryopick.errors import SettingsError
from cryopick.evaluate import Evaluation
from cryopick.io import whole

__all__ = ["plot_precision_recall"]


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
    from matplotlib.figure import Figure

    curve, best = judged.curve, judged.best
    if curve is None:
        raise SettingsError(f"{path}: picks without scores have no curve to draw")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise SettingsError(f"{path}: a plot is .png, .svg or .pdf, not {path.suffix!r}")
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.recall, curve.precision)
    if best is not None:
        axes.plot([best.recall], [best.precision], "o", label=f"best F1 {best.f1:.3f}")
        axes.legend(loc="lower left")
    area = "" if judged.average_precision is None else f", AP {judged.average_precision:.3f}"
    axes.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title=f"{judged.n_picks} picks, {judged.n_truth} particles{area}",
    )
    with whole(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)
