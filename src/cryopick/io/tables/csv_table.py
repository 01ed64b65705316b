"""Comma-separated tables with a header: the columns of TSV, or `micrograph,x,y,score`.

- `CODEC`: tables of picks.
- `iterate_csv_rows`: rows of a file, also for other formats in CSV.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.io.tables.codec import Codec, TableLayout, text_reader
from cryopick.io.tables.columns import (
    Block,
    is_header,
    parse_blocks,
    parse_header,
    render_rows,
    split_rows,
)
from cryopick.io.tables.row_blocks import ROWS_PER_BLOCK, iterate_lines
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC", "iterate_csv_rows"]


def _parse(text: str, path: Path) -> Picks:
    rows = iterate_csv_rows(text, path)
    _, header = next(rows, (1, []))
    names = parse_header(header, path)
    return parse_blocks(names, _split_into_blocks(names, rows, path), path)


def iterate_csv_rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and fields of the rows that are not blank.

    Raises:
        FormatError: The text is not of comma-separated fields.
    """
    reader = csv.reader(f"{line}\n" for _, lines in iterate_lines(text) for line in lines)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise FormatError(
            f"{path}:{reader.line_num}: expected comma-separated fields: {error}; correct that line"
        ) from None


def _split_into_blocks(
    names: Sequence[str], rows: Iterator[tuple[int, list[str]]], path: Path
) -> Iterator[Block]:
    while block := list(islice(rows, ROWS_PER_BLOCK)):
        yield split_rows(names, [row for _, row in block], [line for line, _ in block], path)


def _write(picks: Picks, _layout: TableLayout, path: Path) -> None:
    header, rows = render_rows(picks, forbidden="\r\n")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _matches_head(head: str) -> bool:
    fields = first_line(head).split(",")
    return len(fields) > 1 and is_header([field.strip(' "') for field in fields])


CODEC = Codec(
    name="csv",
    suffixes=(".csv",),
    matches_head=_matches_head,
    read=text_reader(_parse),
    write=_write,
    ending=".csv",
)
