"""Read and write pick tables of any format.

- `read_picks`, `read_picks_many`: read a table, or several as one.
- `read_picks_with_context`, `read_star_context`: also the content around the picks of STAR files.
- `write_picks`, `write_picks_per_micrograph`: write one file, or one per micrograph.
- `per_micrograph_path`: path of the file of one micrograph.
- `write_coordinate_list`: write RELION's list of such files.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.errors import (
    FormatError,
    InputError,
    NotATableError,
    OutputExistsError,
    SettingsError,
    UnmatchedError,
)
from cryopick.io.names import find_listed_file
from cryopick.io.tables import star
from cryopick.io.tables.codec import Codec, StarContext, TableLayout
from cryopick.io.tables.formats import FORMATS, choose_output_codec, detect_codec, find_codec
from cryopick.io.tables.star_merge import (
    assign_optics_groups,
    find_optics_groups,
    merge_contexts,
)
from cryopick.io.tables.star_text import quote_value
from cryopick.io.tables.table_files import (
    check_bounds,
    drop_lists_of_others,
    find_coordinate_files,
    list_tables,
    match_pattern,
)
from cryopick.picks import Picks, concatenate
from cryopick.runs.atomic_write import atomic_write

__all__ = [
    "per_micrograph_path",
    "read_picks",
    "read_picks_many",
    "read_picks_with_context",
    "read_star_context",
    "write_coordinate_list",
    "write_picks",
    "write_picks_per_micrograph",
]

_LOGGER = logging.getLogger(__name__)
_MAX_NAMES = 5  # files that a message names
_PICKS_ONLY = (".box", ".cbox", ".coord", ".pos", ".xy")  # suffixes that have no other use
_MAX_NAME_BYTES = 255  # bytes in a file name, on Linux and others


def read_picks(path: Path | str, *, format: str | None = None) -> Picks:
    """Read a table of picks, or all tables in a folder as one.

    The coordinate files listed in RELION's `autopick.star` are read in its place.

    Args:
        path: A table, or a folder of tables.
        format: One of `FORMATS`; None detects it from the content, or else from the suffix.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The format is unknown, or a line is malformed.
        SettingsError: `format` is not one of `FORMATS`.
    """
    path = Path(path)
    return read_picks_many([path], format=format)


def read_picks_many(paths: Sequence[Path], *, format: str | None = None) -> Picks:
    """Read several tables as one; a folder stands for its tables, sorted by name.

    A micrograph that several tables name becomes one micrograph, but two files that state their
    micrograph only in the file name must not share it.

    Raises:
        InputError: A file is missing, or a folder contains no table.
        FormatError: A file is malformed.
        UnmatchedError: Two files without names inside have the same stem.
    """
    return concatenate([picks for _, picks in _read_all(paths, format)])


def read_picks_with_context(
    paths: Sequence[Path], *, format: str | None = None
) -> tuple[Picks, StarContext]:
    """Read several tables as one, with the content around the picks of STAR files.

    Optics groups that differ are renumbered. Tables of other formats and files of one micrograph
    have no such content.

    Raises:
        InputError: A file is missing or cannot be read.
        FormatError: A file is malformed.
        SettingsError: Blocks other than the optics table differ between files.
        UnmatchedError: Two files without names inside have the same stem.
    """
    files = _read_all(paths, format)
    contexts = [_read_context(path, format) for path, _ in files]
    sources = [path for path, _ in files]
    tables, context = merge_contexts([picks for _, picks in files], contexts, sources)
    if len(tables) > 1 and context.others:
        groups = find_optics_groups(tables)
        tables = [assign_optics_groups(table, context, groups, sources[0]) for table in tables]
    return concatenate(tables), context


def _read_context(path: Path, format: str | None) -> StarContext:
    is_list = path.name.startswith("coords_suffix_")
    is_star = not is_list and _choose_codec(path, format) is star.CODEC
    return star.read_context(path) if is_star else StarContext()


def _read_all(paths: Sequence[Path], format: str | None) -> list[tuple[Path, Picks]]:
    tables: list[tuple[Path, Codec, Picks]] = []
    for path in drop_lists_of_others(paths):
        if path.is_dir():
            tables += _read_folder(path, format)
        elif matches := match_pattern(path):
            tables += _read_matches(matches, path, format)
        else:
            tables.append((path, *_read(path, format)))
    return _require_distinct(tables)


def _read_folder(folder: Path, format: str | None) -> list[tuple[Path, Codec, Picks]]:
    tables = _read_tables(list_tables(folder), folder, format)[0]
    if not tables:
        raise InputError(f"{folder}: this folder contains no table of picks ({' '.join(FORMATS)})")
    return tables


def _read_matches(
    paths: Sequence[Path], pattern: Path, format: str | None
) -> list[tuple[Path, Codec, Picks]]:
    tables, errors = _read_tables([p for p in paths if not p.is_dir()], pattern, format)
    for folder in (p for p in paths if p.is_dir()):
        tables += _read_folder(folder, format)
    if errors and not tables:
        raise errors[0]
    return tables


def _read_tables(
    paths: Sequence[Path], source: Path, format: str | None
) -> tuple[list[tuple[Path, Codec, Picks]], list[NotATableError]]:
    """Read the tables among files; the others are passed over with a message.

    Raises:
        FormatError: A table is damaged.
    """
    tables, errors, others = [], [], []
    for path in paths:
        try:
            tables.append((path, *_read(path, format)))
        except NotATableError as error:
            if path.name.lower().endswith(_PICKS_ONLY):
                raise  # a damaged table, and no file of another kind
            errors.append(error)
            others.append(path.name)
    if others and tables:
        names = ", ".join(others[:_MAX_NAMES]) + (", …" if len(others) > _MAX_NAMES else "")
        _LOGGER.warning("%s: passed over files without picks: %s", source, names)
    return tables, errors


def _require_distinct(files: Sequence[tuple[Path, Codec, Picks]]) -> list[tuple[Path, Picks]]:
    tables = []
    named_by: dict[str, Path] = {}
    for path, codec, picks in files:
        name = codec.name_from_file(path) if codec.name_from_file else ""
        if picks.micrographs == (name,):
            other = named_by.setdefault(name, path)
            if other != path:
                raise UnmatchedError(
                    f"{other} and {path} both hold picks of {name!r}: "
                    "use one of them, or tables that name micrographs by their paths"
                )
        tables.append((path, picks))
    return tables


def read_star_context(paths: Sequence[Path]) -> StarContext:
    """Read the content around the picks of STAR files, as `read_picks_with_context` does."""
    return read_picks_with_context(paths)[1]


def _read(path: Path, format: str | None) -> tuple[Codec, Picks]:
    is_list = path.name.startswith("coords_suffix_")
    codec = star.CODEC if is_list else _choose_codec(path, format)
    coordinate_files = find_coordinate_files(path) if codec is star.CODEC else {}
    if coordinate_files:
        return codec, _read_listed(coordinate_files, path)
    return codec, check_bounds(codec.read(path), path)


def _choose_codec(path: Path, format: str | None) -> Codec:
    return detect_codec(path) if format is None else find_codec(format)


def _read_listed(coordinate_files: dict[str, str], index: Path) -> Picks:
    """Read the coordinate files that an index lists, under the micrograph names given there."""
    folders = (index.parent, Path(), *index.resolve().parent.parents)
    tables = []
    for micrograph, file in coordinate_files.items():
        file_path = find_listed_file(file, folders, index)
        # never as an index, which might list itself
        picks = detect_codec(file_path).read(file_path)
        if len(picks.micrographs) != 1:
            raise FormatError(
                f"{index}: expected {file} to hold one micrograph, "
                f"found {len(picks.micrographs)}; read it separately"
            )
        tables.append(replace(picks, micrographs=(micrograph,)))
    return concatenate(tables)


def write_picks(
    picks: Picks,
    path: Path | str,
    *,
    format: str | None = None,
    overwrite: bool = False,
    box_px: int | None = None,
    layout: TableLayout | None = None,
) -> None:
    """Write a table to one file atomically.

    TSV, CSV and VIA name micrographs by their stems, or in full if two share a stem; STAR, .cs and
    JSON always in full. Coordinates have a precision of a thousandth of a pixel, scores nine
    digits. Micrographs without picks are listed only in JSON and VIA; use
    `write_picks_per_micrograph` to keep them.

    Args:
        picks: The table; coordinates must be finite.
        path: Output file.
        format: One of `FORMATS`; None chooses it by the suffix.
        overwrite: Overwrite an existing file.
        box_px: Side of the boxes, for `.box` and `.cbox`.
        layout: Further options of some formats.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
        SettingsError: The format is unknown, needs `box_px`, or cannot hold this table.
        FormatError: A name cannot be stored in this format.
        ValueError: A coordinate is not finite.
    """
    path = Path(path)
    codec = choose_output_codec(path) if format is None else find_codec(format)
    layout = replace(layout or TableLayout(), box_px=box_px)
    _write(picks, path, codec, layout, overwrite=overwrite)


def write_picks_per_micrograph(
    picks: Picks,
    folder: Path,
    *,
    format: str = "tsv",
    overwrite: bool = False,
    box_px: int | None = None,
    layout: TableLayout | None = None,
) -> list[Path]:
    """Write one file per micrograph, including those without picks.

    Returns:
        The files, in the order of the micrographs: `<stem>.tsv`, `<stem>_autopick.star`, …

    Raises:
        SettingsError: The format is unknown or needs `box_px`, or two micrographs share a stem.
        OutputExistsError: A file exists and `overwrite` is false; no file is written.
        FormatError: A name cannot be stored in this format, or used in a file name.
    """
    codec = find_codec(format)
    micrograph_of: dict[Path, str] = {}
    for name in picks.micrographs:
        path = per_micrograph_path(name, folder, format=format)
        other = micrograph_of.setdefault(path, name)
        if other != name:
            raise SettingsError(
                f"{other} and {name} would both be written to {path}: "
                "write one table, or the micrographs of each folder separately"
            )
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: already exists; overwrite it with --force")
    layout = replace(layout or TableLayout(), one_micrograph=True, box_px=box_px)
    for path, (_, rows) in zip(micrograph_of, picks.split_by_micrograph(), strict=True):
        _write(rows, path, codec, layout, overwrite=overwrite)
    return list(micrograph_of)


def per_micrograph_path(micrograph: str, folder: Path, *, format: str) -> Path:
    """Return the path that `write_picks_per_micrograph` uses for a micrograph.

    Raises:
        SettingsError: The format is unknown.
        FormatError: The name cannot be used in a file name.
    """
    codec = find_codec(format)
    return folder / _check_file_name(f"{codec.file_stem(micrograph)}{codec.ending}")


def write_coordinate_list(tables: Mapping[Path, Path], path: Path) -> None:
    """Write the list that RELION calls `autopick.star`, overwriting an existing one.

    Args:
        tables: Coordinate file of each micrograph; RELION expects both relative to its project
            folder.
        path: The list.
    """
    lines = ["", "# version 30001", "", "data_coordinate_files", "", "loop_"]
    lines += ["_rlnMicrographName #1", "_rlnMicrographCoordinates #2"]
    lines += [
        f"{quote_value(micrograph.as_posix())} {quote_value(table.as_posix())}"
        for micrograph, table in tables.items()
    ]
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("\n".join([*lines, "", ""]), encoding="utf-8")


def _check_file_name(name: str) -> str:
    """Check that a name from a table stays inside its folder as a file name.

    Raises:
        FormatError: It cannot be a file name.
    """
    if "\0" in name or "/" in name or len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        raise FormatError(
            f"the micrograph's name {name[:80]!r} cannot be used in a file name: "
            "rename the micrograph in the table"
        )
    return name


def _write(picks: Picks, path: Path, codec: Codec, layout: TableLayout, *, overwrite: bool) -> None:
    if not np.isfinite(picks.xy_px).all():
        raise ValueError("coordinates must be finite to be written")
    with atomic_write(path, overwrite=overwrite) as temporary:
        codec.write(picks, layout, temporary)
