"""crYOLO .cbox files: boxes with a confidence, one file per micrograph.

`_CoordinateX` and `_CoordinateY` are the corner with the lowest x and y in stored pixels, so a
centre is corner + size / 2. `_Confidence` is a probability from 0 to 1; its logit is the score,
with 0 and 1 replaced by values 1e-7 away. Additional columns are carried unless they are empty.
Files before version 1.0 have no header and rows of corner x, y, width, height, confidence and
more. Three-dimensional boxes are rejected; vertices of filaments are ignored.

- `CODEC`: tables of picks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError, NotATableError
from cryopick.io.tables.box_sizes import HEIGHT, WIDTH, find_box_sizes
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    are_finite,
    convert_to_floats,
    convert_words,
    format_coordinates,
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

_CORNER, _SIZE = ("_CoordinateX", "_CoordinateY"), (f"_{WIDTH}", f"_{HEIGHT}")
_Z, _CONFIDENCE, _NONE = "_CoordinateZ", "_Confidence", "<NA>"
_CARRIED = ("_Width", "_Height", "_EstWidth", "_EstHeight", "_NumBoxes", "_Angle", "_filamentid")
_WRITTEN = (
    *_CORNER, _Z, *_SIZE, "_Depth", "_EstWidth", "_EstHeight", _CONFIDENCE, "_NumBoxes", "_Angle",
)  # fmt: skip
_EPSILON = 1e-7  # smallest distance of a probability from 0 and 1, to keep its logit finite
_EXPECTED_OLD_ROW = "a row of 5 numbers or more (corner x, y, width, height, confidence)"
_MIN_FIELDS, _MAX_FIELDS = 5, 10  # numbers in a row of an old file


def _parse(text: str, path: Path) -> Picks:
    if "data_" not in text:
        return _parse_old(text, path)
    picks = PicksBuilder.for_micrograph(_micrograph(path))
    for columns in open_table(text, _CORNER[0], _find_boxes, path)[1]:
        if not columns:
            raise NotATableError(
                f"{path}: expected the columns {', '.join((*_CORNER, *_SIZE))}, found none; "
                "check that crYOLO wrote the file"
            )
        _add_boxes(picks, columns, text, path)
    table = picks.build()
    extra = {name: column for name, column in table.extra.items() if not np.isnan(column).all()}
    return replace(table, extra=extra)


def _find_boxes(blocks: "cif.Document") -> Columns:
    tables = (find_columns(block, _CORNER[0]) for block in blocks)
    return next((c for c in tables if all(tag in c for tag in (*_CORNER, *_SIZE))), {})


def _add_boxes(picks: PicksBuilder, columns: Columns, text: str, path: Path) -> None:
    optional = {
        tag: _parse_optional(values, tag, text, path)
        for tag, values in columns.items()
        if tag in (_Z, _CONFIDENCE, *_CARRIED)
    }
    if _Z in optional and np.nan_to_num(optional[_Z]).any():
        raise FormatError(
            f"{path}: expected boxes on a micrograph, found _CoordinateZ: boxes in a tomogram; "
            "use a two-dimensional table"
        )
    corner, size = (
        np.column_stack([parse_numbers(columns[tag], tag, text, path) for tag in tags])
        for tags in (_CORNER, _SIZE)
    )
    if (size < 0).any():
        raise FormatError(f"{path}: expected boxes of positive size, found {size.min():g}")
    picks.add(
        corner + size / 2,
        _logit(optional.get(_CONFIDENCE, np.full(len(corner), np.nan)), path),
        extra={tag.removeprefix("_"): optional[tag] for tag in optional if tag in _CARRIED},
    )


def _parse_optional(
    values: Sequence[str], tag: str, text: str, path: Path
) -> Float[np.ndarray, " rows"]:
    texts = ["nan" if value == _NONE else value for value in values]
    try:
        return parse_floats(texts)
    except ValueError:  # found again, with its line
        return parse_numbers(texts, tag, text.replace(_NONE, "nan"), path, finite=False)


def _parse_old(text: str, path: Path) -> Picks:
    picks = PicksBuilder.for_micrograph(_micrograph(path))
    for first, lines in iterate_lines(text):
        rows = []
        for number, line in enumerate(lines, start=first):
            fields = line.split()
            if not fields:
                continue
            if len(fields) < _MIN_FIELDS:
                expected = f"{_EXPECTED_OLD_ROW}; this one has {len(fields)}"
                raise line_error(path, number, expected, line)
            try:
                row = convert_words(fields)
            except ValueError:
                raise line_error(path, number, _EXPECTED_OLD_ROW, line) from None
            if not are_finite(row[:_MIN_FIELDS]) or min(row[2:4]) < 0:
                raise line_error(
                    path, number, f"{_EXPECTED_OLD_ROW}, finite and not negative in size", line
                )
            rows.append(row[:_MIN_FIELDS])
        table = np.array(rows, dtype=np.float64).reshape(-1, _MIN_FIELDS)
        picks.add(table[:, :2] + table[:, 2:4] / 2, _logit(table[:, 4], path))
    return picks.build()


def _logit(probability: Float[np.ndarray, " n"], path: Path) -> Float[np.ndarray, " n"]:
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        raise FormatError(
            f"{path}: expected a confidence between 0 and 1, found {probability[outside][0]:g}; "
            "correct it"
        )
    clipped = np.clip(probability, _EPSILON, 1 - _EPSILON)
    return np.log(clipped) - np.log1p(-clipped)


def _probability(logit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    bound = np.log(1 / _EPSILON)
    return 1 / (1 + np.exp(-np.clip(logit, -bound, bound)))


def _micrograph(path: Path) -> str:
    return path.stem


def _render(picks: Picks, layout: TableLayout) -> Iterator[str]:
    require_one_micrograph(picks, "a .cbox file")
    numbers = {tag: picks.extra.get(tag.removeprefix("_")) for tag in _CARRIED}
    carried = {t: None if c is None else convert_to_floats(c) for t, c in numbers.items()}
    size = find_box_sizes(picks, layout, "a .cbox file")
    extra = {tag: column for tag, column in carried.items() if column is not None}
    picks = replace(picks, extra={**extra, **dict(zip(_SIZE, size.T, strict=True))})
    yield from ["", "data_global", "", "_cbox_format_version 1.0", "", "data_cryolo", "", "loop_"]
    header = _format_boxes(picks.select(np.zeros(0, np.int64)))
    yield from (f"{tag} #{i}" for i, tag in enumerate(header, start=1))
    for part in iterate_slices(picks):
        yield from map(" ".join, zip(*_format_boxes(part).values(), strict=True))
    yield from ["", "data_cryolo_include", "", "loop_", "_slice_index #1"]


def _format_boxes(picks: Picks) -> dict[str, list[str]]:
    """Format a part of a table whose further columns are those of the file."""
    columns = dict.fromkeys(_WRITTEN, [_NONE] * len(picks))
    columns |= {tag: _format_values(column) for tag, column in picks.extra.items()}
    for axis in (0, 1):
        corner = picks.xy_px[:, axis] - picks.extra[_SIZE[axis]] / 2
        columns[_CORNER[axis]] = format_coordinates(corner)
    columns[_CONFIDENCE] = _format_values(_probability(picks.score))
    return columns


def _format_values(values: Float[np.ndarray, " rows"]) -> list[str]:
    return [_NONE if np.isnan(value) else repr(value) for value in values.tolist()]


def _matches_head(head: str) -> bool:
    first = first_line(head)
    if first.startswith("data_"):
        return "data_cryolo" in head
    try:
        return _MIN_FIELDS < len(parse_floats(first.split())) <= _MAX_FIELDS
    except ValueError:
        return False


CODEC = Codec(
    name="cbox",
    suffixes=(".cbox",),
    matches_head=_matches_head,
    read=text_reader(_parse),
    write=line_writer(_render),
    ending=".cbox",
    name_from_file=_micrograph,
    is_single=True,
)
