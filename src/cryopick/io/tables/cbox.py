"""crYOLO .cbox files: boxes with a confidence, one file per micrograph.

`_CoordinateX` and `_CoordinateY` are the corner with the lowest x and y in stored pixels, so a
centre is corner + size / 2. `_Confidence` is a probability from 0 to 1; its logit is the score,
with 0 and 1 replaced by values 1e-7 away. Additional columns are carried unless they are empty.
Files before version 1.0 have no header and rows of corner x, y, width, height, confidence and
more. Three-dimensional boxes are rejected; vertices of filaments are ignored.

- `CODEC`: tables of picks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError, NotATableError, SettingsError
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    convert_to_floats,
    format_coordinates,
    line_error,
    parse_floats,
    require_one_micrograph,
    text_reader,
    text_writer,
)
from cryopick.io.tables.star_text import Columns, find_columns, parse_numbers, parse_star
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_CORNER, _SIZE = ("_CoordinateX", "_CoordinateY"), ("_Width", "_Height")
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
    for block in parse_star(text, path):
        columns = find_columns(block, _CORNER[0])
        if all(tag in columns for tag in (*_CORNER, *_SIZE)):
            return _table(columns, text, path)
    raise NotATableError(
        f"{path}: expected the columns {', '.join((*_CORNER, *_SIZE))}, found none; "
        "check that crYOLO wrote the file"
    )


def _table(columns: Columns, text: str, path: Path) -> Picks:
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
    extra = {t.removeprefix("_"): optional[t] for t in optional if t in _CARRIED}
    return Picks(
        micrographs=(_micrograph(path),),
        index=np.zeros(len(corner), np.int64),
        xy_px=corner + size / 2,
        score=_logit(optional.get(_CONFIDENCE, np.full(len(corner), np.nan)), path),
        extra={name: column for name, column in extra.items() if not np.isnan(column).all()},
    )


def _parse_optional(
    values: Sequence[str], tag: str, text: str, path: Path
) -> Float[np.ndarray, " rows"]:
    texts = ["nan" if value == _NONE else value for value in values]
    return parse_numbers(texts, tag, text.replace(_NONE, "nan"), path, finite=False)


def _parse_old(text: str, path: Path) -> Picks:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < _MIN_FIELDS:
            raise line_error(path, number, f"{_EXPECTED_OLD_ROW}; this one has {len(fields)}", line)
        try:
            row = parse_floats(fields)
        except ValueError:
            raise line_error(path, number, _EXPECTED_OLD_ROW, line) from None
        if not np.isfinite(row[:_MIN_FIELDS]).all() or (row[2:4] < 0).any():
            raise line_error(
                path, number, f"{_EXPECTED_OLD_ROW}, finite and not negative in size", line
            )
        rows.append(row[:_MIN_FIELDS])
    table = np.array(rows, dtype=np.float64).reshape(-1, _MIN_FIELDS)
    centre = table[:, :2] + table[:, 2:4] / 2
    return Picks.for_micrograph(_micrograph(path), centre, _logit(table[:, 4], path))


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


def _render(picks: Picks, layout: TableLayout) -> str:
    require_one_micrograph(picks, "a .cbox file")
    size = _box_sizes(picks, layout)
    missing = [_NONE] * len(picks)
    columns = dict.fromkeys(_WRITTEN, missing)
    for tag in _CARRIED:
        column = picks.extra.get(tag.removeprefix("_"))
        numbers = None if column is None else convert_to_floats(column)
        if numbers is not None:
            columns[tag] = _format_values(numbers)
    for axis in (0, 1):
        columns[_CORNER[axis]] = format_coordinates(picks.xy_px[:, axis] - size[:, axis] / 2)
        columns[_SIZE[axis]] = _format_values(size[:, axis])
    columns[_CONFIDENCE] = _format_values(_probability(picks.score))
    header = ["", "data_global", "", "_cbox_format_version 1.0", "", "data_cryolo", "", "loop_"]
    header += [f"{tag} #{i}" for i, tag in enumerate(columns, start=1)]
    rows = map(" ".join, zip(*columns.values(), strict=True))
    footer = ["", "data_cryolo_include", "", "loop_", "_slice_index #1"]
    return "\n".join([*header, *rows, *footer, ""])


def _box_sizes(picks: Picks, layout: TableLayout) -> Float[np.ndarray, "picks 2"]:
    """Return the box sides along x and y: the requested side, or those that were read."""
    if layout.box_px is not None and layout.box_px >= 1:
        return np.full((len(picks), 2), float(layout.box_px))
    columns = [picks.extra.get(tag.removeprefix("_")) for tag in _SIZE]
    sides = [None if column is None else convert_to_floats(column) for column in columns]
    if sides[0] is None or sides[1] is None:
        raise SettingsError("a .cbox file stores boxes: give their side in pixels with --box-px")
    return np.column_stack([side for side in sides if side is not None])


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
    write=text_writer(_render),
    ending=".cbox",
    name_from_file=_micrograph,
    is_single=True,
)
