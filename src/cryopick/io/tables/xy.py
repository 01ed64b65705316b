"""Coordinates of one micrograph without a header: x, y and optionally a score, one pick per line.

RELION and others import such files. The micrograph is the stem of the file without `_autopick` and
the like. Xmipp's `.pos` files, STAR tables with `xcoor` and `ycoor` and an optional `cost` as the
score, are read too.
"""

from pathlib import Path

import numpy as np

from cryopick.errors import NotATableError
from cryopick.io.names import remove_source_mark
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    format_coordinates,
    format_scores,
    line_error,
    parse_floats,
    require_one_micrograph,
    text_reader,
    text_writer,
)
from cryopick.io.tables.star_text import find_columns, parse_numbers, parse_star
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_WIDTHS = (2, 3)
_EXPECTED_LINE = "a line with 2 or 3 numbers (x, y [score])"
_XMIPP = "XMIPP_STAR"
_XMIPP_X, _XMIPP_Y, _XMIPP_SCORE = "_xcoor", "_ycoor", "_cost"


def _parse(text: str, path: Path) -> Picks:
    if _XMIPP in text[:100]:
        return _parse_xmipp(text, path)
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.replace(",", " ").split()
        if not fields or line.startswith("#"):
            continue
        try:
            row = parse_floats(fields).tolist()
        except ValueError:
            raise line_error(path, number, _EXPECTED_LINE, line) from None
        if len(row) not in _WIDTHS or not np.isfinite(row[:2]).all():
            raise line_error(path, number, _EXPECTED_LINE, line)
        rows.append([*row[:2], row[2] if len(row) > 2 else np.nan])
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Picks.for_micrograph(_micrograph(path), table[:, :2], table[:, 2])


def _parse_xmipp(text: str, path: Path) -> Picks:
    for block in parse_star(text, path):
        columns = find_columns(block, _XMIPP_X)
        if _XMIPP_X in columns and _XMIPP_Y in columns:
            xy_px = [parse_numbers(columns[t], t, text, path) for t in (_XMIPP_X, _XMIPP_Y)]
            score = None
            if _XMIPP_SCORE in columns:
                score = parse_numbers(columns[_XMIPP_SCORE], _XMIPP_SCORE, text, path)
            return Picks.for_micrograph(_micrograph(path), np.column_stack(xy_px), score)
    raise NotATableError(
        f"{path}: expected the columns xcoor and ycoor, found none; check that it is a .pos file"
    )


def _micrograph(path: Path) -> str:
    return remove_source_mark(path.stem)


def _render(picks: Picks, _layout: TableLayout) -> str:
    require_one_micrograph(picks, "a file of x and y")
    columns = [format_coordinates(picks.xy_px[:, axis]) for axis in (0, 1)]
    if len(picks) and not np.isnan(picks.score).all():
        columns.append(format_scores(picks.score))
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


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
    write=text_writer(_render),
    ending=".xy",
    name_from_file=_micrograph,
    is_single=True,
)
