"""Pixel sizes of micrographs in STAR files of RELION.

RELION 3.1 and later state `rlnMicrographPixelSize` for each optics group, other programs for each
micrograph. RELION 3.0 and earlier state the detector's pixel in µm and the magnification.

- `find_pixel_sizes`: pixel size of each row of a table.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.io.tables.star_text import Columns, unquote_values

__all__ = ["find_pixel_sizes"]

_SIZE, _GROUP = "_rlnMicrographPixelSize", "_rlnOpticsGroup"
_DETECTOR_UM, _MAGNIFICATION = "_rlnDetectorPixelSize", "_rlnMagnification"
_ANG_PER_UM = 1e4


def find_pixel_sizes(columns: Columns, optics: Columns, path: Path) -> list[float | None]:
    """Return the pixel size in Å of the micrograph of each row; None if it is not stated.

    A size in the row takes precedence over that of its optics group. A size of 0 means unknown, and
    that of the group is taken.

    Args:
        columns: Table of micrographs or particles.
        optics: Optics table; empty if the file has none.
        path: The file, for messages.

    Raises:
        FormatError: A size is not a number, or a row names an optics group that is missing.
    """
    count = len(next(iter(columns.values()), ()))
    sizes: list[float | None] = [None] * count
    if _SIZE in columns:
        sizes = _parse_sizes(columns[_SIZE], _SIZE, path)
    if _SIZE in optics and None in sizes:
        of_groups = _sizes_by_group(columns, optics, count, path)
        return [size or other for size, other in zip(sizes, of_groups, strict=True)]
    if _SIZE in columns:
        return sizes
    if _DETECTOR_UM in columns and _MAGNIFICATION in columns:
        detectors = _parse_sizes(columns[_DETECTOR_UM], _DETECTOR_UM, path)
        magnifications = _parse_sizes(columns[_MAGNIFICATION], _MAGNIFICATION, path)
        return [
            detector_um * _ANG_PER_UM / magnification if detector_um and magnification else None
            for detector_um, magnification in zip(detectors, magnifications, strict=True)
        ]
    return sizes


def _sizes_by_group(
    columns: Columns, optics: Columns, count: int, path: Path
) -> list[float | None]:
    sizes = _parse_sizes(optics[_SIZE], _SIZE, path)
    if _GROUP not in columns or _GROUP not in optics:  # valid only if there is no choice
        return [sizes[0] if len(set(sizes)) == 1 else None] * count
    size_of_group = dict(zip(unquote_values(optics[_GROUP]), sizes, strict=True))
    groups = unquote_values(columns[_GROUP])
    missing = next((group for group in groups if group not in size_of_group), None)
    if missing is not None:
        raise FormatError(
            f"{path}: expected the optics group {missing} in data_optics, found "
            f"{', '.join(size_of_group)}; correct the file"
        )
    return [size_of_group[group] for group in groups]


def _parse_sizes(values: Sequence[str], tag: str, path: Path) -> list[float | None]:
    sizes: dict[str, float | None] = {}
    for value in set(values):
        try:
            number = float(value)
        except ValueError:
            raise FormatError(
                f"{path}: expected a number in the column {tag.removeprefix('_')}, found "
                f"{value[:80]!r}; correct the file"
            ) from None
        sizes[value] = number if math.isfinite(number) and number > 0 else None
    return [sizes[value] for value in values]
