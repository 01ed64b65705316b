"""Plots of training.

- `plot_training`: the curves of a run.
"""

from collections.abc import Sequence
from pathlib import Path

from cryopick.io import whole
from cryopick.learn import Row

__all__ = ["plot_training"]


def plot_training(rows: Sequence[Row], path: Path) -> None:
    """Draw loss and penalty, and the rates and average precisions, against the steps.

    Args:
        rows: The curves.
        path: PNG file to write; one that exists is replaced.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [row.step for row in rows]
    marker = "o" if len(rows) < 30 else None
    for axes, names in ((left, _LOSSES), (right, _SHARES)):
        for name in names:
            values = [getattr(row, name) for row in rows]
            if any(value is not None for value in values):
                axes.plot(steps, values, marker=marker, markersize=3, label=name.replace("_", " "))
        axes.set_xlabel("step")
        axes.legend(fontsize="small")
    right.set_ylim(0, 1.02)
    with whole(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


_LOSSES = ("loss", "penalty")
_SHARES = (
    "expected_precision",
    "true_positive_rate",
    "false_positive_rate",
    "region_average_precision",
    "particle_average_precision",
)
