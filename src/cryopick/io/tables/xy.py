"""Coordinates of one micrograph without a header: x, y and optionally a score, one pick per line.

RELION and others import such files. The micrograph is the stem of the file without `_autopick` and
the like. Xmipp's `.pos` files, STAR tables with `xcoor` and `ycoor` and an optional `cost` as the
score, are read too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.errors import NotATableError
from cryopick.io.names import remove_source_mark
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    are_finite,
    convert_words,
    format_coordinates,
    format_scores,
    iterate_slices,
    line_error,
    line_writer,
    parse_floats,
    require_one_micrograph,
    text_reader,
)
from cryopick.io.tables.row_blocks import PicksBuilder, iterate_lines
from cryopick.io.tables.star_rows import open_table
from cryopick.io.tables.star_text import Columns, find_columns, parse_numbers
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["CODEC"]

_WIDTHS = (2, 3)
_EXPECTED_LINE = "a line with 2 or 3 numbers (x, y [score])"
_XMIPP = "XMIPP_STAR"
_XMIPP_X, _XMIPP_Y, _XMIPP_SCORE = "_xcoor", "_ycoor", "_cost"


def _parse(text: str, path: Path) -> Picks:
    if _XMIPP in text[:100]:
        return _parse_xmipp(text, path)
    picks = PicksBuilder.for_micrograph(_micrograph(path))
    for first, lines in iterate_lines(text):
        rows = [
            _parse_line(line, number, path)
            for number, line in enumerate(lines, start=first)
            if line.strip() and not line.startswith("#")
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        picks.add(table[:, :2], table[:, 2])
    return picks.build()


def _parse_line(line: str, number: int, path: Path) -> list[float]:
    try:
        row = convert_words(line.replace(",", " ").split())
    except ValueError:
        row = []
    if len(row) not in _WIDTHS or not are_finite(row[:2]):
        raise line_error(path, number, _EXPECTED_LINE, line)
    return row if len(row) > 2 else [*row, np.nan]


def _parse_xmipp(text: str, path: Path) -> Picks:
    def find(blocks: "cif.Document") -> Columns:
        tables = (find_columns(block, _XMIPP_X) for block in blocks)
        return next((table for table in tables if _XMIPP_X in table and _XMIPP_Y in table), {})

    picks = PicksBuilder.for_micrograph(_micrograph(path))
    for columns in open_table(text, _XMIPP_X, find, path)[1]:
        if not columns:
            raise NotATableError(
                f"{path}: expected the columns xcoor and ycoor, found none; check that it is a "
                ".pos file"
            )
        xy_px = [parse_numbers(columns[t], t, text, path) for t in (_XMIPP_X, _XMIPP_Y)]
        score = None
        if _XMIPP_SCORE in columns:
            score = parse_numbers(columns[_XMIPP_SCORE], _XMIPP_SCORE, text, path)
        picks.add(np.column_stack(xy_px), score)
    return picks.build()


def _micrograph(path: Path) -> str:
    return remove_source_mark(path.stem)


def _render(picks: Picks, _layout: TableLayout) -> Iterator[str]:
    require_one_micrograph(picks, "a file of x and y")
    is_scored = len(picks) > 0 and not np.isnan(picks.score).all()
    for part in iterate_slices(picks):
        columns = [format_coordinates(column) for column in part.xy_px.T]
        columns += [format_scores(part.score)] if is_scored else []
        yield from map("\t".join, zip(*columns, strict=True))


def _matches_head(head: str) -> bool:
    if _XMIPP in head[:100]:
        return True
    try:
        return len(parse_floats(first_line(head).split())) in _WIDTHS
    except ValueError:
        return False


CODEC = Codec(
    name="xy",
    suffixes=(".xy", ".coord", ".pos"),
    matches_head=_matches_head,
    read=text_reader(_parse),
    write=line_writer(_render),
    ending=".xy",
    name_from_file=_micrograph,
    is_single=True,
)
