"""Comma-separated tables with a header: the columns of TSV, or `micrograph,x,y,score`."""

import csv
from io import StringIO
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.io.tables.codec import Codec, TableLayout, text_reader
from cryopick.io.tables.columns import is_header, parse_rows, render_rows
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]


def _parse(text: str, path: Path) -> Picks:
    reader = csv.reader(StringIO(text, newline=""))
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise FormatError(
            f"{path}:{reader.line_num}: expected comma-separated fields: {error}; correct that line"
        ) from None
    return parse_rows(rows[0] if rows else [], rows[1:], lines[1:], path)


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
