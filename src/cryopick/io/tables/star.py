"""STAR files of RELION 2 to 5, and of programs that write files for RELION.

Coordinates are particle centres in pixels of the micrograph, in stored rows and columns: no flip,
no corner. A file for one micrograph has an unnamed block and may lack `rlnMicrographName`; its
micrograph is the stem of the file without `_autopick`, `_manualpick`, `_topaz` or `_automatch`
(Gautomatch). Unknown columns are carried without their underscore, as numbers or text. RELION
writes a figure of merit of -999 for none; it is read as no score. Three-dimensional coordinates
are rejected.

- `CODEC`: tables of picks.
- `read_context`: read the blocks around the picks, and the comment on their origin, for STAR to
  STAR.
- `read_micrograph_names`, `read_micrograph_list`: micrographs that a STAR file lists, the latter
  with their pixel sizes.
- `read_list_optics`: optics table and groups of such a list.
- `read_coordinate_files`: coordinate files that RELION's `autopick.star` lists.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from cryopick.errors import FormatError, NotATableError
from cryopick.io.names import remove_source_mark
from cryopick.io.tables.codec import (
    Codec,
    StarContext,
    TableLayout,
    format_column,
    format_coordinates,
    format_scores,
    iterate_slices,
    line_writer,
    number_columns,
    parse_column,
    text_reader,
)
from cryopick.io.tables.row_blocks import PicksBuilder
from cryopick.io.tables.star_optics import find_pixel_sizes
from cryopick.io.tables.star_rows import is_placeholder, open_table, shorten_table
from cryopick.io.tables.star_text import (
    Columns,
    find_block,
    find_columns,
    parse_numbers,
    parse_star,
    quote_value,
    split_blocks,
    unquote_values,
)
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line, read_head, read_text

if TYPE_CHECKING:
    from gemmi import cif

__all__ = [
    "CODEC",
    "read_context",
    "read_coordinate_files",
    "read_list_optics",
    "read_micrograph_list",
    "read_micrograph_names",
]

_X, _Y, _Z = "_rlnCoordinateX", "_rlnCoordinateY", "_rlnCoordinateZ"
_SCORE, _NAME = "_rlnAutopickFigureOfMerit", "_rlnMicrographName"
_INDEXED = "_rlnMicrographCoordinates"
_GROUP = "_rlnOpticsGroup"
_NO_SCORE = -999.0
_VERSION = re.compile(r"^# version (\d+)\s*$", re.MULTILINE)
_PROVENANCE = re.compile(r"^# (cryopick \d[^\n]*)\n", re.MULTILINE)


def _parse(text: str, path: Path) -> Picks:
    def find(blocks: "cif.Document") -> Columns:
        columns = find_block(blocks, (_X, _Y), path)[1]
        return columns if _X in columns and _Y in columns else {}

    blocks, parts = open_table(text, _X, find, path)
    picks: PicksBuilder | None = None
    for columns in parts:
        if not columns:
            raise _missing_coordinates_error(blocks, path)
        if picks is None:
            has_names = _NAME in columns
            picks = PicksBuilder() if has_names else PicksBuilder.for_micrograph(_micrograph(path))
        _add_rows(picks, columns, text, path)
    assert picks is not None, "a table has at least one part"
    return picks.build()


def _missing_coordinates_error(blocks: "cif.Document", path: Path) -> NotATableError:
    block_names = ", ".join(name for name in (b.name.strip() for b in blocks) if name)[:300]
    listed_count = len(set(find_block(blocks, (_NAME,), path)[1].get(_NAME, ())))
    hint = (
        f"it lists {listed_count} micrographs"
        if listed_count
        else "check that it is a table of particles"
    )
    return NotATableError(
        f"{path}: expected the columns rlnCoordinateX and rlnCoordinateY, found none in the "
        f"blocks {block_names or '(none)'}; {hint}"
    )


def _add_rows(picks: PicksBuilder, columns: Columns, text: str, path: Path) -> None:
    """Add the rows of a part of the table."""
    if _Z in columns and parse_numbers(columns[_Z], _Z, text, path).any():
        raise FormatError(
            f"{path}: expected particles on micrographs, found rlnCoordinateZ: particles in a "
            "tomogram; use a two-dimensional table"
        )
    xy_px = np.empty((len(columns[_X]), 2))
    for axis, tag in enumerate((_X, _Y)):
        xy_px[:, axis] = parse_numbers(columns[tag], tag, text, path)
    score = np.full(len(xy_px), np.nan)
    if _SCORE in columns:
        score = parse_numbers(columns[_SCORE], _SCORE, text, path, finite=False)
        score[score == _NO_SCORE] = np.nan
    extra = {}
    for tag, values in columns.items():
        if tag not in (_X, _Y, _SCORE, _NAME):
            column = parse_column(values)
            if column.dtype.kind not in "iuf":
                column = parse_column(unquote_values(values))
            extra[tag.removeprefix("_")] = column
    names = unquote_values(columns[_NAME]) if _NAME in columns else None
    picks.add(xy_px, score, names, extra)


def _micrograph(path: Path) -> str:
    return remove_source_mark(path.stem)


def read_context(path: Path) -> StarContext:
    """Read the content around the picks of a STAR file: optics table and other blocks.

    Returns:
        The content; the default for a file of one micrograph, or without picks.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is not a STAR file, or has two tables of picks.
    """
    whole_text = read_text(path)
    text = shorten_table(whole_text, _X)
    blocks = parse_star(text, path)
    main_name, columns = find_block(blocks, (_X, _Y), path)
    if text != whole_text and not is_placeholder(next(iter(columns.get(_X, ())), "")):
        text = whole_text  # another table has the rows
        blocks = parse_star(text, path)
    context = StarContext(provenance="".join(_PROVENANCE.findall(text)[:1]))
    text = _PROVENANCE.sub("", text)
    if _X not in columns or _NAME not in columns:
        return context
    names = [block.name.strip() for block in blocks]
    texts = split_blocks(text, names) or [unquote(block.as_string()) for block in blocks]
    others = [t for name, t in zip(names, texts, strict=True) if name != main_name]
    number = _VERSION.search(text)
    return replace(
        context,
        block=main_name if main_name == "" else "particles",
        version=int(number[1]) if number else None,
        others="\n\n\n".join(others),
    )


def read_micrograph_names(path: Path) -> list[str]:
    """List the micrographs that a STAR file names, each once.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is not a STAR file, or has no `rlnMicrographName`.
    """
    return list(read_micrograph_list(path))


def read_micrograph_list(path: Path) -> dict[str, float | None]:
    """Map the micrographs that a STAR file names to their pixel sizes in Å, None if not stated.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is not a STAR file, has no `rlnMicrographName`, or states two pixel sizes
            or optics groups for a micrograph.
    """

    def find(blocks: "cif.Document") -> Columns:
        return find_block(blocks, (_NAME,), path)[1]

    blocks, parts = open_table(read_text(path), _NAME, find, path)
    optics = next((find_columns(b, _GROUP) for b in blocks if b.name.strip() == "optics"), {})
    sizes: dict[str, float | None] = {}
    group_of: dict[str, str] = {}
    for columns in parts:
        if _NAME not in columns:
            raise FormatError(
                f"{path}: expected a column rlnMicrographName, found none; use another"
            )
        names = unquote_values(columns[_NAME])
        for name, size in zip(names, find_pixel_sizes(columns, optics, path), strict=True):
            if sizes.setdefault(name, size) != size:
                raise FormatError(
                    f"{path}: expected one pixel size for {name}, found {sizes[name]} and {size} "
                    "Å; correct the file"
                )
        for name, group in zip(names, columns.get(_GROUP, ()), strict=False):
            if group_of.setdefault(name, group) != group:
                raise FormatError(
                    f"{path}: expected one optics group for {name}, found {group_of[name]} and "
                    f"{group}; correct the file"
                )
    return sizes


def read_list_optics(path: Path) -> tuple[StarContext, dict[str, str]]:
    """Read the optics table of a list of micrographs, and the optics group of each.

    Returns:
        The optics table as content around picks, the default if there is none, and the groups by
        micrograph.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is not a STAR file.
    """
    text = read_text(path)
    blocks = parse_star(text, path)
    _, columns = find_block(blocks, (_NAME,), path)
    names = [block.name.strip() for block in blocks]
    texts = dict(zip(names, split_blocks(text, names), strict=False))
    if "optics" not in texts or _GROUP not in columns:
        return StarContext(), {}
    values = (unquote_values(columns[tag]) for tag in (_NAME, _GROUP))
    return StarContext(others=texts["optics"]), dict(zip(*values, strict=True))


def read_coordinate_files(path: Path) -> dict[str, str]:
    """Map micrographs to their coordinate files, as RELION's `autopick.star` lists them.

    Returns:
        An empty mapping for any other file.
    """
    if _INDEXED not in read_head(path):
        return {}
    _, columns = find_block(parse_star(read_text(path), path), (_NAME, _INDEXED), path)
    if _INDEXED not in columns or _NAME not in columns:
        return {}
    return dict(zip(unquote_values(columns[_NAME]), unquote_values(columns[_INDEXED]), strict=True))


def _render(picks: Picks, layout: TableLayout) -> Iterator[str]:
    """Yield the lines RELION expects: an unnamed block for one micrograph, else `data_particles`.

    Other blocks, starting with the optics table, come first.
    """
    columns = partial(
        _format_columns,
        names=[quote_value(name) for name in picks.micrographs],
        is_scored=not len(picks) or not np.isnan(picks.score).all(),
        one_micrograph=layout.one_micrograph,
        fractional=_list_fractional(picks),
    )
    context = StarContext(block="") if layout.one_micrograph else layout.star
    # Not in the tables of clients, which have no version either.
    this_version = f"cryopick {version('cryopick')}" if context.version else ""
    origin = layout.star.provenance or this_version
    yield from [f"# {origin}"] if origin else []
    yield from [context.others, "", ""] if context.others else []
    yield from ["", f"# version {context.version}"] if context.version else []
    yield from ["", f"data_{context.block}", "", "loop_"]
    empty_columns = columns(picks.select(np.zeros(0, np.int64)))
    yield from (f"{tag} #{i}" for i, tag in enumerate(empty_columns, start=1))
    for part in iterate_slices(picks):
        yield from map(" ".join, zip(*columns(part).values(), strict=True))
    yield ""


def _list_fractional(picks: Picks) -> list[str]:
    """List coordinate and score columns with any value that is not an integer."""
    values = {_X: picks.xy_px[:, 0], _Y: picks.xy_px[:, 1], _SCORE: picks.score}
    return [tag for tag, column in values.items() if (column != np.round(column)).any()]


def _format_columns(
    picks: Picks,
    *,
    names: Sequence[str],
    is_scored: bool,
    one_micrograph: bool,
    fractional: Sequence[str],
) -> dict[str, list[str]]:
    """Format all columns; `names` are the quoted micrograph names.

    Scipion and emtools infer the type of a column from its first row, so that all values of
    `fractional` columns take a decimal point.
    """
    columns = {} if one_micrograph else {_NAME: [names[i] for i in picks.index.tolist()]}
    columns[_X] = format_coordinates(picks.xy_px[:, 0])
    columns[_Y] = format_coordinates(picks.xy_px[:, 1])
    if is_scored:
        columns[_SCORE] = format_scores(np.where(np.isnan(picks.score), _NO_SCORE, picks.score))
    for tag in fractional:
        texts = columns.get(tag, [])
        columns |= {tag: [t if set(t) & set(".en") else f"{t}.0" for t in texts]} if texts else {}
    if one_micrograph:  # RELION's picker always writes these two
        columns |= {tag: ["0"] * len(picks) for tag in ("_rlnClassNumber", "_rlnAnglePsi")}
    words = ("_".join(name.split()) for name in picks.extra)
    taken = [tag.removeprefix("_") for tag in (_NAME, _X, _Y, _SCORE)]
    for name, column in zip(number_columns(words, taken), picks.extra.values(), strict=True):
        texts = format_column(column)
        is_number = column.dtype.kind in "biuf"
        columns[f"_{name}"] = texts if is_number else [quote_value(t) for t in texts]
    return columns


def _matches_head(head: str) -> bool:
    is_other = "data_cryolo" in head or "XMIPP_STAR" in head[:100]
    return first_line(head).startswith(("data_", "loop_")) and not is_other


CODEC = Codec(
    name="star",
    suffixes=(".star",),
    matches_head=_matches_head,
    read=text_reader(_parse),
    write=line_writer(_render),
    ending="_autopick.star",
    name_from_file=_micrograph,
)
