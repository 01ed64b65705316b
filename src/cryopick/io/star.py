"""RELION STAR files, 3.0 and later, read through gemmi.

Coordinates are particle centres in pixels of the micrograph, as stored rows and columns: no
flip, no corner. A file for one micrograph has an unnamed block and may lack
`rlnMicrographName`: its micrograph is the file's stem without `_autopick`, `_manualpick` or
`_topaz`. Numeric columns that we do not know are carried without their underscore. RELION
writes a figure of merit of -999 where it has none; that is read as no score.

- `CODEC`: tables of picks.
- `micrograph_names`: the micrographs that a STAR file lists.
- `coordinate_files`: what RELION's `autopick.star` points to.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np
from jaxtyping import Float

from cryopick.errors import FormatError
from cryopick.io.codec import (
    Codec,
    Layout,
    broken,
    column_text,
    coordinate_text,
    to_column,
    to_floats,
)
from cryopick.io.files import read_text
from cryopick.picks import Picks

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["CODEC", "coordinate_files", "micrograph_names"]

_X, _Y = "_rlnCoordinateX", "_rlnCoordinateY"
_SCORE, _NAME = "_rlnAutopickFigureOfMerit", "_rlnMicrographName"
_NO_SCORE = -999.0
_SOURCE_MARK = re.compile(r"_(autopick|manualpick|topaz)$")
_Columns = dict[str, Sequence[str]]


def _parse(text: str, path: Path) -> Picks:
    block, columns = _block_with(_document(text, path), (_X, _Y), path)
    if _X not in columns or _Y not in columns:
        raise FormatError(
            f"{path}: expected the columns rlnCoordinateX and rlnCoordinateY, found none in the "
            f"blocks {block or '(none)'}; is it a table of particles?"
        )
    xy_px = np.empty((len(columns[_X]), 2))
    for axis, tag in enumerate((_X, _Y)):
        xy_px[:, axis] = _numbers(columns[tag], tag, text, path)
    score = np.full(len(xy_px), np.nan)
    if _SCORE in columns:
        score = _numbers(columns[_SCORE], _SCORE, text, path, finite=False)
        score[score == _NO_SCORE] = np.nan
    known = (_X, _Y, _SCORE, _NAME)
    extra = {
        tag.removeprefix("_"): column
        for tag, values in columns.items()
        if tag not in known and (column := to_column(values)).dtype.kind in "if"
    }
    if _NAME in columns:
        return Picks.from_columns(_plain(columns[_NAME]), xy_px, score, extra)
    return Picks(
        micrographs=(_micrograph(path),),
        index=np.zeros(len(xy_px), np.int64),
        xy_px=xy_px,
        score=score,
        extra=extra,
    )


def _micrograph(path: Path) -> str:
    return _SOURCE_MARK.sub("", path.stem)


def micrograph_names(path: Path) -> list[str]:
    """List the micrographs that a STAR file names, each once.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no STAR file or has no `rlnMicrographName`.
    """
    _, columns = _block_with(_document(read_text(path), path), (_NAME,), path)
    if _NAME not in columns:
        raise FormatError(f"{path}: expected a column rlnMicrographName, found none; name another")
    return list(dict.fromkeys(_plain(columns[_NAME])))


def coordinate_files(text: str, path: Path) -> dict[str, str]:
    """Map micrographs to their coordinate files, as RELION's `autopick.star` lists them.

    Returns:
        Nothing for a STAR file of any other kind.
    """
    tag = "_rlnMicrographCoordinates"
    if tag not in text:
        return {}
    _, columns = _block_with(_document(text, path), (_NAME, tag), path)
    if tag not in columns or _NAME not in columns:
        return {}
    return dict(zip(_plain(columns[_NAME]), _plain(columns[tag]), strict=True))


def _document(text: str, path: Path) -> "cif.Document":
    """Parse the text; what gemmi refuses, all beyond ASCII, goes in and comes out as %XX.

    A percent sign is escaped as well, so that nothing else is taken for an escape.
    """
    from gemmi import cif

    if not text.isascii() or "%" in text:
        text = re.sub(r"[^\x00-\x7f]|%", lambda found: quote(found.group()), text)
    try:
        return cif.read_string(text)
    except ValueError as error:
        for line, tags, values in _loop_rows(text):
            if len(values) != len(tags):
                expected = f"{len(tags)} values (one for each column of the loop)"
                raise broken(
                    path, line, f"{expected}; this line has {len(values)}", " ".join(values)
                ) from None
        found = re.match(r"[^:]*:(\d+):[^:]*: *(.*)", str(error), re.DOTALL)
        place, reason = found.groups() if found else ("1", str(error))
        raise FormatError(f"{path}:{place}: expected a STAR file: {reason}; mend it") from None


def _block_with(document: "cif.Document", tags: Sequence[str], path: Path) -> tuple[str, _Columns]:
    """Find the one table that has all tags; `data_particles` and then unnamed blocks come first.

    Returns:
        The block's name and its columns; without such a table, all names and no columns.
    """
    found = [(block.name.strip(), _columns(block, tags[0])) for block in document]
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


def _columns(block: "cif.Block", tag: str) -> _Columns:
    """Columns of the loop that has `tag`, or a single row written as pairs."""
    loop = block.find_loop(tag).get_loop()
    if loop is None:
        pairs = (item.pair for item in block if item.pair is not None)
        return {unquote(name): (value,) for name, value in pairs}
    values, width = loop.values, loop.width()
    return {unquote(name): values[i::width] for i, name in enumerate(loop.tags)}


def _plain(values: Sequence[str]) -> list[str]:
    """Undo quotes and escapes, once for each distinct value."""
    from gemmi import cif

    plain = {value: unquote(cif.as_string(value)) for value in set(values)}
    return [plain[value] for value in values]


def _numbers(
    values: Sequence[str], tag: str, text: str, path: Path, *, finite: bool = True
) -> Float[np.ndarray, " rows"]:
    try:
        numbers = to_floats(values)
    except ValueError:
        pass
    else:
        if not finite or np.isfinite(numbers).all():
            return numbers
    wanted = f"a {'finite ' * finite}number in the column {tag.removeprefix('_')}"
    for line, tags, row in _loop_rows(text):
        if tag in tags and not _is_number(row[tags.index(tag)], finite=finite):
            raise broken(path, line, wanted, " ".join(row))
    raise FormatError(f"{path}: expected {wanted}, found other text; mend the file")


def _is_number(value: str, *, finite: bool) -> bool:
    try:
        number = to_floats([value])
    except ValueError:
        return False
    return not finite or bool(np.isfinite(number).all())


def _loop_rows(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Line number, columns and values of each row, for files with one row a line, as RELION's.

    Only for messages: gemmi reads the values but does not keep the lines.
    """
    tags: list[str] = []
    in_loop = in_rows = False
    for number, line in enumerate(text.split("\n"), start=1):
        values = re.findall(r"'[^']*'(?=\s|$)|\"[^\"]*\"(?=\s|$)|\S+", line)
        if not values or values[0].startswith("#"):
            continue
        if values[0] == "loop_":
            tags, in_loop, in_rows = [], True, False
        elif values[0].startswith("data_"):
            in_loop = False
        elif in_loop and values[0].startswith("_"):
            in_loop = not in_rows  # a pair after the rows ends the loop
            tags.append(values[0])
        elif in_loop:
            in_rows = True
            yield number, tags, values


def _render(picks: Picks, layout: Layout) -> str:
    """Write what RELION expects: an unnamed block for one micrograph, else `data_particles`."""
    columns: dict[str, list[str]] = {}
    if not layout.one_micrograph:
        names = [_quoted(name) for name in picks.micrographs]
        columns[_NAME] = [names[i] for i in picks.index.tolist()]
    columns[_X] = coordinate_text(picks.xy_px[:, 0])
    columns[_Y] = coordinate_text(picks.xy_px[:, 1])
    if not len(picks) or not np.isnan(picks.score).all():
        columns[_SCORE] = column_text(np.where(np.isnan(picks.score), _NO_SCORE, picks.score))
    if layout.one_micrograph:  # RELION's picker always writes these two
        columns |= {tag: ["0"] * len(picks) for tag in ("_rlnClassNumber", "_rlnAnglePsi")}
    for name, column in picks.extra.items():
        texts = column_text(column)
        is_number = column.dtype.kind in "biuf"
        columns["_" + "_".join(name.split())] = texts if is_number else [_quoted(t) for t in texts]
    head = ["", "# version 30001", "", "data_" if layout.one_micrograph else "data_particles", ""]
    head += ["loop_", *(f"{tag} #{i}" for i, tag in enumerate(columns, start=1))]
    return "\n".join([*head, *map(" ".join, zip(*columns.values(), strict=True)), "", ""])


def _quoted(value: str) -> str:
    from gemmi import cif

    text = cif.quote(value)
    if "\n" in text or "\r" in text:
        raise FormatError(
            f"the text {value!r} holds a line break or both kinds of quotes, "
            "which a STAR file for RELION cannot store; rename it"
        )
    return text


CODEC = Codec(
    name="star",
    suffixes=(".star",),
    parse=_parse,
    render=_render,
    ending="_autopick.star",
    name_from_file=_micrograph,
)
