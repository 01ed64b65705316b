"""Resolution of reconstructions by number of particles, as in Figure 4a of Bepler et al. 2019.

- `read_resolutions`: reads a table of reconstructions made with another program.
- `plot_resolutions`: the figure, with particles on a logarithmic axis and high resolution on top.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError
from cryopick.report.drawing import FIRST, INK, SECOND, THIRD, save_figure, style_axes
from cryopick.runs.text_files import read_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_resolutions", "read_resolutions"]

_COLORS = (FIRST, SECOND, THIRD, "#cc79a7", "#e69f00", "#56b4e9")
_EXPECTED = "particles, resolution_ang and, for several curves, set, separated by tabs or commas"


def read_resolutions(path: Path) -> dict[str, Float[np.ndarray, "points 2"]]:
    """Read numbers of particles and resolutions in ångströms, by the name of their set.

    Raises:
        FormatError: The table has other columns, or a value is not positive.
    """
    text = read_text(path)
    rows = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in text else ",")
    if not {"particles", "resolution_ang"} <= set(rows.fieldnames or ()):
        raise FormatError(
            f"{path}: expected the columns {_EXPECTED}; found {', '.join(rows.fieldnames or ())}"
        )
    points_by_set: dict[str, list[tuple[float, float]]] = {}
    for line, row in enumerate(rows, start=2):
        try:
            point = float(row["particles"]), float(row["resolution_ang"])
        except (TypeError, ValueError):
            point = (np.nan, np.nan)
        if not all(0 < value < np.inf for value in point):
            raise FormatError(f"{path}:{line}: expected two positive numbers, found {dict(row)}")
        points_by_set.setdefault(row.get("set") or "picks", []).append(point)
    if not points_by_set:
        raise FormatError(f"{path}: expected a row for each reconstruction, found none")
    return {name: np.array(sorted(points)) for name, points in points_by_set.items()}


def plot_resolutions(
    curves: Mapping[str, Float[np.ndarray, "points 2"]], path: Path, *, overwrite: bool = False
) -> None:
    """Plot resolution against the number of particles.

    Several rows with the same number of particles are drawn as mean and standard deviation.

    Args:
        curves: Output of `read_resolutions`.
        path: Output file, .png, .svg or .pdf.
        overwrite: Replace an existing file.
    """
    save_figure(lambda figure: _draw(figure, curves), (6.4, 4.4), path, overwrite=overwrite)


def _draw(figure: "Figure", curves: Mapping[str, Float[np.ndarray, "points 2"]]) -> None:
    axes = figure.subplots()
    for number, (name, points) in enumerate(curves.items()):
        counts = np.unique(points[:, 0])
        resolutions = [points[points[:, 0] == count, 1] for count in counts]
        mean = np.array([values.mean() for values in resolutions])
        color = _COLORS[number % len(_COLORS)]
        axes.plot(counts, mean, marker="o", markersize=5, color=color, label=name)
        if max(map(len, resolutions)) > 1:
            std = np.array([_standard_deviation(values) for values in resolutions])
            axes.fill_between(counts, mean - std, mean + std, color=color, alpha=0.2)
    axes.set(xlabel="particles", ylabel="resolution (Å)", xscale="log")
    axes.invert_yaxis()  # high resolution on top
    axes.legend(frameon=False, labelcolor=INK)
    style_axes(axes, "Resolution by number of particles")


def _standard_deviation(values: Sequence[float] | Float[np.ndarray, " runs"]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
