"""IMOD models (binary `.mod`), IMOD point lists, and Dynamo tables (`.tbl`).

Model coordinates count from the edge of the first voxel along x and y, and from its centre along z.
A point list is the text that `model2point -object` writes: object, contour, x, y, z. Dynamo's
columns 24 to 26 are x, y and z in voxels, 4 to 6 shifts, 10 the correlation, 20 the number of the
tomogram and 22 the class.

- `read_model`, `read_points`, `read_dynamo`: read a file.
- `write_points`: write a list for `point2model`.

Source of the layout: "IMOD Binary File Format", Boulder Laboratory for 3-D Electron Microscopy of
Cells; "Table convention", Dynamo wiki.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError, NotATableError
from cryopick.io.tables.codec import line_error, parse_floats
from cryopick.picks import Picks
from cryopick.runs.text_files import read_text
from cryopick.tomograms.coordinates import CLASS_COLUMN, get_xyz
from cryopick.tomograms.tables.stored_points import StoredPoints, Unit

__all__ = ["read_dynamo", "read_model", "read_points", "write_points"]

_HEADER_BYTES, _OBJECT_BYTES, _CONTOUR_BYTES, _MESH_BYTES = 240, 180, 20, 20
_EDGE = np.array([0.5, 0.5, 0.0])  # of the first voxel, from its centre
_MIN_DYNAMO_COLUMNS = 26


def read_model(path: Path) -> StoredPoints:
    """Read the points of all contours of a binary model; the class is the number of the object.

    Raises:
        NotATableError: It is no IMOD model.
        FormatError: It is truncated.
    """
    content = path.read_bytes()
    if not content.startswith(b"IMOD"):
        raise NotATableError(f"{path}: expected a binary IMOD model, found something else")
    parts, objects = [np.zeros((0, 3))], []
    for number, points in _iterate_contours(content, path):
        parts.append(points)
        objects += [number] * len(points)
    return StoredPoints(
        names=[path.stem] * len(objects),
        xyz=np.concatenate(parts) - _EDGE,
        unit=Unit.VOXELS,
        extra={CLASS_COLUMN: np.array(objects, np.int64)},
    )


def _iterate_contours(
    content: bytes, path: Path
) -> Iterator[tuple[int, Float[np.ndarray, "points 3"]]]:
    """Yield the number of the object, from 1, and the points of each contour."""
    position, number = _HEADER_BYTES, 0
    while (tag := content[position : position + 4]) != b"IEOF":
        if len(tag) < 4:
            raise FormatError(f"{path}: the model is cut short; save it again")
        if tag == b"OBJT":
            number += 1
            position += _OBJECT_BYTES
        elif tag == b"CONT":
            count = _read_integers(content, position + 4, 1, path)[0]
            start, size = position + _CONTOUR_BYTES, 12 * count
            if count < 0 or start + size > len(content):
                raise FormatError(f"{path}: a contour is cut short; save the model again")
            points = np.frombuffer(content, ">f4", 3 * count, start).reshape(-1, 3)
            yield number, points.astype(np.float64)
            position = start + size
        elif tag == b"MESH":
            vertices, indices = _read_integers(content, position + 4, 2, path)
            position += _MESH_BYTES + 12 * max(vertices, 0) + 4 * max(indices, 0)
        else:  # any other chunk states its length
            position += 8 + max(_read_integers(content, position + 4, 1, path)[0], 0)


def _read_integers(content: bytes, position: int, count: int, path: Path) -> tuple[int, ...]:
    try:
        return struct.unpack_from(f">{count}i", content, position)
    except struct.error:
        raise FormatError(f"{path}: the model is cut short; save it again") from None


def read_points(path: Path) -> StoredPoints:
    """Read a list of points: x y z, contour x y z, or object contour x y z in each line.

    Raises:
        NotATableError: A line has another number of columns.
        FormatError: A value is no number.
    """
    rows, objects = [], []
    for number, words in _iterate_rows(path):
        if len(words) not in (3, 4, 5):
            raise NotATableError(
                f"{path}:{number}: expected x y z, or object, contour, x, y and z as "
                f"`model2point -object` writes them; found {len(words)} columns"
            )
        rows.append(words[-3:])
        objects.append(int(words[0]) if len(words) == 5 else 1)
    xyz = np.array(rows, np.float64).reshape(-1, 3) - _EDGE
    extra = {CLASS_COLUMN: np.array(objects, np.int64)}
    return StoredPoints(names=[path.stem] * len(rows), xyz=xyz, unit=Unit.VOXELS, extra=extra)


def read_dynamo(path: Path) -> StoredPoints:
    """Read a Dynamo table; tomograms are named by their numbers.

    Raises:
        NotATableError: A line has fewer than 26 columns.
        FormatError: A value is no number.
    """
    rows = []
    for number, words in _iterate_rows(path):
        if len(words) < _MIN_DYNAMO_COLUMNS:
            raise NotATableError(
                f"{path}:{number}: expected at least {_MIN_DYNAMO_COLUMNS} columns, as in a Dynamo "
                f"table, found {len(words)}"
            )
        rows.append(words[:_MIN_DYNAMO_COLUMNS])
    table = np.array(rows, np.float64).reshape(-1, _MIN_DYNAMO_COLUMNS)
    return StoredPoints(
        names=[str(int(value)) for value in table[:, 19]],
        xyz=table[:, 23:26] + table[:, 3:6],
        unit=Unit.VOXELS,
        score=table[:, 9],
        extra={CLASS_COLUMN: np.maximum(table[:, 21], 1).astype(np.int64)},
    )


def _iterate_rows(path: Path) -> Iterator[tuple[int, list[float]]]:
    """Yield the number of each line that is not empty, and its numbers."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            values = parse_floats(words)
        except ValueError:
            raise line_error(path, number, "numbers", line) from None
        if not np.isfinite(values).all():
            raise line_error(path, number, "finite numbers", line)
        yield number, values.tolist()


def write_points(picks: Picks, path: Path) -> None:
    """Write the picks of one tomogram as object (the class), contour, x, y and z."""
    xyz = get_xyz(picks) + _EDGE
    objects = picks.extra.get(CLASS_COLUMN, np.ones(len(picks), np.int64)).astype(int)
    lines = [
        f"{number} 1 {x:.3f} {y:.3f} {z:.3f}\n"
        for number, (x, y, z) in zip(objects.tolist(), xyz.tolist(), strict=True)
    ]
    path.write_text("".join(lines), encoding="utf-8")
