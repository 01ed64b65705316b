"""crYOLO's .cbox files: boxes with a confidence, one file a micrograph.

`_CoordinateX` and `_CoordinateY` are the corner of lowest x and y in stored pixels, so a centre
is corner + size / 2. `_Confidence` is a probability between 0 and 1: its logit is the score, and
0 and 1 themselves count as 1e-7 from there. Columns in which anything is known are carried.
Files before version 1.0 have no header, and rows of corner x, y, width, height, confidence and
more. Boxes in three dimensions are refused; vertices of filaments are not read.

- `CODEC`: tables of picks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError, SettingsError
from cryopick.io.tables.codec import (
    Codec,
    Layout,
    broken,
    coordinate_text,
    only_micrograph,
    reads_text,
    to_floats,
    writes_text,
)
from cryopick.io.tables.star_text import Columns, columns_of, document, numbers
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_CORNER, _SIZE = ("_CoordinateX", "_CoordinateY"), ("_Width", "_Height")
_Z, _CONFIDENCE, _NONE = "_CoordinateZ", "_Confidence", "<NA>"
_CARRIED = ("_Width", "_Height", "_EstWidth", "_EstHeight", "_NumBoxes", "_Angle", "_filamentid")
_WRITTEN = (
    *_CORNER, _Z, *_SIZE, "_Depth", "_EstWidth", "_EstHeight", _CONFIDENCE, "_NumBoxes", "_Angle",
)  # fmt: skip
_LEAST = 1e-7  # of a probability and of what it lacks to 1, so that its logit is finite
_OLD = "a row of 5 numbers or more (corner x, y, width, height, confidence)"
_SHORTEST, _LONGEST = 5, 10  # numbers in a row of an old file


def _parse(text: str, path: Path) -> Picks:
    if "data_" not in text:
        return _parse_old(text, path)
    for block in document(text, path):
        columns = columns_of(block, _CORNER[0])
        if all(tag in columns for tag in (*_CORNER, *_SIZE)):
            return _table(columns, text, path)
    raise FormatError(
        f"{path}: expected the columns {', '.join((*_CORNER, *_SIZE))}, found none; "
        "is it a file of crYOLO's?"
    )


def _table(columns: Columns, text: str, path: Path) -> Picks:
    known = {
        tag: _known(values, tag, text, path)
        for tag, values in columns.items()
        if tag in (_Z, _CONFIDENCE, *_CARRIED)
    }
    if _Z in known and np.nan_to_num(known[_Z]).any():
        raise FormatError(
            f"{path}: expected boxes on a micrograph, found _CoordinateZ: boxes in a tomogram; "
            "give a table in two dimensions"
        )
    corner, size = (
        np.column_stack([numbers(columns[tag], tag, text, path) for tag in tags])
        for tags in (_CORNER, _SIZE)
    )
    if (size < 0).any():
        raise FormatError(f"{path}: expected boxes of no negative size, found {size.min():g}")
    extra = {t.removeprefix("_"): known[t] for t in known if t in _CARRIED}
    return Picks(
        micrographs=(_micrograph(path),),
        index=np.zeros(len(corner), np.int64),
        xy_px=corner + size / 2,
        score=_logit(known.get(_CONFIDENCE, np.full(len(corner), np.nan)), path),
        extra={name: column for name, column in extra.items() if not np.isnan(column).all()},
    )


def _known(values: Sequence[str], tag: str, text: str, path: Path) -> Float[np.ndarray, " rows"]:
    filled = ["nan" if value == _NONE else value for value in values]
    return numbers(filled, tag, text.replace(_NONE, "nan"), path, finite=False)


def _parse_old(text: str, path: Path) -> Picks:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < _SHORTEST:
            raise broken(path, number, f"{_OLD}; this one has {len(fields)}", line)
        try:
            row = to_floats(fields)
        except ValueError:
            raise broken(path, number, _OLD, line) from None
        if not np.isfinite(row[:_SHORTEST]).all() or (row[2:4] < 0).any():
            raise broken(path, number, f"{_OLD}, finite and of no negative size", line)
        rows.append(row[:_SHORTEST])
    table = np.array(rows, dtype=np.float64).reshape(-1, _SHORTEST)
    centre = table[:, :2] + table[:, 2:4] / 2
    return Picks.on(_micrograph(path), centre, _logit(table[:, 4], path))


def _logit(probability: Float[np.ndarray, " n"], path: Path) -> Float[np.ndarray, " n"]:
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        raise FormatError(
            f"{path}: expected a confidence between 0 and 1, found {probability[outside][0]:g}; "
            "mend it"
        )
    inner = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.log(inner) - np.log1p(-inner)


def _probability(logit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    bound = np.log(1 / _LEAST)
    return 1 / (1 + np.exp(-np.clip(logit, -bound, bound)))


def _micrograph(path: Path) -> str:
    return path.stem


def _render(picks: Picks, layout: Layout) -> str:
    only_micrograph(picks, "a .cbox file")
    size = _sizes(picks, layout)
    unknown = [_NONE] * len(picks)
    columns = dict.fromkeys(_WRITTEN, unknown)
    for tag in _CARRIED:
        column = picks.extra.get(tag.removeprefix("_"))
        if column is not None and column.dtype.kind in "iuf":
            columns[tag] = _texts(column.astype(np.float64))
    for axis in (0, 1):
        columns[_CORNER[axis]] = coordinate_text(picks.xy_px[:, axis] - size[:, axis] / 2)
        columns[_SIZE[axis]] = _texts(size[:, axis])
    columns[_CONFIDENCE] = _texts(_probability(picks.score))
    head = ["", "data_global", "", "_cbox_format_version 1.0", "", "data_cryolo", "", "loop_"]
    head += [f"{tag} #{i}" for i, tag in enumerate(columns, start=1)]
    rows = map(" ".join, zip(*columns.values(), strict=True))
    end = ["", "data_cryolo_include", "", "loop_", "_slice_index #1"]
    return "\n".join([*head, *rows, *end, ""])


def _sizes(picks: Picks, layout: Layout) -> Float[np.ndarray, "picks 2"]:
    """Sides of the boxes along x and y: those asked for, else those of the .cbox read."""
    if layout.box_px is not None and layout.box_px >= 1:
        return np.full((len(picks), 2), float(layout.box_px))
    own = [picks.extra.get(tag.removeprefix("_")) for tag in _SIZE]
    if own[0] is None or own[1] is None:
        raise SettingsError("a .cbox file stores boxes: give their side in pixels with --box-px")
    return np.column_stack([side.astype(np.float64) for side in own if side is not None])


def _texts(values: Float[np.ndarray, " rows"]) -> list[str]:
    return [_NONE if np.isnan(value) else repr(value) for value in values.tolist()]


def _recognises(head: str) -> bool:
    first = first_line(head)
    if first.startswith("data_"):
        return "data_cryolo" in head
    try:
        return _SHORTEST < len(to_floats(first.split())) <= _LONGEST
    except ValueError:
        return False


CODEC = Codec(
    name="cbox",
    suffixes=(".cbox",),
    recognises=_recognises,
    read=reads_text(_parse),
    write=writes_text(_render),
    ending=".cbox",
    name_from_file=_micrograph,
    holds_one=True,
)
