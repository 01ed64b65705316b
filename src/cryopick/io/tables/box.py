"""EMAN .box files: corner x, corner y, width, height and optionally a score, one box per line.

A file holds one micrograph, named by the stem of the file. The corner has the lowest x and y in
stored pixels. The centre is corner + size // 2, as in EMAN and RELION: the pixel at the origin of
the box's Fourier transform, also for odd sizes. A fifth number is read as the score, as REPIC
writes it; EMAN1 stored a class there. The sizes are carried as the columns `Width` and `Height`.
Corners are written in whole pixels, as EMAN and Topaz read no others; fractions are read.

The segments of EMAN2's helix boxer follow comments: `#micrograph:` names the micrograph, and each
`#helix:` begins another helix, whose number becomes the column `rlnHelicalTubeID`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Real
from cryopick.io.tables.box_sizes import HEIGHT, WIDTH, find_box_sizes
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    are_finite,
    convert_words,
    format_coordinates,
    format_scores,
    iterate_slices,
    line_error,
    line_writer,
    parse_floats,
    require_one_micrograph,
    text_reader,
)
from cryopick.io.tables.row_blocks import PicksBuilder, iterate_lines
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC"]

_HELIX = "rlnHelicalTubeID"
_EXPECTED_LINE = "a .box line with 4 or 5 numbers (corner x, y, width, height [score])"


def _parse(text: str, path: Path) -> Picks:
    picks, name, helix = PicksBuilder.for_micrograph(_micrograph(path)), _micrograph(path), 0
    helices: list[int] = []
    for first, lines in iterate_lines(text):
        rows = []
        for number, line in enumerate(lines, start=first):
            if line.startswith("#"):
                key, _, value = line[1:].partition(":")
                name = value.strip() or name if key.strip() == "micrograph" else name
                helix += key.strip() == "helix"
            elif line.strip():
                rows.append(_parse_line(line, number, path))
                helices.append(helix)
        numbers = np.array(rows, dtype=np.float64).reshape(-1, 5)
        sides = {WIDTH: _shorten(numbers[:, 2]), HEIGHT: _shorten(numbers[:, 3])}
        picks.add(numbers[:, :2] + np.floor(numbers[:, 2:4] / 2), numbers[:, 4], extra=sides)
    table = replace(picks.build(), micrographs=(name,))
    extra = {_HELIX: np.array(helices, np.int64)} if helix else {}
    return replace(table, extra={**table.extra, **extra})


def _parse_line(line: str, number: int, path: Path) -> list[float]:
    fields = line.split()
    if len(fields) not in (4, 5):
        raise line_error(path, number, f"{_EXPECTED_LINE}; this one has {len(fields)}", line)
    try:
        row = convert_words(fields)
    except ValueError:
        raise line_error(path, number, _EXPECTED_LINE, line) from None
    if not are_finite(row[:4]) or min(row[2:4]) < 0:
        raise line_error(path, number, f"{_EXPECTED_LINE}, finite and not negative in size", line)
    return row if len(row) > 4 else [*row, np.nan]


def _shorten(sides: Float[np.ndarray, " rows"]) -> Real[np.ndarray, " rows"]:
    """Return sides as integers, which other tables show without a decimal point, if they are."""
    is_integer = (sides == np.round(sides)).all() and (sides < 2**53).all()
    return sides.astype(np.int64) if is_integer else sides


def _micrograph(path: Path) -> str:
    return path.stem


def _render(picks: Picks, layout: TableLayout) -> Iterator[str]:
    size = find_box_sizes(picks, layout, "a .box file")
    require_one_micrograph(picks, "a .box file")
    is_scored = len(picks) > 0 and not np.isnan(picks.score).all()
    picks = replace(picks, extra={WIDTH: size[:, 0], HEIGHT: size[:, 1]})
    for part in iterate_slices(picks):
        size = np.column_stack([part.extra[WIDTH], part.extra[HEIGHT]])
        columns = [*np.rint(part.xy_px - np.floor(size / 2)).T, *size.T]
        texts = [format_coordinates(column) for column in columns]
        texts += [format_scores(part.score)] if is_scored else []
        yield from map("\t".join, zip(*texts, strict=True))


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
    write=line_writer(_render),
    ending=".box",
    name_from_file=_micrograph,
    is_single=True,
)
