"""EMAN .box files: corner x, corner y, width, height and perhaps a score, one box a line.

A file holds one micrograph, whose name is the file's stem. The corner is that of lowest x and
y in stored pixels, and the centre is corner + size // 2, as EMAN and RELION count: the pixel
that is the origin of the box's Fourier transform, also where the side is odd. A fifth number
is read as the score, as REPIC writes it; EMAN1 put a class there.
"""

from pathlib import Path

import numpy as np

from cryopick.errors import SettingsError
from cryopick.io.tables.codec import (
    Codec,
    Layout,
    broken,
    coordinate_text,
    only_micrograph,
    reads_text,
    score_text,
    to_floats,
    writes_text,
)
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_EXPECTED = "a .box line with 4 or 5 numbers (corner x, y, width, height [score])"


def _parse(text: str, path: Path) -> Picks:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) not in (4, 5):
            raise broken(path, number, f"{_EXPECTED}; this one has {len(fields)}", line)
        try:
            row = to_floats(fields)
        except ValueError:
            raise broken(path, number, _EXPECTED, line) from None
        if not np.isfinite(row[:4]).all() or (row[2:4] < 0).any():
            raise broken(path, number, f"{_EXPECTED}, finite and of no negative size", line)
        rows.append([*row[:4], row[4] if len(row) > 4 else np.nan])
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    centre = table[:, :2] + np.floor(table[:, 2:4] / 2)
    return Picks.on(_micrograph(path), centre, table[:, 4])


def _micrograph(path: Path) -> str:
    return path.stem


def _render(picks: Picks, layout: Layout) -> str:
    if layout.box_px is None or layout.box_px < 1:
        raise SettingsError("a .box file stores boxes: give their side in pixels with --box-px")
    only_micrograph(picks, "a .box file")
    corner = picks.xy_px - layout.box_px // 2
    side = [str(layout.box_px)] * len(picks)
    columns = [coordinate_text(corner[:, 0]), coordinate_text(corner[:, 1]), side, side]
    if len(picks) and not np.isnan(picks.score).all():
        columns.append(score_text(picks.score))
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def _recognises(head: str) -> bool:
    try:
        return len(to_floats(first_line(head).split())) in (4, 5)
    except ValueError:
        return False


CODEC = Codec(
    name="box",
    suffixes=(".box",),
    recognises=_recognises,
    read=reads_text(_parse),
    write=writes_text(_render),
    ending=".box",
    name_from_file=_micrograph,
    holds_one=True,
)
