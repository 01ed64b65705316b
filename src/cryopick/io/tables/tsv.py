"""Tab-separated tables: `image_name x_coord y_coord [score]`, as topaz reads and writes.

The header is needed; columns come in any order. Fields are separated by tabs where header
and first row have tabs, else by any white space. `image_name` is the file's name without its
suffix.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from cryopick.io.tables.codec import Codec, Layout, reads_text, writes_lines
from cryopick.io.tables.columns import (
    column_names,
    is_header,
    parse_columns,
    parse_rows,
    render_rows,
    wrong_width,
)
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]


def _parse(text: str, path: Path) -> Picks:
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    while numbered and numbered[0][1].startswith("#"):
        numbered.pop(0)
    lines = [number for number, _ in numbered[1:]]
    texts = [line for _, line in numbered]
    if not all("\t" in line for line in texts[:2]):
        rows = [line.split() for line in texts]
        return parse_rows(rows[0], rows[1:], lines, path)
    names = column_names(texts[0].split("\t") if texts else [], path)
    for line, row in zip(lines, texts[1:], strict=True):
        if row.count("\t") != len(names) - 1:
            raise wrong_width(path, line, names, row.split("\t"))
    # one flat list: a list for each of a million rows takes twice the time
    fields = "\t".join(texts[1:]).split("\t") if lines else []
    return parse_columns(names, [fields[i :: len(names)] for i in range(len(names))], lines, path)


def _render(picks: Picks, _layout: Layout) -> Iterator[str]:
    header, rows = render_rows(picks, forbidden="\t\r\n")
    return map("\t".join, chain([header], rows))


CODEC = Codec(
    name="tsv",
    suffixes=(".tsv", ".txt", ".tab"),
    recognises=lambda head: is_header(first_line(head).split()),
    read=reads_text(_parse),
    write=writes_lines(_render),
    ending=".tsv",
)
