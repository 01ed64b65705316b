"""Plot of a Fourier shell correlation and of the resolution by direction.

- `plot_shell_correlation`: the plot, as a file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float
from cryopick.report.drawing import FIRST, INK, SECOND, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_shell_correlation"]

_THRESHOLD = 0.143

Curve = tuple[Float[np.ndarray, " shells"], Float[np.ndarray, " shells"]]
Cones = tuple[Float[np.ndarray, "directions 3"], Float[np.ndarray, " directions"]]


def plot_shell_correlation(curve: Curve, cones: Cones, path: Path, *, overwrite: bool) -> None:
    """Plot the correlation, and the resolution in cones over a hemisphere seen from its pole.

    Args:
        curve: Spatial frequency in 1/Å and correlation of each shell.
        cones: Directions (x, y, z) and the resolution in ångströms around each.
        path: Output file; its suffix (.png, .svg or .pdf) sets the format.
        overwrite: Replace an existing file.

    Raises:
        SettingsError: The suffix is not supported.
        OutputExistsError: The file exists and `overwrite` is false.
    """
    save_figure(lambda figure: _draw(figure, curve, cones), (8.4, 3.6), path, overwrite=overwrite)


def _draw(figure: "Figure", curve: Curve, cones: Cones) -> None:
    left, right = figure.subplots(1, 2)
    left.plot(*curve, color=FIRST)
    left.axhline(_THRESHOLD, color=SECOND, linewidth=1)
    left.set(xlabel="spatial frequency, 1/Å", ylabel="FSC", ylim=(-0.1, 1.03))
    style_axes(left, "Fourier shell correlation")
    (x, y, z), resolution_ang = cones[0].T, cones[1]
    # Lambert's projection keeps areas.
    scale = np.sqrt(2 / (1 + z))
    points = right.scatter(scale * x, scale * y, c=resolution_ang, cmap="viridis_r", s=60)
    right.set_aspect("equal")
    right.set_xticks([])
    right.set_yticks([])
    right.set_title("resolution by direction", color=INK, fontsize="medium", loc="left")
    figure.colorbar(points, ax=right, label="Å")
