"""STAR files of RELION's tomography, and particles of crYOLO (.cbox) in tomograms.

RELION 4 and 5 store coordinates in pixels of the tilt series from the corner (`rlnCoordinateX`),
RELION 5 also in ångströms from the centre (`rlnCenteredCoordinateXAngst`), which take precedence.
Shifts of refined particles (`rlnOriginXAngst`) are ignored. A .cbox file has corners of boxes along
x and y, and the section of the centre as z, in voxels of the tomogram.

- `read_star`, `read_cbox`: read a file.
- `write_star`: write a file that RELION 5 reads.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import NotATableError
from cryopick.io.tables.codec import format_column, format_scores, parse_column
from cryopick.io.tables.star_text import (
    Columns,
    find_columns,
    parse_numbers,
    parse_star,
    quote_value,
    unquote_values,
)
from cryopick.picks import Picks
from cryopick.runs.text_files import read_text
from cryopick.tomograms.coordinates import CLASS_COLUMN, Z_COLUMN
from cryopick.tomograms.tables.stored_points import (
    StoredPoints,
    Unit,
    convert_from_voxels,
    find_tomogram,
)
from cryopick.tomograms.volumes import Tomogram

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["read_cbox", "read_star", "write_star"]

_NAMES = ("_rlnTomoName", "_rlnMicrographName")
_PIXELS = ("_rlnCoordinateX", "_rlnCoordinateY", "_rlnCoordinateZ")
_CENTRED = tuple(f"_rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
_SCORE, _CLASS = "_rlnAutopickFigureOfMerit", "_rlnClassNumber"
_OPTICS_SIZE = "_rlnTomoTiltSeriesPixelSize"
_CBOX = ("_CoordinateX", "_CoordinateY", "_CoordinateZ")
_CBOX_SIZE = ("_Width", "_Height")


def read_star(path: Path) -> StoredPoints:
    """Read the particles of a STAR file.

    Raises:
        NotATableError: It has no particles in tomograms.
        FormatError: A value is no number.
    """
    text = read_text(path)
    blocks = parse_star(text, path)
    unit, tags = Unit.CENTRED_ANG, _CENTRED
    columns = _find_table(blocks, tags)
    if columns is None:
        unit, tags = Unit.UNBINNED, _PIXELS
        columns = _find_table(blocks, tags)
    if columns is None:
        raise NotATableError(
            f"{path}: expected particles in tomograms, with rlnCoordinateX, Y and Z or "
            "rlnCenteredCoordinateXAngst, YAngst and ZAngst; use a table of such particles"
        )
    xyz = np.column_stack([parse_numbers(columns[tag], tag, text, path) for tag in tags])
    name_tag = next((tag for tag in _NAMES if tag in columns), None)
    names = unquote_values(columns[name_tag]) if name_tag else [path.stem] * len(xyz)
    score = None
    if _SCORE in columns:
        score = parse_numbers(columns[_SCORE], _SCORE, text, path, finite=False)
    extra = {CLASS_COLUMN: parse_column(columns[_CLASS])} if _CLASS in columns else {}
    sizes = [find_columns(block, _OPTICS_SIZE).get(_OPTICS_SIZE, ()) for block in blocks]
    pixel_sizes = {float(size) for column in sizes for size in column}
    return StoredPoints(
        names=names,
        xyz=xyz,
        unit=unit,
        score=score,
        extra=extra,
        unbinned_ang=pixel_sizes.pop() if len(pixel_sizes) == 1 else None,
    )


def _find_table(blocks: "cif.Document", tags: Sequence[str]) -> Columns | None:
    """Find the columns of the first block that has all tags."""
    tables = [find_columns(block, tags[0]) for block in blocks]
    return next((one for one in tables if all(tag in one for tag in tags)), None)


def read_cbox(path: Path) -> StoredPoints:
    """Read the boxes of a .cbox file, which holds one tomogram and is named after it.

    Raises:
        NotATableError: It has no boxes.
        FormatError: A value is no number.
    """
    text = read_text(path)
    columns = _find_table(parse_star(text, path), _CBOX)
    if columns is None:
        raise NotATableError(f"{path}: expected boxes with _CoordinateX, Y and Z, as in crYOLO")
    xyz = np.column_stack([parse_numbers(columns[tag], tag, text, path) for tag in _CBOX])
    for axis, tag in enumerate(_CBOX_SIZE):
        xyz[:, axis] += parse_numbers(columns[tag], tag, text, path) / 2
    return StoredPoints(names=[path.stem] * len(xyz), xyz=xyz, unit=Unit.VOXELS)


def write_star(picks: Picks, tomograms: Sequence[Tomogram], path: Path) -> None:
    """Write particles for RELION 5: names of tomograms, both kinds of coordinates, score, class.

    Raises:
        UnmatchedError: A tomogram of the table is not among the given ones.
    """
    others = [name for name in picks.extra if name not in (Z_COLUMN, CLASS_COLUMN)]
    has_classes = CLASS_COLUMN in picks.extra
    tags = [_NAMES[0], *_PIXELS, *_CENTRED, _SCORE, *([_CLASS] if has_classes else [])]
    tags += [f"_cryopick_{name}" for name in others]
    lines = ["", "# version 50001", "", "data_particles", "", "loop_"]
    lines += [f"{tag} #{number}" for number, tag in enumerate(tags, start=1)]
    for name, table in picks.split_by_micrograph():
        tomogram = find_tomogram(name, tomograms)
        columns = [
            [quote_value(name)] * len(table),
            *_format_axes(convert_from_voxels(table, tomogram, Unit.UNBINNED)),
            *_format_axes(convert_from_voxels(table, tomogram, Unit.CENTRED_ANG)),
            format_scores(table.score),
        ]
        if has_classes:
            columns.append(format_column(table.extra[CLASS_COLUMN]))
        columns += [
            [quote_value(value) for value in format_column(table.extra[one])] for one in others
        ]
        lines += [" ".join(row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*lines, "", ""]), encoding="utf-8")


def _format_axes(xyz: Float[np.ndarray, "n 3"]) -> Iterator[list[str]]:
    for axis in xyz.T:
        yield [f"{value:.3f}" for value in axis.tolist()]
