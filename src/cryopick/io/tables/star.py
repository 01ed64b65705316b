"""RELION STAR files of versions 2 to 5, and those of programs that write what RELION reads.

Coordinates are particle centres in pixels of the micrograph, as stored rows and columns: no
flip, no corner. A file for one micrograph has an unnamed block and may lack
`rlnMicrographName`: its micrograph is the file's stem without `_autopick`, `_manualpick`,
`_topaz` or `_automatch` (Gautomatch). Columns that we do not know are carried without their
underscore, numbers and texts. RELION writes a figure of merit of -999 where it has none; that
is read as no score. Coordinates in three dimensions are refused.

- `CODEC`: tables of picks.
- `frame_of`: the blocks around the picks, for a pass from STAR to STAR.
- `micrograph_names`: the micrographs that a STAR file lists.
- `coordinate_files`: what RELION's `autopick.star` points to.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from cryopick.errors import FormatError
from cryopick.io.tables.codec import (
    Codec,
    Layout,
    StarFrame,
    column_text,
    coordinate_text,
    in_slices,
    reads_text,
    score_text,
    to_column,
    writes_lines,
)
from cryopick.io.tables.star_text import (
    Columns,
    columns_of,
    document,
    numbers,
    plain,
    quoted,
    text_of_blocks,
)
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line, head_of, read_text

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["CODEC", "coordinate_files", "frame_of", "micrograph_names"]

_X, _Y, _Z = "_rlnCoordinateX", "_rlnCoordinateY", "_rlnCoordinateZ"
_SCORE, _NAME = "_rlnAutopickFigureOfMerit", "_rlnMicrographName"
_INDEXED = "_rlnMicrographCoordinates"
_NO_SCORE = -999.0
_SOURCE_MARK = re.compile(r"_(autopick|manualpick|topaz|automatch)$")
_VERSION = re.compile(r"^# version (\d+)\s*$", re.MULTILINE)


def _parse(text: str, path: Path) -> Picks:
    blocks = document(text, path)
    block, columns = _block_with(blocks, (_X, _Y), path)
    if _X not in columns or _Y not in columns:
        listed = len(set(_block_with(blocks, (_NAME,), path)[1].get(_NAME, ())))
        what = f"it lists {listed} micrographs" if listed else "is it a table of particles?"
        raise FormatError(
            f"{path}: expected the columns rlnCoordinateX and rlnCoordinateY, found none in the "
            f"blocks {block or '(none)'}; {what}"
        )
    if _Z in columns and numbers(columns[_Z], _Z, text, path).any():
        raise FormatError(
            f"{path}: expected particles on micrographs, found rlnCoordinateZ: particles in a "
            "tomogram; give a table in two dimensions"
        )
    xy_px = np.empty((len(columns[_X]), 2))
    for axis, tag in enumerate((_X, _Y)):
        xy_px[:, axis] = numbers(columns[tag], tag, text, path)
    score = np.full(len(xy_px), np.nan)
    if _SCORE in columns:
        score = numbers(columns[_SCORE], _SCORE, text, path, finite=False)
        score[score == _NO_SCORE] = np.nan
    extra = {}
    for tag, values in columns.items():
        if tag not in (_X, _Y, _SCORE, _NAME):
            column = to_column(values)
            is_number = column.dtype.kind in "iuf"
            extra[tag.removeprefix("_")] = column if is_number else to_column(plain(values))
    if _NAME in columns:
        return Picks.from_columns(plain(columns[_NAME]), xy_px, score, extra)
    return Picks(
        micrographs=(_micrograph(path),),
        index=np.zeros(len(xy_px), np.int64),
        xy_px=xy_px,
        score=score,
        extra=extra,
    )


def _micrograph(path: Path) -> str:
    return _SOURCE_MARK.sub("", path.stem)


def frame_of(path: Path) -> StarFrame:
    """Take up what stands around the picks in a STAR file: optics table and other blocks.

    Returns:
        The frame; the usual one for a file of one micrograph, or without picks.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no STAR file, or holds two tables of picks.
    """
    text = read_text(path).replace("\r\n", "\n")
    blocks = document(text, path)
    main, columns = _block_with(blocks, (_X, _Y), path)
    if _X not in columns or _NAME not in columns:
        return StarFrame()
    names = [block.name.strip() for block in blocks]
    texts = text_of_blocks(text, names) or [unquote(block.as_string()) for block in blocks]
    others = [t for name, t in zip(names, texts, strict=True) if name != main]
    version = _VERSION.search(text)
    return StarFrame(
        block=main if main == "" else "particles",
        version=int(version[1]) if version else None,
        others="\n\n\n".join(others),
    )


def micrograph_names(path: Path) -> list[str]:
    """List the micrographs that a STAR file names, each once.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no STAR file or has no `rlnMicrographName`.
    """
    _, columns = _block_with(document(read_text(path), path), (_NAME,), path)
    if _NAME not in columns:
        raise FormatError(f"{path}: expected a column rlnMicrographName, found none; name another")
    return list(dict.fromkeys(plain(columns[_NAME])))


def coordinate_files(path: Path) -> dict[str, str]:
    """Map micrographs to their coordinate files, as RELION's `autopick.star` lists them.

    Returns:
        Nothing for a file of any other kind.
    """
    if _INDEXED not in head_of(path):
        return {}
    _, columns = _block_with(document(read_text(path), path), (_NAME, _INDEXED), path)
    if _INDEXED not in columns or _NAME not in columns:
        return {}
    return dict(zip(plain(columns[_NAME]), plain(columns[_INDEXED]), strict=True))


def _block_with(blocks: "cif.Document", tags: Sequence[str], path: Path) -> tuple[str, Columns]:
    """Find the one table that has all tags; `data_particles` and then unnamed blocks come first.

    Returns:
        The block's name and its columns; without such a table, all names and no columns.
    """
    found = [(block.name.strip(), columns_of(block, tags[0])) for block in blocks]
    names = ", ".join(name for name, _ in found if name)
    found = [(name, columns) for name, columns in found if all(tag in columns for tag in tags)]
    for preferred in ("particles", "micrographs", ""):
        for name, columns in found:
            if name == preferred:
                return name, columns
    if len(found) > 1:
        several = ", ".join(name for name, _ in found)
        raise FormatError(
            f"{path}: expected one table with {tags[0].removeprefix('_')}, found it in the blocks "
            f"{several}; keep one of them, or call it data_particles"
        )
    return found[0] if found else (names, {})


def _render(picks: Picks, layout: Layout) -> Iterator[str]:
    """Write what RELION expects: an unnamed block for one micrograph, else `data_particles`.

    Other blocks, which the optics table leads, come first.
    """
    columns = partial(
        _columns,
        names=[quoted(name) for name in picks.micrographs],
        is_scored=not len(picks) or not np.isnan(picks.score).all(),
        one_micrograph=layout.one_micrograph,
    )
    frame = StarFrame(block="") if layout.one_micrograph else layout.star
    yield from [frame.others, "", ""] if frame.others else []
    yield from ["", f"# version {frame.version}"] if frame.version else []
    yield from ["", f"data_{frame.block}", "", "loop_"]
    nothing = columns(picks.select(np.zeros(0, np.int64)))
    yield from (f"{tag} #{i}" for i, tag in enumerate(nothing, start=1))
    for part in in_slices(picks):
        yield from map(" ".join, zip(*columns(part).values(), strict=True))
    yield ""


def _columns(
    picks: Picks, *, names: Sequence[str], is_scored: bool, one_micrograph: bool
) -> dict[str, list[str]]:
    """What stands in each column, of micrographs with these names."""
    columns = {} if one_micrograph else {_NAME: [names[i] for i in picks.index.tolist()]}
    columns[_X] = coordinate_text(picks.xy_px[:, 0])
    columns[_Y] = coordinate_text(picks.xy_px[:, 1])
    if is_scored:
        columns[_SCORE] = score_text(np.where(np.isnan(picks.score), _NO_SCORE, picks.score))
    if one_micrograph:  # RELION's picker always writes these two
        columns |= {tag: ["0"] * len(picks) for tag in ("_rlnClassNumber", "_rlnAnglePsi")}
    for name, column in picks.extra.items():
        texts = column_text(column)
        is_number = column.dtype.kind in "biuf"
        columns["_" + "_".join(name.split())] = texts if is_number else [quoted(t) for t in texts]
    return columns


def _recognises(head: str) -> bool:
    return first_line(head).startswith(("data_", "loop_")) and "data_cryolo" not in head


CODEC = Codec(
    name="star",
    suffixes=(".star",),
    recognises=_recognises,
    read=reads_text(_parse),
    write=writes_lines(_render),
    ending="_autopick.star",
    name_from_file=_micrograph,
)
