"""How all plots look, and how they are kept: as files, or as SVG inside a page.

- `INK`, `FAINT`, `FIRST`, `SECOND`, `THIRD`: the colours.
- `dress`: titles, grid and axes of one plot.
- `save_figure`, `figure_svg`: a drawing as a file, or as an element of a page.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.errors import SettingsError
from cryopick.runs.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAINT", "FIRST", "INK", "SECOND", "THIRD", "dress", "figure_svg", "save_figure"]

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

Drawing = Callable[["Figure"], None]


def dress(axes: "Axes", title: str) -> None:
    """Give a plot its title and quiet axes: no box, a faint grid, the ink of the text."""
    axes.set_title(title, color=INK, fontsize="medium", loc="left")
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def save_figure(draw: Drawing, size: tuple[float, float], path: Path, *, overwrite: bool) -> None:
    """Draw on a white figure and write it, whole or not at all.

    Args:
        draw: Fills the figure.
        size: Width and height in inches, at 150 pixels an inch.
        path: Picture to write; its suffix (.png, .svg, .pdf) says of what kind.
        overwrite: Replace the picture if it exists.

    Raises:
        SettingsError: The suffix is of no known kind.
        OutputExistsError: The picture exists and was not to be replaced.
    """
    from matplotlib.figure import Figure

    if path.suffix not in _SUFFIXES:
        raise SettingsError(f"{path}: a plot is .png, .svg or .pdf, not {path.suffix!r}")
    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    with atomic_write(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)


def figure_svg(draw: Drawing, size: tuple[float, float], label: str) -> str:
    """Draw on a transparent figure; text stays text, colours become the page's variables.

    Args:
        draw: Fills the figure.
        size: Width and height in inches, at 72 of the page's units an inch.
        label: What it shows, for those who cannot see it.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
