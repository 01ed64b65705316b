"""EMAN .box files: corner x, corner y, width, height and perhaps a score, one box a line.

A file holds one micrograph, whose name is the file's stem. The corner is that of lowest x and
y in stored pixels, so a centre is corner + size / 2. A fifth number is read as the score, as
REPIC writes it; EMAN1 put a class there.
"""

from pathlib import Path

import numpy as np

from cryopick.errors import SettingsError
from cryopick.io.codec import Codec, Layout, broken, column_text, coordinate_text, to_floats
from cryopick.picks import Picks

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
        rows.append([row[0] + row[2] / 2, row[1] + row[3] / 2, row[4] if len(row) > 4 else np.nan])
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Picks.on(_micrograph(path), table[:, :2], table[:, 2])


def _micrograph(path: Path) -> str:
    return path.stem


def _render(picks: Picks, layout: Layout) -> str:
    if layout.box_px is None or layout.box_px < 1:
        raise SettingsError("a .box file stores boxes: give their side in pixels with --box-px")
    if len(picks.micrographs) > 1:
        raise SettingsError(
            f"a .box file holds one micrograph, the table has {len(picks.micrographs)}: "
            "write to a folder, one file per micrograph"
        )
    corner = picks.xy_px - layout.box_px / 2
    side = [str(layout.box_px)] * len(picks)
    columns = [coordinate_text(corner[:, 0]), coordinate_text(corner[:, 1]), side, side]
    if len(picks) and not np.isnan(picks.score).all():
        columns.append(column_text(picks.score))
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


CODEC = Codec(
    name="box",
    suffixes=(".box",),
    parse=_parse,
    render=_render,
    ending=".box",
    name_from_file=_micrograph,
)
