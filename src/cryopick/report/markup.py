"""Pieces of a page, and the page around them: one file that asks nothing of the network.

Every function takes plain text, which it escapes, and gives HTML; arguments called `body` or
`parts` are HTML already.

- `document`: the page, with the style sheet inside.
- `section`, `subsection`, `figure`, `side_by_side`, `gallery`: what it is made of.
- `headline`, `facts`, `table`, `commands`, `more`: numbers, what to type, what to unfold.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

__all__ = [
    "commands",
    "document",
    "facts",
    "figure",
    "gallery",
    "headline",
    "more",
    "section",
    "side_by_side",
    "subsection",
    "table",
]

_COMMAND_WIDTH = 96  # characters of the page's fixed-width type that stand in a line


def document(title: str, lead: str, body: str, footer: str) -> str:
    """The whole page; its style follows the reader's choice of day or night."""
    folder = files("cryopick.report")
    page = Template((folder / "page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title),
        lead=escape(lead),
        body=body,
        footer=escape(footer),
        style=(folder / "page.css").read_text(encoding="utf-8"),
    )


def section(title: str, text: str, *parts: str) -> str:
    """A part of the page under its own heading, with a sentence or two of introduction."""
    return f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{''.join(parts)}</section>"


def subsection(title: str, body: str) -> str:
    """A part of a section under a small heading."""
    return f"<h3>{escape(title)}</h3>{body}"


def figure(body: str, caption: str) -> str:
    """A picture and what it shows."""
    return f"<figure>{body}<figcaption>{escape(caption)}</figcaption></figure>"


def side_by_side(*parts: str) -> str:
    """Parts beside each other where there is room, below each other where there is none."""
    return f'<div class="beside">{"".join(parts)}</div>'


def gallery(
    addresses: Sequence[str], label: str, notes: Sequence[str] = (), kinds: Sequence[str] = ()
) -> str:
    """Small pictures in rows.

    Args:
        addresses: The pictures.
        label: What each shows, for those who cannot see it.
        notes: What stands below each, if anything.
        kinds: Class of each in the style sheet, such as "right", if any.
    """
    pictures = (
        f'<img src="{address}" alt="{escape(label)} {number}">'
        for number, address in enumerate(addresses, start=1)
    )
    if notes:
        own = kinds or [""] * len(notes)
        pictures = (
            f'<figure class="{kind}">{picture}<figcaption>{escape(note)}</figcaption></figure>'
            for picture, note, kind in zip(pictures, notes, own, strict=True)
        )
    return f'<div class="gallery">{"".join(pictures)}</div>'


def headline(numbers: Mapping[str, str]) -> str:
    """The few numbers that matter most, large, by what they are."""
    pairs = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in numbers.items()
    )
    return f'<dl class="headline">{"".join(pairs)}</dl>'


def facts(pairs: Mapping[str, str]) -> str:
    """What is so, by what it is about; empty values are left out."""
    rows = (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in pairs.items()
        if value
    )
    return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, has_total: bool = True
) -> str:
    """A table whose first column names the row; the others are numbers.

    Args:
        head: Names of the columns.
        rows: The cells.
        caption: What the table is about.
        has_total: The last row sums up the others, and stands out.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = (
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    kind = ' class="summed"' if has_total else ""
    return (
        f'<div class="wide"><table{kind}><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def commands(lines: Sequence[str]) -> str:
    """What to type; long commands go on in the next line, one that begins with # is a remark."""
    shown = (line if line.startswith("#") else f"$ {_wrapped(line)}" for line in lines)
    return f"<pre>{escape(chr(10).join(shown))}</pre>"


def more(title: str, text: str) -> str:
    """Text for the few who want it, folded away."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def _wrapped(command: str) -> str:
    """Continue a command that is wider than the page in further lines, each from an option on."""
    lines: list[str] = []
    for part in re.split(" (?=-)", command):
        if lines and len(lines[-1]) + len(part) < _COMMAND_WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return " \\\n    ".join(lines)
