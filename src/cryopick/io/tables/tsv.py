"""Tab-separated tables: `image_name x_coord y_coord [score]`, as topaz reads and writes.

The header is required; columns have any order. Fields are separated by tabs if the header and the
first row contain tabs, else by any white space. `image_name` is the file name without suffix.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from cryopick.io.tables.codec import Codec, TableLayout, line_writer, text_reader
from cryopick.io.tables.columns import (
    is_header,
    parse_columns,
    parse_header,
    parse_rows,
    render_rows,
    row_width_error,
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
    names = parse_header(texts[0].split("\t") if texts else [], path)
    for line, row in zip(lines, texts[1:], strict=True):
        if row.count("\t") != len(names) - 1:
            raise row_width_error(path, line, names, row.split("\t"))
    # one flat list; separate lists for a million rows take twice the time
    fields = "\t".join(texts[1:]).split("\t") if lines else []
    return parse_columns(names, [fields[i :: len(names)] for i in range(len(names))], lines, path)


def _render(picks: Picks, _layout: TableLayout) -> Iterator[str]:
    header, rows = render_rows(picks, forbidden="\t\r\n")
    return map("\t".join, chain([header], rows))


CODEC = Codec(
    name="tsv",
    suffixes=(".tsv", ".txt", ".tab"),
    matches_head=lambda head: is_header(first_line(head).split()),
    read=text_reader(_parse),
    write=line_writer(_render),
    ending=".tsv",
)
