"""Plain JSON: our own table with everything in it, or a bare list of picks.

What we write is an object whose `micrographs` names every micrograph, also those without
picks, in full, and whose `picks` are objects of `micrograph`, `x`, `y`, `score` (null where
unknown) and further columns, one a line. What we read is that, or its list of picks alone,
under the names that TSV and CSV know too (`image_name`, `x_coord`, `y_coord`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import FormatError
from cryopick.io.tables import eman_json
from cryopick.io.tables.codec import Codec, Layout, reads_text, writes_text
from cryopick.io.tables.columns import column_names
from cryopick.io.tables.json_text import finite, parsed
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_EXPECTED = 'a list of picks such as {"micrograph": "a.mrc", "x": 1.5, "y": 2}'


def _parse(text: str, path: Path) -> Picks:
    content = parsed(text, path)
    if isinstance(content, dict) and "picks" not in content and eman_json.holds_boxes(content):
        return eman_json.CODEC.read(path)
    listed = content.get("picks") if isinstance(content, dict) else content
    named = content.get("micrographs", []) if isinstance(content, dict) else []
    if not isinstance(listed, list) or not all(isinstance(pick, dict) for pick in listed):
        raise FormatError(f"{path}: expected {_EXPECTED}, found {_kind(content)}")
    if not isinstance(named, list) or not all(isinstance(name, str) and name for name in named):
        raise FormatError(f"{path}: expected names as 'micrographs', found {str(named)[:80]!r}")
    picks = _table(listed, path)
    return picks.restrict(list(dict.fromkeys([*named, *picks.micrographs])))


def _kind(content: object) -> str:
    if isinstance(content, dict):
        return f"an object with the keys {', '.join(map(str, content))}"[:120]
    return f"{type(content).__name__} {str(content)[:80]!r}"


def _table(listed: Sequence[Mapping[str, Any]], path: Path) -> Picks:
    if not listed:
        return Picks.from_columns([], np.zeros((0, 2)))
    keys = list(listed[0])
    names = dict(zip(column_names(keys, path), keys, strict=True))
    for number, pick in enumerate(listed, start=1):
        if pick.keys() != listed[0].keys():
            raise FormatError(
                f"{path}: expected the keys {', '.join(keys)} in each pick, found "
                f"{', '.join(pick)} in pick {number}; mend it"
            )
    columns = {name: [pick[key] for pick in listed] for name, key in names.items()}
    micrographs = columns.pop("image_name")
    if not all(isinstance(name, str) and name for name in micrographs):
        raise FormatError(f"{path}: expected a name as each pick's {names['image_name']}")
    x, y = (
        [finite(value, f"{names[axis]} of pick {i}", path) for i, value in enumerate(values, 1)]
        for axis, values in ((axis, columns.pop(axis)) for axis in ("x_coord", "y_coord"))
    )
    score = [
        np.nan if value is None else finite(value, f"score of pick {i}", path)
        for i, value in enumerate(columns.pop("score", [None] * len(x)), 1)
    ]
    extra = {name: _column(values, name, path) for name, values in columns.items()}
    return Picks.from_columns(micrographs, np.array([x, y]).T, np.array(score), extra)


def _column(values: Sequence[object], name: str, path: Path) -> Shaped[np.ndarray, " rows"]:
    """A further column: of texts where one is text, else of numbers; null is NaN."""
    if all(isinstance(value, bool) for value in values):
        return np.array(values, dtype=np.bool_)
    if any(isinstance(value, str) for value in values):
        return np.array([str(value) for value in values], dtype=np.str_)
    if all(isinstance(value, int) for value in values):
        try:
            return np.array(values)
        except OverflowError:
            return np.array([str(value) for value in values], dtype=np.str_)
    found = [np.nan if v is None else finite(v, f"{name} of each pick", path) for v in values]
    return np.array(found, dtype=np.float64)


def _render(picks: Picks, _layout: Layout) -> str:
    named = json.dumps(list(picks.micrographs), ensure_ascii=False)
    names = [picks.micrographs[i] for i in picks.index.tolist()]
    rounded = np.round(picks.xy_px, 3).tolist()
    scores = [None if np.isnan(value) else value for value in picks.score.tolist()]
    extra = {name: column.tolist() for name, column in picks.extra.items()}
    rows = []
    for i, (name, (x, y), score) in enumerate(zip(names, rounded, scores, strict=True)):
        own = {key: _plain(values[i]) for key, values in extra.items()}
        row = {"micrograph": name, "x": x + 0.0, "y": y + 0.0, "score": score} | own
        rows.append(json.dumps(row, ensure_ascii=False))
    body = ",\n".join(rows)
    return (
        '{"format": "cryopick picks", "version": 1,\n'
        '"origin": "pixel centres at integers, (0, 0) is the first stored pixel, y its row",\n'
        f'"micrographs": {named},\n"picks": [\n{body}\n]}}\n'
    )


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not np.isfinite(value) else value


CODEC = Codec(
    name="json",
    suffixes=(".json",),
    recognises=lambda head: first_line(head).startswith(("{", "[")),
    read=reads_text(_parse),
    write=writes_text(_render),
    ending=".json",
)
