"""Tab-separated tables: `image_name x_coord y_coord [score]`, as topaz reads and writes.

The header is required; columns have any order. Fields are separated by tabs if the header and the
first row contain tabs, else by any white space. `image_name` is the file name without suffix.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from cryopick.io.tables.codec import Codec, TableLayout, line_writer, text_reader
from cryopick.io.tables.columns import (
    Block,
    is_header,
    parse_blocks,
    parse_header,
    render_rows,
    row_width_error,
    split_rows,
)
from cryopick.io.tables.row_blocks import ROWS_PER_BLOCK, iterate_lines
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]


def _parse(text: str, path: Path) -> Picks:
    beginning = list(islice(_iterate_rows(text), 2))
    header = beginning[0][1] if beginning else ""
    if beginning and all("\t" in line for _, line in beginning):
        names = parse_header(header.split("\t"), path)
        return parse_blocks(names, _split_at_tabs(names, text, path), path)
    names = parse_header(header.split(), path)
    return parse_blocks(names, _split_at_spaces(names, text, path), path)


def _iterate_rows(text: str) -> Iterator[tuple[int, str]]:
    """Yield line numbers and lines, without blank lines and comments above the header."""
    is_above = True
    for first, lines in iterate_lines(text):
        for number, line in enumerate(lines, start=first):
            if line.strip() and not (is_above and line.startswith("#")):
                is_above = False
                yield number, line


def _iterate_blocks(text: str) -> Iterator[tuple[list[int], list[str]]]:
    """Yield line numbers and lines of blocks of rows below the header."""
    rows = islice(_iterate_rows(text), 1, None)
    while block := list(islice(rows, ROWS_PER_BLOCK)):
        yield [number for number, _ in block], [line for _, line in block]


def _split_at_tabs(names: Sequence[str], text: str, path: Path) -> Iterator[Block]:
    for lines, rows in _iterate_blocks(text):
        for line, row in zip(lines, rows, strict=True):
            if row.count("\t") != len(names) - 1:
                raise row_width_error(path, line, names, row.split("\t"))
        fields = "\t".join(rows).split("\t")  # one flat list takes half the time of one per row
        yield [fields[i :: len(names)] for i in range(len(names))], lines


def _split_at_spaces(names: Sequence[str], text: str, path: Path) -> Iterator[Block]:
    for lines, rows in _iterate_blocks(text):
        yield split_rows(names, [row.split() for row in rows], lines, path)


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
