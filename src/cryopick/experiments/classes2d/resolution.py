"""Resolutions that reconstructions made elsewhere reached, by number of particles.

The figure is the paper's 4a: particles on a logarithmic axis, resolution upwards the better.

- `read_resolutions`: a table of them.
- `plot_resolutions`: the figure.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError
from cryopick.report.drawing import FIRST, INK, SECOND, THIRD, dress, save_figure
from cryopick.runs.text_files import read_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_resolutions", "read_resolutions"]

_COLORS = (FIRST, SECOND, THIRD, "#cc79a7", "#e69f00", "#56b4e9")
_EXPECTED = "particles, resolution_ang and, for several curves, set, parted by tabs or commas"


def read_resolutions(path: Path) -> dict[str, Float[np.ndarray, "points 2"]]:
    """Read particles and resolution in ångströms, by the name of the set that they are of.

    Raises:
        FormatError: The table has other columns, or a value is not above 0.
    """
    text = read_text(path)
    rows = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in text else ",")
    if not {"particles", "resolution_ang"} <= set(rows.fieldnames or ()):
        raise FormatError(
            f"{path}: expected the columns {_EXPECTED}; found {', '.join(rows.fieldnames or ())}"
        )
    found: dict[str, list[tuple[float, float]]] = {}
    for line, row in enumerate(rows, start=2):
        try:
            point = float(row["particles"]), float(row["resolution_ang"])
        except (TypeError, ValueError):
            point = (np.nan, np.nan)
        if not all(0 < value < np.inf for value in point):
            raise FormatError(f"{path}:{line}: expected two numbers above 0, found {dict(row)}")
        found.setdefault(row.get("set") or "picks", []).append(point)
    if not found:
        raise FormatError(f"{path}: expected a row for each reconstruction, found none")
    return {name: np.array(sorted(points)) for name, points in found.items()}


def plot_resolutions(
    curves: Mapping[str, Float[np.ndarray, "points 2"]], path: Path, *, overwrite: bool = False
) -> None:
    """Draw resolution against number; several rows of one number give their mean and spread.

    Args:
        curves: What `read_resolutions` gave.
        path: Picture to write: .png, .svg or .pdf.
        overwrite: Replace the picture if it exists.
    """
    save_figure(lambda figure: _draw(figure, curves), (6.4, 4.4), path, overwrite=overwrite)


def _draw(figure: "Figure", curves: Mapping[str, Float[np.ndarray, "points 2"]]) -> None:
    axes = figure.subplots()
    for number, (name, points) in enumerate(curves.items()):
        counts = np.unique(points[:, 0])
        own = [points[points[:, 0] == count, 1] for count in counts]
        mean = np.array([values.mean() for values in own])
        color = _COLORS[number % len(_COLORS)]
        axes.plot(counts, mean, marker="o", markersize=5, color=color, label=name)
        if max(map(len, own)) > 1:
            spread = np.array([_spread(values) for values in own])
            axes.fill_between(counts, mean - spread, mean + spread, color=color, alpha=0.2)
    axes.set(xlabel="particles", ylabel="resolution (Å)", xscale="log")
    axes.invert_yaxis()  # better is higher
    axes.legend(frameon=False, labelcolor=INK)
    dress(axes, "Resolution by number of particles")


def _spread(values: Sequence[float] | Float[np.ndarray, " runs"]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
