"""HTML of report pages, rendered from the Jinja2 templates beside this module.

A page is one file that loads nothing from the network. The templates escape every text and
attribute; only `Markup`, which these functions return, is inserted as it is.

- `render_template`: a whole template. `join_markup`: several parts in a row.
- `render_document`: a page, with the style sheet inside.
- `render_section`, `render_subsection`, `render_figure`, `render_columns`, `render_gallery`:
  its structure.
- `render_headline`, `render_facts`, `render_table`, `render_commands`, `render_details`: text
  and numbers.
- `render_legend`, `render_micrograph`, `render_pick_marks`, `render_score_layer`: pictures of
  micrographs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = [
    "GalleryPicture",
    "join_markup",
    "render_columns",
    "render_commands",
    "render_details",
    "render_document",
    "render_facts",
    "render_figure",
    "render_gallery",
    "render_headline",
    "render_legend",
    "render_micrograph",
    "render_pick_marks",
    "render_score_layer",
    "render_section",
    "render_subsection",
    "render_table",
    "render_template",
]

_COMMAND_WIDTH = 96  # characters of the page's fixed-width type that fit on a line


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("cryopick.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_template(name: str, **values: object) -> Markup:
    """Render a template of this package with the given values."""
    return Markup(_environment().get_template(name).render(**values))


def _render_element(name: str, **values: object) -> Markup:
    """Render one macro of `elements.html`."""
    macro = getattr(_environment().get_template("elements.html").module, name)
    return Markup(macro(**values).strip())


def join_markup(parts: Iterable[Markup]) -> Markup:
    """Join parts of a page, one a line."""
    return Markup("\n").join(parts)


def render_document(title: str, lead: str, body: Markup, footer: str) -> Markup:
    """Render a whole page, in light or dark colours as the reader's system prefers."""
    return render_template("document.html", title=title, lead=lead, body=body, footer=footer)


def render_section(title: str, text: str, *parts: Markup) -> Markup:
    """Render a section with its heading and an introduction of a sentence or two."""
    return _render_element("section", title=title, text=text, parts=parts)


def render_subsection(title: str, body: Markup) -> Markup:
    """Render a part of a section under a small heading."""
    return _render_element("subsection", title=title, body=body)


def render_figure(body: Markup, caption: str) -> Markup:
    """Render a figure with its caption."""
    return _render_element("figure", body=body, caption=caption)


def render_columns(*parts: Markup) -> Markup:
    """Render parts side by side, or one below the other on a narrow page."""
    return _render_element("columns", parts=parts)


class GalleryPicture(NamedTuple):
    """A small picture of a gallery.

    Attributes:
        uri: Data URI of the picture.
        note: Text below the picture; empty for none.
        is_marked: Draw an orange frame around the picture.
    """

    uri: str
    note: str = ""
    is_marked: bool = False


def render_gallery(pictures: Iterable[GalleryPicture], label: str) -> Markup:
    """Render small pictures in rows.

    Args:
        pictures: The pictures.
        label: Alternative text of each picture, to which its number is appended.
    """
    return _render_element("gallery", pictures=pictures, label=label)


def render_headline(numbers: Mapping[str, str]) -> Markup:
    """Render the most important numbers in large type, by name."""
    return _render_element("headline", numbers=numbers)


def render_facts(pairs: Mapping[str, str]) -> Markup:
    """Render a table of names and values; empty values are skipped."""
    return _render_element("facts", pairs=pairs)


def render_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, has_total: bool = True
) -> Markup:
    """Render a table whose first column names the row and whose other columns are numbers.

    Args:
        head: Column names.
        rows: Cells of each row.
        caption: Caption above the table.
        has_total: The last row is the total of the others and is set in bold.
    """
    return _render_element("table", head=head, rows=rows, caption=caption, has_total=has_total)


def render_commands(lines: Sequence[str]) -> Markup:
    """Render shell commands after a prompt; lines that begin with # are comments."""
    shell_lines = (line if line.startswith("#") else f"$ {_wrap_command(line)}" for line in lines)
    return _render_element("code_block", text="\n".join(shell_lines))


def render_details(title: str, text: str) -> Markup:
    """Render fixed-width text that is collapsed until the reader opens it."""
    return _render_element("details", title=title, text=text)


def render_legend(*, has_truth: bool) -> Markup:
    """Render the legend of marked micrographs; each entry has a check box that hides its marks.

    Args:
        has_truth: Picks were compared with the true particles.
    """
    return _render_element("legend", has_truth=has_truth)


def render_micrograph(size: tuple[int, int], uri: str, label: str, layers: Markup) -> Markup:
    """Render a micrograph as an SVG element.

    Args:
        size: Width and height of the picture in pixels.
        uri: Data URI of the picture.
        label: Alternative text.
        layers: SVG elements on top of the picture.
    """
    width, height = size
    return _render_element(
        "micrograph", width=width, height=height, uri=uri, label=label, layers=layers
    )


def render_pick_marks(
    right: Iterable[Iterable[float]],
    wrong: Iterable[Iterable[float]],
    missed: Iterable[Iterable[float]],
    radius: float,
) -> Markup:
    """Render marks of picks and missed particles as SVG elements.

    Args:
        right: Centres (x, y) of correct picks, drawn as circles.
        wrong: Centres of false picks, drawn as squares.
        missed: Centres of missed particles, drawn as dashed circles.
        radius: Radius of the marks.
    """
    return _render_element("pick_marks", right=right, wrong=wrong, missed=missed, radius=radius)


def render_score_layer(uri: str, corner: tuple[float, float], size: tuple[float, float]) -> Markup:
    """Render a score map as an SVG image.

    Args:
        uri: Data URI of the picture.
        corner: Coordinates (x, y) of its top left corner.
        size: Width and height.
    """
    (x, y), (width, height) = corner, size
    return _render_element("score_layer", uri=uri, x=x, y=y, width=width, height=height)


def _wrap_command(command: str) -> str:
    """Break a command before options, with the shell's line continuation, to fit the page."""
    lines: list[str] = []
    for part in re.split(" (?=-)", command):
        if lines and len(lines[-1]) + len(part) < _COMMAND_WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return " \\\n    ".join(lines)
