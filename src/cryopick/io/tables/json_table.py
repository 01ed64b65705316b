"""Plain JSON: cryopick's complete table, or a bare list of picks.

Written files are an object: `micrographs` lists every micrograph with its full name, including
those without picks, and `picks` lists one object per line with `micrograph`, `x`, `y`, `score`
(null if unknown) and further columns. Such files are read, and so are bare lists of picks, also
with the column names of TSV and CSV (`image_name`, `x_coord`, `y_coord`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import FormatError, NotATableError
from cryopick.io.tables import eman_json
from cryopick.io.tables.codec import Codec, TableLayout, text_reader, text_writer
from cryopick.io.tables.columns import parse_header
from cryopick.io.tables.json_text import parse_json, require_finite
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_EXPECTED = 'a list of picks such as {"micrograph": "a.mrc", "x": 1.5, "y": 2}'


def _parse(text: str, path: Path) -> Picks:
    content = parse_json(text, path)
    if isinstance(content, dict) and "picks" not in content and eman_json.has_boxes(content):
        return eman_json.CODEC.read(path)
    rows = content.get("picks") if isinstance(content, dict) else content
    micrographs = content.get("micrographs", []) if isinstance(content, dict) else []
    if not isinstance(rows, list) or not all(isinstance(pick, dict) for pick in rows):
        raise NotATableError(f"{path}: expected {_EXPECTED}, found {_describe_value(content)}")
    if not isinstance(micrographs, list) or not all(
        isinstance(name, str) and name for name in micrographs
    ):
        raise FormatError(
            f"{path}: expected names as 'micrographs', found {str(micrographs)[:80]!r}"
        )
    picks = _parse_picks(rows, path)
    return picks.restrict(list(dict.fromkeys([*micrographs, *picks.micrographs])))


def _describe_value(content: object) -> str:
    if isinstance(content, dict):
        return f"an object with the keys {', '.join(map(str, content))}"[:120]
    return f"{type(content).__name__} {str(content)[:80]!r}"


def _parse_picks(rows: Sequence[Mapping[str, Any]], path: Path) -> Picks:
    if not rows:
        return Picks.from_columns([], np.zeros((0, 2)))
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
        np.nan if value is None else require_finite(value, f"score of pick {i}", path)
        for i, value in enumerate(columns.pop("score", [None] * len(x)), 1)
    ]
    extra = {name: _convert_column(values, name, path) for name, values in columns.items()}
    return Picks.from_columns(micrographs, np.array([x, y]).T, np.array(score), extra)


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


def _render(picks: Picks, _layout: TableLayout) -> str:
    micrographs = json.dumps(list(picks.micrographs), ensure_ascii=False)
    names = [picks.micrographs[i] for i in picks.index.tolist()]
    rounded = np.round(picks.xy_px, 3).tolist()
    scores = [None if np.isnan(value) else value for value in picks.score.tolist()]
    extra = {name: column.tolist() for name, column in picks.extra.items()}
    rows = []
    for i, (name, (x, y), score) in enumerate(zip(names, rounded, scores, strict=True)):
        extra_values = {key: _null_if_not_finite(values[i]) for key, values in extra.items()}
        row = {"micrograph": name, "x": x + 0.0, "y": y + 0.0, "score": score} | extra_values
        rows.append(json.dumps(row, ensure_ascii=False))
    body = ",\n".join(rows)
    return (
        '{"format": "cryopick picks", "version": 1,\n'
        '"origin": "pixel centres at integers, (0, 0) is the first stored pixel, y its row",\n'
        f'"micrographs": {micrographs},\n"picks": [\n{body}\n]}}\n'
    )


def _null_if_not_finite(value: object) -> object:
    return None if isinstance(value, float) and not np.isfinite(value) else value


CODEC = Codec(
    name="json",
    suffixes=(".json",),
    matches_head=lambda head: first_line(head).startswith(("{", "[")),
    read=text_reader(_parse),
    write=text_writer(_render),
    ending=".json",
)
