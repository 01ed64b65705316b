"""Labels of the VGG Image Annotator (VIA) in CSV, as topaz's labelling page saves them.

A row is one region. `region_shape_attributes` is JSON with the centre `cx`, `cy` of a point,
circle or ellipse, or the corner and size of a rectangle; `region_attributes` is JSON whose `score`
is a number as text. Rows count from the top of the labelled PNG, which is the first stored row of
the micrograph. An image without regions is a micrograph without picks.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.errors import NotATableError
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    format_coordinates,
    format_scores,
    iterate_slices,
    line_error,
    line_writer,
    shorten_names,
    text_reader,
)
from cryopick.io.tables.csv_table import iterate_csv_rows
from cryopick.io.tables.json_text import require_finite
from cryopick.io.tables.row_blocks import ROWS_PER_BLOCK, PicksBuilder
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)"
_POINT = re.compile(rf'\{{"name":"point","cx":{_NUMBER},"cy":{_NUMBER}\}}')
_RECTANGLE = re.compile(
    rf'\{{"name":"rect","x":{_NUMBER},"y":{_NUMBER},"width":{_NUMBER},"height":{_NUMBER}\}}'
)
_FLAT = re.compile(rf'\{{"name":"\w+"((?:,"\w+":{_NUMBER})+)\}}')
_PAIR = re.compile(rf'"(\w+)":{_NUMBER}')
_SCORE = re.compile(rf'\{{"score":"{_NUMBER}"\}}')
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
    rows = iterate_csv_rows(text, path)
    _, first_row = next(rows, (1, []))
    header = [name.strip().removeprefix("#") for name in first_row]
    if _FILE not in header or _SHAPE not in header:
        raise NotATableError(f"{path}: expected a header with {_FILE} and {_SHAPE}, as VIA writes")
    file_column, shape_column = header.index(_FILE), header.index(_SHAPE)
    region_column = header.index(_REGION) if _REGION in header else None
    picks = PicksBuilder()
    file_names: dict[str, None] = {}
    while block := list(islice(rows, ROWS_PER_BLOCK)):
        files, regions = [], []
        for line, row in block:
            if len(row) != len(header):
                expected = f"{len(header)} columns, as the header has; this line has {len(row)}"
                raise line_error(path, line, expected, ",".join(row))
            file_names[row[file_column]] = None
            attributes = "" if region_column is None else row[region_column]
            region = _parse_region(row[shape_column], attributes, path, line)
            if region is not None:
                files.append(row[file_column])
                regions.append(region)
        table = np.array(regions, dtype=np.float64).reshape(-1, 3)
        picks.add(table[:, :2], table[:, 2], files)
    labelled = picks.build().restrict(list(file_names))
    stems = {name: micrograph_stem(name) for name in labelled.micrographs}
    return labelled.rename(stems) if len(set(stems.values())) == len(stems) else labelled


def _parse_region(
    shape_text: str, attributes: str, path: Path, line: int
) -> tuple[float, float, float] | None:
    """Parse the centre and the score of a region; None if the row has no region."""
    match = _POINT.fullmatch(shape_text)
    if match:  # as this program and others write it; several times faster than JSON
        x, y = float(match[1]), float(match[2])
    elif match := _RECTANGLE.fullmatch(shape_text):
        left, top, width, height = map(float, match.groups())
        x, y = left + width / 2, top + height / 2
    else:
        shape = _parse_shape(shape_text, path, line)
        if not shape:
            return None
        x, y = _find_centre(shape, shape_text, path, line)
    match = _SCORE.fullmatch(attributes)
    score = match[1] if match else str(_parse_attributes(attributes, path, line).get("score", ""))
    try:
        return x, y, float(score) if score.strip() else np.nan
    except ValueError:
        raise line_error(path, line, "a number as score", score) from None


def _parse_shape(text: str, path: Path, line: int) -> dict[str, Any]:
    match = _FLAT.fullmatch(text)
    if match:  # also faster than JSON
        return {key: float(number) for key, number in _PAIR.findall(match[1])}
    return _parse_attributes(text, path, line)


def _find_centre(shape: dict[str, Any], text: str, path: Path, line: int) -> tuple[float, float]:
    """Find the centre of a shape."""
    location = Path(f"{path}:{line}")
    if "cx" in shape and "cy" in shape:
        x, y = (require_finite(shape[key], key, location) for key in ("cx", "cy"))
    elif all(key in shape for key in ("x", "y", "width", "height")):
        x, y = (
            require_finite(shape[corner], corner, location)
            + require_finite(shape[side], side, location) / 2
            for corner, side in (("x", "width"), ("y", "height"))
        )
    else:
        raise line_error(path, line, "a point, circle, ellipse or rectangle", text)
    return x, y


def _parse_attributes(text: str, path: Path, line: int) -> dict[str, Any]:
    try:
        attributes = json.loads(text) if text not in ("", "{}") else {}
    except (ValueError, RecursionError):
        raise line_error(path, line, "attributes in JSON", text) from None
    if not isinstance(attributes, dict):
        raise line_error(path, line, "attributes as a JSON object", text)
    return attributes


def _render(picks: Picks, _layout: TableLayout) -> Iterator[str]:
    line = StringIO(newline="")
    writer = csv.writer(line, lineterminator="")

    def format_row(values: Sequence[str]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(values)
        return line.getvalue()

    yield format_row(_COLUMNS)
    names = shorten_names(picks, forbidden="\r\n")
    counts = np.bincount(picks.index, minlength=len(names)).tolist()
    region_ids = [0] * len(names)
    for part in iterate_slices(picks):
        x, y = (format_coordinates(column) for column in part.xy_px.T)
        is_scored = ~np.isnan(part.score)
        scores = format_scores(part.score)
        for i, mic in enumerate(part.index.tolist()):
            head = [f"{names[mic]}.png", "-1", "{}", str(counts[mic]), str(region_ids[mic])]
            shape = f'{{"name":"point","cx":{x[i]},"cy":{y[i]}}}'
            yield format_row([*head, shape, f'{{"score":"{scores[i]}"}}' if is_scored[i] else "{}"])
            region_ids[mic] += 1
    for name, count in zip(names, counts, strict=True):
        if not count:
            yield format_row([f"{name}.png", "-1", "{}", "0", "0", "{}", "{}"])


CODEC = Codec(
    name="via",
    suffixes=("_via.csv",),
    matches_head=lambda head: _SHAPE in first_line(head.replace("#" + _FILE, _FILE, 1)),
    read=text_reader(_parse),
    write=line_writer(_render),
    ending="_via.csv",
)
