"""Three-dimensional boxes in EMAN2's info files (JSON).

A box is [x, y, z, tag, score, class]. With `apix_unbin` in the file, coordinates are in pixels of
the tilt series from the voxel in the middle of the tomogram; without it, as in files before 2018,
they are voxels of the tomogram. The file is named after the tomogram: `TS_01_info.json`.

- `read_eman`: read a file.
- `write_eman`: write the boxes of one tomogram.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryopick.errors import FormatError, NotATableError, SettingsError
from cryopick.io.tables.json_text import parse_json, require_finite
from cryopick.picks import Picks
from cryopick.runs.text_files import read_text
from cryopick.tomograms.coordinates import CLASS_COLUMN
from cryopick.tomograms.tables.stored_points import (
    StoredPoints,
    Unit,
    convert_from_voxels,
    find_tomogram,
)
from cryopick.tomograms.volumes import Tomogram

__all__ = ["read_eman", "write_eman"]

_BOXES, _UNBINNED, _CLASSES = "boxes_3d", "apix_unbin", "class_list"
_TAG = "cryopick"
_DEFAULT_BOX_PX = 32


def read_eman(path: Path) -> StoredPoints:
    """Read the boxes of an info file; the column `class` counts from 1.

    Raises:
        NotATableError: It has no three-dimensional boxes.
        FormatError: A box is malformed.
    """
    content = parse_json(read_text(path), path)
    if not isinstance(content, dict) or not isinstance(content.get(_BOXES), list):
        raise NotATableError(f"{path}: expected an object with {_BOXES!r}, as EMAN2 writes it")
    rows, scores, classes = [], [], []
    for number, box in enumerate(content[_BOXES], start=1):
        if not isinstance(box, list) or len(box) < 3:
            raise FormatError(f"{path}: expected [x, y, z, …] as box {number}, found {box!r}")
        rows.append([require_finite(value, f"a centre of box {number}", path) for value in box[:3]])
        scores.append(require_finite(box[4], f"the score of box {number}", path) if box[4:] else 0)
        classes.append(int(require_finite(box[5], "a class", path)) + 1 if box[5:] else 1)
    unbinned = content.get(_UNBINNED)
    if isinstance(unbinned, str):  # some converters write text
        unbinned = float(unbinned)
    return StoredPoints(
        names=[path.stem.removesuffix("_info")] * len(rows),
        xyz=np.array(rows, np.float64).reshape(-1, 3),
        unit=Unit.VOXELS if unbinned is None else Unit.UNBINNED_CENTRED,
        score=np.array(scores, np.float64) if any(scores) else None,
        extra={CLASS_COLUMN: np.array(classes, np.int64)},
        unbinned_ang=None if unbinned is None else require_finite(unbinned, _UNBINNED, path),
    )


def write_eman(picks: Picks, tomograms: Sequence[Tomogram], path: Path) -> None:
    """Write the boxes of one tomogram.

    Raises:
        SettingsError: The table has several tomograms.
        UnmatchedError: The tomogram is not among the given ones.
    """
    if len(picks.micrographs) != 1:
        raise SettingsError(
            "an EMAN2 info file holds one tomogram; write to a folder, one file per tomogram"
        )
    tomogram = find_tomogram(picks.micrographs[0], tomograms)
    xyz = convert_from_voxels(picks, tomogram, Unit.UNBINNED_CENTRED).round(3).tolist()
    scores = np.nan_to_num(picks.score).round(6).tolist()
    numbers = picks.extra.get(CLASS_COLUMN, np.ones(len(picks), np.int64)).astype(int) - 1
    boxes = [
        [x, y, z, _TAG, score, number]
        for (x, y, z), score, number in zip(xyz, scores, numbers.tolist(), strict=True)
    ]
    classes = {
        str(number): {"boxsize": _DEFAULT_BOX_PX, "name": f"particles_{number:02d}"}
        for number in sorted(set(numbers.tolist())) or [0]
    }
    content = {
        _BOXES: boxes,
        _UNBINNED: tomogram.unbinned_ang or tomogram.voxel_size_ang,
        _CLASSES: classes,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
