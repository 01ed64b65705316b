"""Style of all plots, and their output to files or to SVG elements of a page.

- `INK`, `FAINT`, `FIRST`, `SECOND`, `THIRD`: the colours.
- `style_axes`: title, grid and axes of a plot.
- `save_figure`, `figure_svg`: a figure as a file, or as an element of a page.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from cryopick.errors import SettingsError
from cryopick.runs.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAINT", "FIRST", "INK", "SECOND", "THIRD", "figure_svg", "save_figure", "style_axes"]

# Blue, orange and green of Wong 2011, Nat. Methods 8:441: safe for colour-blind readers.
INK, FAINT, FIRST, SECOND, THIRD = "#1f2933", "#d5dbe1", "#0072b2", "#d55e00", "#009e73"

# A page replaces these colours by its own, which differ between light and dark mode.
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


def style_axes(axes: "Axes", title: str) -> None:
    """Set the title of a plot, a faint grid, and axes without a frame."""
    axes.set_title(title, color=INK, fontsize="medium", loc="left")
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def save_figure(draw: Drawing, size: tuple[float, float], path: Path, *, overwrite: bool) -> None:
    """Draw a figure on a white background and write it atomically.

    Args:
        draw: Draws on the figure.
        size: Width and height in inches, at 150 pixels per inch.
        path: Output file; its suffix (.png, .svg or .pdf) sets the format.
        overwrite: Replace an existing file.

    Raises:
        SettingsError: The suffix is not supported.
        OutputExistsError: The file exists and `overwrite` is false.
    """
    from matplotlib.figure import Figure

    if path.suffix not in _SUFFIXES:
        raise SettingsError(
            f"{path}: the suffix of a plot must be .png, .svg or .pdf, not {path.suffix!r}"
        )
    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    with atomic_write(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)


def figure_svg(draw: Drawing, size: tuple[float, float], label: str) -> Markup:
    """Draw a figure as an SVG element with a transparent background and the colours of the page.

    Text stays text, so that readers can select and search it.

    Args:
        draw: Draws on the figure.
        size: Width and height in inches, at 72 CSS pixels per inch.
        label: Alternative text.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = buffer.getvalue()
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    _, _, content = svg.partition("<svg ")  # in which Matplotlib has escaped all texts
    return Markup('<svg role="img" aria-label="{}" ').format(label) + Markup(content)
