"""Plain JSON: cryopick's complete table, or a bare list of picks.

Written files are an object: `micrographs` lists every micrograph with its full name, including
those without picks, and `picks` lists one object per line with `micrograph`, `x`, `y`, `score`
(null if unknown) and further columns. Such files are read, and so are bare lists of picks, also
with the column names of TSV and CSV (`image_name`, `x_coord`, `y_coord`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import isfinite, isinf
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Float, Shaped
from cryopick.errors import FormatError, NotATableError
from cryopick.io.tables import eman_json
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    iterate_slices,
    line_writer,
    number_columns,
    text_reader,
)
from cryopick.io.tables.columns import STANDARD_NAMES, parse_header
from cryopick.io.tables.json_rows import JsonRows, parse_long_json
from cryopick.io.tables.json_text import parse_json, require_finite
from cryopick.io.tables.row_blocks import BLOCK_CHARACTERS
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_LONG_CHARACTERS = BLOCK_CHARACTERS
_EXPECTED = 'a list of picks such as {"micrograph": "a.mrc", "x": 1.5, "y": 2}'


def _parse(text: str, path: Path) -> Picks:
    if len(text) >= _LONG_CHARACTERS:
        long = parse_long_json(text, partial(_convert_rows, path=path), _has_pick_keys)
        if long is not None:
            return _list_micrographs(*long, path)
    content = parse_json(text, path)
    if isinstance(content, dict) and "picks" not in content and eman_json.has_boxes(content):
        return eman_json.CODEC.read(path)
    rows = content.get("picks") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(pick, dict) for pick in rows):
        raise NotATableError(f"{path}: expected {_EXPECTED}, found {_describe_value(content)}")
    return _list_micrographs(content, _parse_picks(rows, path), path)


def _list_micrographs(content: object, picks: Picks, path: Path) -> Picks:
    """Add the micrographs without picks, in the order of the file."""
    micrographs = content.get("micrographs", []) if isinstance(content, dict) else []
    if not isinstance(micrographs, list) or not all(
        isinstance(name, str) and name for name in micrographs
    ):
        raise FormatError(
            f"{path}: expected names as 'micrographs', found {str(micrographs)[:80]!r}"
        )
    return picks.restrict(list(dict.fromkeys([*micrographs, *picks.micrographs])))


def _has_pick_keys(keys: Sequence[str]) -> bool:
    try:
        parse_header(keys, Path())
    except FormatError:
        return False
    return True


def _describe_value(content: object) -> str:
    if isinstance(content, dict):
        return f"an object with the keys {', '.join(map(str, content))}"[:120]
    return f"{type(content).__name__} {str(content)[:80]!r}"


def _parse_picks(rows: Sequence[Mapping[str, Any]], path: Path) -> Picks:
    if not rows:
        return Picks.from_columns([], np.zeros((0, 2)))
    converted = _convert_rows(rows, path=path)
    return Picks.from_columns(converted.names, converted.xy_px, converted.score, converted.extra)


def _convert_rows(rows: Sequence[Mapping[str, Any]], *, path: Path) -> JsonRows:
    """Convert objects with the same keys."""
    keys = list(rows[0])
    names = dict(zip(parse_header(keys, path), keys, strict=True))
    for number, pick in enumerate(rows, start=1):
        if pick.keys() != rows[0].keys():
            raise FormatError(
                f"{path}: expected the keys {', '.join(keys)} in each pick, found "
                f"{', '.join(pick)} in pick {number}; correct it"
            )
    columns = {name: [pick[key] for pick in rows] for name, key in names.items()}
    micrographs = columns.pop("image_name")
    if not all(isinstance(name, str) and name for name in micrographs):
        raise FormatError(f"{path}: expected a name as each pick's {names['image_name']}")
    x, y = (
        [
            require_finite(value, f"{names[axis]} of pick {i}", path)
            for i, value in enumerate(values, 1)
        ]
        for axis, values in ((axis, columns.pop(axis)) for axis in ("x_coord", "y_coord"))
    )
    score = [
        _parse_score(value, f"score of pick {i}", path)
        for i, value in enumerate(columns.pop("score", [None] * len(x)), 1)
    ]
    extra = {name: _convert_column(values, name, path) for name, values in columns.items()}
    is_integer = {
        name: np.array([isinstance(value, int) for value in values])
        for name, values in columns.items()
    }
    return JsonRows(
        names=micrographs,
        xy_px=np.array([x, y]).T,
        score=np.array(score, np.float64),
        extra=extra,
        is_integer=is_integer,
    )


def _parse_score(value: object, description: str, path: Path) -> float:
    """Parse a score, which may be infinite; null is NaN."""
    if value is None:
        return np.nan
    if isinstance(value, float) and isinf(value):
        return value
    return require_finite(value, description, path)


def _convert_column(values: Sequence[object], name: str, path: Path) -> Shaped[np.ndarray, " rows"]:
    """Convert a further column: text if any value is text, else numbers; null is NaN."""
    if all(isinstance(value, bool) for value in values):
        return np.array(values, dtype=np.bool_)
    if any(isinstance(value, str) for value in values):
        return np.array([str(value) for value in values], dtype=np.str_)
    if all(isinstance(value, int) for value in values):
        try:
            return np.array(values)
        except OverflowError:
            return np.array([str(value) for value in values], dtype=np.str_)
    numbers = [
        np.nan if v is None else require_finite(v, f"{name} of each pick", path) for v in values
    ]
    return np.array(numbers, dtype=np.float64)


def _render(picks: Picks, _layout: TableLayout) -> Iterator[str]:
    names = [_encode(name) for name in picks.micrographs]
    extra = number_columns(picks.extra, STANDARD_NAMES)
    yield '{"format": "cryopick picks", "version": 1,'
    yield '"origin": "pixel centres at integers, (0, 0) is the first stored pixel, y its row",'
    yield f'"micrographs": [{", ".join(names)}],'
    yield '"picks": ['
    row = ""
    for part in iterate_slices(picks):
        rounded = np.round(part.xy_px, 3) + 0.0  # no negative zeros
        columns = {
            "micrograph": [names[i] for i in part.index.tolist()],
            **dict(zip("xy", map(_encode_column, rounded.T), strict=True)),
            "score": _encode_scores(part.score),
            **dict(zip(extra, map(_encode_column, part.extra.values()), strict=True)),
        }
        keys = [f"{_encode(name)}: " for name in columns]
        for values in zip(*columns.values(), strict=True):
            if row:
                yield f"{row},"
            row = f"{{{', '.join(map(''.join, zip(keys, values, strict=True)))}}}"
    yield row
    yield "]}"


def _encode(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _encode_column(column: Shaped[np.ndarray, " rows"]) -> list[str]:
    """Encode values; NaN and infinity become null."""
    values = column.tolist()
    if column.dtype.kind == "f":
        return [repr(value) if isfinite(value) else "null" for value in values]
    return [_encode(value) for value in values]


def _encode_scores(scores: Float[np.ndarray, " rows"]) -> list[str]:
    """Encode scores; a missing one becomes null, and an infinite one a number beyond all others."""
    texts = _encode_column(scores)
    for i in np.flatnonzero(np.isinf(scores)).tolist():
        texts[i] = "1e999" if scores[i] > 0 else "-1e999"
    return texts


CODEC = Codec(
    name="json",
    suffixes=(".json",),
    matches_head=lambda head: first_line(head).startswith(("{", "[")),
    read=text_reader(_parse),
    write=line_writer(_render),
    ending=".json",
)
