"""Plot of recall over the sphere of views, and by other properties of the particles.

- `plot_recall_profile`: the plot, as a file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.recall_profile import RecallProfile
from cryopick.report.drawing import FIRST, INK, SECOND, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_recall_profile"]

_KERNEL_DEG = 20.0  # standard deviation of the smoothing on the sphere
_GRID = (37, 73)  # polar angles and azimuths of the map
_PANEL_IN = 2.6


def plot_recall_profile(profile: RecallProfile, path: Path, *, overwrite: bool = False) -> None:
    """Plot recall over all views, smoothed, and recall with its interval in the other bins.

    Args:
        profile: The recall.
        path: Output file; its suffix (.png, .svg or .pdf) sets the format.
        overwrite: Replace an existing file.

    Raises:
        SettingsError: The suffix is not supported.
        OutputExistsError: The file exists and `overwrite` is false.
    """
    others = [name for name in profile.bins if name != "view"]
    rows = -(-len(others) // 2) + (profile.view is not None)
    size = (8.4, _PANEL_IN * rows)
    save_figure(lambda figure: _draw(figure, profile, others), size, path, overwrite=overwrite)


def _draw(figure: "Figure", profile: RecallProfile, others: list[str]) -> None:
    has_views = profile.view is not None
    grid = figure.add_gridspec(-(-len(others) // 2) + has_views, 2)
    if has_views:
        _draw_views(figure, figure.add_subplot(grid[0, :], projection="mollweide"), profile)
    for number, name in enumerate(others):
        row, column = divmod(number, 2)
        _draw_bins(figure.add_subplot(grid[row + has_views, column]), profile, name)


def _draw_views(figure: "Figure", axes: "Axes", profile: RecallProfile) -> None:
    """Draw the smoothed recall on a map of equal area, with the missed particles as points."""
    assert profile.view is not None
    azimuth, polar = np.radians(profile.view).T
    latitude = np.linspace(-np.pi / 2, np.pi / 2, _GRID[0])
    longitude = np.linspace(-np.pi, np.pi, _GRID[1])
    recall = _smooth_recall(profile, latitude, longitude)
    mesh = axes.pcolormesh(
        longitude, latitude, recall, cmap="viridis", vmin=0, vmax=1, shading="gouraud"
    )
    missed = ~profile.is_found
    axes.plot(azimuth[missed], np.pi / 2 - polar[missed], ".", color=SECOND, markersize=2)
    axes.set_xticklabels([])
    axes.set_yticklabels([])
    figure.colorbar(mesh, ax=axes, shrink=0.8, label="recall")
    values = [one.recall for one in profile.bins["view"]]
    title = f"recall by view: {min(values):.2f} to {max(values):.2f}, missed particles as points"
    axes.set_title(title, color=INK, fontsize="medium", loc="left")


def _smooth_recall(
    profile: RecallProfile, latitude: Float[np.ndarray, " rows"], longitude: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "rows n"]:
    """Average the recall of the particles around each direction, with a Gaussian weight."""
    assert profile.view is not None
    azimuth, polar = np.radians(profile.view).T
    particles = _direction(azimuth, np.pi / 2 - polar)
    nodes = _direction(*np.meshgrid(longitude, latitude))
    angle = np.arccos(np.clip(nodes @ particles.T, -1, 1))
    weight = np.exp(-((angle / np.radians(_KERNEL_DEG)) ** 2) / 2)
    return (weight @ profile.is_found) / weight.sum(axis=-1)


def _direction(
    longitude: Float[np.ndarray, " *shape"], latitude: Float[np.ndarray, " *shape"]
) -> Float[np.ndarray, "*shape 3"]:
    across = np.cos(latitude)
    return np.stack(
        [across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1
    )


def _draw_bins(axes: "Axes", profile: RecallProfile, name: str) -> None:
    bins = profile.bins[name]
    recall = [one.recall for one in bins]
    below = [one.recall - one.low for one in bins]
    above = [one.high - one.recall for one in bins]
    axes.errorbar(range(len(bins)), recall, [below, above], fmt="o", color=FIRST, capsize=3)
    axes.set_xticks(range(len(bins)), [f"{one.label}\nn {one.n_truth}" for one in bins])
    axes.tick_params(axis="x", labelsize="x-small")
    axes.set_ylim(0, 1.03)
    style_axes(axes, f"recall by {name}")
