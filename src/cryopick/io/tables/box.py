"""EMAN .box files: corner x, corner y, width, height and optionally a score, one box per line.

A file holds one micrograph, named by the stem of the file. The corner has the lowest x and y in
stored pixels. The centre is corner + size // 2, as in EMAN and RELION: the pixel at the origin of
the box's Fourier transform, also for odd sizes. A fifth number is read as the score, as REPIC
writes it; EMAN1 stored a class there.

The segments of EMAN2's helix boxer follow comments: `#micrograph:` names the micrograph, and each
`#helix:` begins another helix, whose number becomes the column `rlnHelicalTubeID`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.errors import SettingsError
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    format_coordinates,
    format_scores,
    line_error,
    parse_floats,
    require_one_micrograph,
    text_reader,
    text_writer,
)
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_HELIX = "rlnHelicalTubeID"
_EXPECTED_LINE = "a .box line with 4 or 5 numbers (corner x, y, width, height [score])"


def _parse(text: str, path: Path) -> Picks:
    rows, helices, name, helix = [], [], _micrograph(path), 0
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            name = value.strip() or name if key.strip() == "micrograph" else name
            helix += key.strip() == "helix"
            continue
        if not fields:
            continue
        helices.append(helix)
        if len(fields) not in (4, 5):
            raise line_error(path, number, f"{_EXPECTED_LINE}; this one has {len(fields)}", line)
        try:
            row = parse_floats(fields)
        except ValueError:
            raise line_error(path, number, _EXPECTED_LINE, line) from None
        if not np.isfinite(row[:4]).all() or (row[2:4] < 0).any():
            raise line_error(
                path, number, f"{_EXPECTED_LINE}, finite and not negative in size", line
            )
        rows.append([*row[:4], row[4] if len(row) > 4 else np.nan])
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    centre = table[:, :2] + np.floor(table[:, 2:4] / 2)
    picks = Picks.for_micrograph(name, centre, table[:, 4])
    return replace(picks, extra={_HELIX: np.array(helices, np.int64)}) if helix else picks


def _micrograph(path: Path) -> str:
    return path.stem


def _render(picks: Picks, layout: TableLayout) -> str:
    if layout.box_px is None or layout.box_px < 1:
        raise SettingsError("a .box file stores boxes: give their side in pixels with --box-px")
    require_one_micrograph(picks, "a .box file")
    corner = picks.xy_px - layout.box_px // 2
    side = [str(layout.box_px)] * len(picks)
    columns = [format_coordinates(corner[:, 0]), format_coordinates(corner[:, 1]), side, side]
    if len(picks) and not np.isnan(picks.score).all():
        columns.append(format_scores(picks.score))
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def _matches_head(head: str) -> bool:
    try:
        return len(parse_floats(first_line(head).split())) in (4, 5)
    except ValueError:
        return False


CODEC = Codec(
    name="box",
    suffixes=(".box",),
    matches_head=_matches_head,
    read=text_reader(_parse),
    write=text_writer(_render),
    ending=".box",
    name_from_file=_micrograph,
    is_single=True,
)
