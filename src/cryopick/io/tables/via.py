"""Labels of the VGG Image Annotator (VIA) in its CSV, as topaz's labelling page saves them.

A row is one region: `region_shape_attributes` is JSON with the centre `cx`, `cy` of a point,
circle or ellipse, or the corner and size of a rectangle; `region_attributes` is JSON whose
`score` is a number in text. Rows count from the top of the PNG that was labelled, which is the
first stored row of the micrograph. An image without regions is a micrograph without picks.
"""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.errors import FormatError
from cryopick.io.names import stem_of
from cryopick.io.tables.codec import (
    Codec,
    Layout,
    broken,
    coordinate_text,
    reads_text,
    score_text,
    short_names,
    writes_text,
)
from cryopick.io.tables.json_text import finite
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_COLUMNS = (
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
)
_FILE, _SHAPE, _REGION = _COLUMNS[0], _COLUMNS[5], _COLUMNS[6]


def _parse(text: str, path: Path) -> Picks:
    reader = csv.reader(StringIO(text, newline=""))
    files: list[str] = []
    places: dict[str, None] = {}
    regions: list[tuple[float, float, float]] = []
    try:
        header = [name.strip().removeprefix("#") for name in next(reader, [])]
        if _FILE not in header or _SHAPE not in header:
            raise FormatError(f"{path}: expected a header with {_FILE} and {_SHAPE}, as VIA writes")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                expected = f"{len(header)} columns, as the header has; this line has {len(row)}"
                raise broken(path, reader.line_num, expected, ",".join(row))
            fields = dict(zip(header, row, strict=True))
            places[fields[_FILE]] = None
            region = _region(fields, path, reader.line_num)
            if region is not None:
                files.append(fields[_FILE])
                regions.append(region)
    except csv.Error as error:
        raise FormatError(
            f"{path}:{reader.line_num}: expected comma-separated fields: {error}; mend that line"
        ) from None
    table = np.array(regions, dtype=np.float64).reshape(-1, 3)
    picks = Picks.from_columns(files, table[:, :2], table[:, 2]).restrict(list(places))
    stems = {name: stem_of(name) for name in picks.micrographs}
    return picks.rename(stems) if len(set(stems.values())) == len(stems) else picks


def _region(fields: dict[str, str], path: Path, line: int) -> tuple[float, float, float] | None:
    shape = _attributes(fields[_SHAPE], path, line)
    if not shape:
        return None
    place = Path(f"{path}:{line}")
    if "cx" in shape and "cy" in shape:
        x, y = (finite(shape[key], key, place) for key in ("cx", "cy"))
    elif all(key in shape for key in ("x", "y", "width", "height")):
        x, y = (
            finite(shape[corner], corner, place) + finite(shape[side], side, place) / 2
            for corner, side in (("x", "width"), ("y", "height"))
        )
    else:
        raise broken(path, line, "a point, circle, ellipse or rectangle", fields[_SHAPE])
    score = str(_attributes(fields.get(_REGION, ""), path, line).get("score", ""))
    try:
        return x, y, float(score) if score.strip() else np.nan
    except ValueError:
        raise broken(path, line, "a number as score", score) from None


def _attributes(text: str, path: Path, line: int) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise broken(path, line, "attributes in JSON", text) from None
    if not isinstance(found, dict):
        raise broken(path, line, "attributes as a JSON object", text)
    return found


def _render(picks: Picks, _layout: Layout) -> str:
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    names = short_names(picks, forbidden="\r\n")
    counts = np.bincount(picks.index, minlength=len(names)).tolist()
    seen = [0] * len(names)
    x, y = (coordinate_text(picks.xy_px[:, axis]) for axis in (0, 1))
    known = ~np.isnan(picks.score)
    scores = score_text(picks.score)
    for i, mic in enumerate(picks.index.tolist()):
        head = [f"{names[mic]}.png", "-1", "{}", str(counts[mic]), str(seen[mic])]
        shape = f'{{"name":"point","cx":{x[i]},"cy":{y[i]}}}'
        writer.writerow([*head, shape, f'{{"score":"{scores[i]}"}}' if known[i] else "{}"])
        seen[mic] += 1
    for name, count in zip(names, counts, strict=True):
        if not count:
            writer.writerow([f"{name}.png", "-1", "{}", "0", "0", "{}", "{}"])
    return out.getvalue()


CODEC = Codec(
    name="via",
    suffixes=("_via.csv",),
    recognises=lambda head: _SHAPE in first_line(head.replace("#" + _FILE, _FILE, 1)),
    read=reads_text(_parse),
    write=writes_text(_render),
    ending="_via.csv",
)
