"""Pick tables in and out, whatever their format.

- `read_picks`, `read_picks_many`: a table, or several as one.
- `read_star_frame`: what stands around the picks in STAR files, for a pass from STAR to STAR.
- `write_picks`, `write_picks_per_micrograph`: one file, or one for each micrograph.
- `table_of`: which one that is.
- `write_coordinate_list`: RELION's list of those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.errors import (
    FormatError,
    InputError,
    OutputExistsError,
    SettingsError,
    UnmatchedError,
)
from cryopick.io.inputs import look_up
from cryopick.io.tables import star
from cryopick.io.tables.codec import Codec, Layout, StarFrame
from cryopick.io.tables.formats import CODECS, FORMATS, codec_for, codec_named, codec_of
from cryopick.io.tables.star_text import quoted
from cryopick.picks import Picks, concatenate
from cryopick.runs.atomic_write import whole

__all__ = [
    "read_picks",
    "read_picks_many",
    "read_star_frame",
    "table_of",
    "write_coordinate_list",
    "write_picks",
    "write_picks_per_micrograph",
]

_LONGEST_NAME = 255  # bytes of a file's name, where Linux and others end


def read_picks(path: Path | str, *, format: str | None = None) -> Picks:
    """Read a table of picks, or every table in a folder as one.

    RELION's `autopick.star` is followed to the coordinate files that it lists.

    Args:
        path: A table, or a folder of tables.
        format: One of `FORMATS`; None tells it by the content, and by the suffix where that
            says nothing.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no table of a format we know, or a line of it is broken.
        SettingsError: `format` is not one of `FORMATS`.
    """
    path = Path(path)
    return read_picks_many([path], format=format) if path.is_dir() else _read(path, format)[1]


def read_picks_many(paths: Sequence[Path], *, format: str | None = None) -> Picks:
    """Read several tables as one; a folder stands for the tables in it, sorted by name.

    A micrograph that several tables name is one micrograph, but two files that only by their
    own name say which micrograph they hold are not to share it.

    Raises:
        InputError: A file is missing, or a folder holds no table.
        FormatError: A file is broken.
        UnmatchedError: Two files without names inside have the same stem.
    """
    tables = []
    named_by: dict[str, Path] = {}
    for path in _files(paths):
        codec, picks = _read(path, format)
        name = codec.name_from_file(path) if codec.name_from_file else ""
        if picks.micrographs == (name,):
            other = named_by.setdefault(name, path)
            if other != path:
                raise UnmatchedError(
                    f"{other} and {path} would both be the picks of {name!r}: "
                    "give one of them, or tables that name micrographs by their paths"
                )
        tables.append(picks)
    return concatenate(tables)


def read_star_frame(paths: Sequence[Path]) -> StarFrame:
    """Take up what stands around the picks in STAR files that are to become one.

    Tables of other formats, and files of one micrograph, have nothing around them.

    Raises:
        InputError: A file is missing or cannot be read.
        FormatError: A file is no STAR file.
        SettingsError: Two files differ in what stands around their picks.
    """
    frames: dict[StarFrame, Path] = {}
    for path in _files(paths):
        if codec_of(path) is star.CODEC:
            frame = star.frame_of(path)
            if frame.others or not frame.block:
                frames.setdefault(frame, path)
    if len({frame.others for frame in frames}) > 1:
        first, second = list(frames.values())[:2]
        raise SettingsError(
            f"{first} and {second} differ in their optics or other tables, so that one STAR file "
            "cannot keep both: convert them apart, or join them in RELION"
        )
    return next(iter(frames), StarFrame())


def _files(paths: Sequence[Path]) -> list[Path]:
    suffixes = {suffix for codec in CODECS.values() for suffix in codec.suffixes} - {".txt"}
    files = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.name.lower().endswith(tuple(suffixes)))
        inside = [p for p in inside if p.is_file() and not p.name.startswith(".")]
        if not inside:
            raise InputError(f"{path}: no table of picks in this folder ({' '.join(FORMATS)})")
        files += inside
    return files


def _read(path: Path, format: str | None) -> tuple[Codec, Picks]:
    codec = codec_of(path) if format is None else codec_named(format)
    listed = star.coordinate_files(path) if codec is star.CODEC else {}
    return codec, _follow(listed, path) if listed else codec.read(path)


def _follow(listed: dict[str, str], index: Path) -> Picks:
    """Read the coordinate files that an index lists, under the micrographs' names there."""
    places = (index.parent, Path(), *index.resolve().parent.parents)
    tables = []
    for micrograph, file in listed.items():
        found = look_up(file, places, index)
        picks = codec_of(found).read(found)  # not an index again: it might list itself
        if len(picks.micrographs) != 1:
            raise FormatError(
                f"{index}: expected {file} to hold one micrograph, "
                f"found {len(picks.micrographs)}; read it by itself"
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
    layout: Layout | None = None,
) -> None:
    """Write a table to one file, which appears whole or not at all.

    TSV, CSV and VIA name micrographs by their stems, or in full if two share a stem; STAR, .cs
    and JSON in full. Coordinates keep a thousandth of a pixel, scores nine digits. A micrograph
    without picks leaves no trace but in JSON and VIA; `write_picks_per_micrograph` keeps it.

    Args:
        picks: The table; coordinates must be finite.
        path: Where to write.
        format: One of `FORMATS`; None tells it by the suffix.
        overwrite: Replace a file that is there.
        box_px: Side of the boxes, for `.box` and `.cbox`.
        layout: What else a format may need.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
        SettingsError: The format is unknown, needs `box_px`, or cannot hold this table.
        FormatError: A name cannot be stored in this format.
        ValueError: A coordinate is not finite.
    """
    path = Path(path)
    codec = codec_for(path) if format is None else codec_named(format)
    layout = replace(layout or Layout(), box_px=box_px)
    _write(picks, path, codec, layout, overwrite=overwrite)


def write_picks_per_micrograph(
    picks: Picks,
    folder: Path,
    *,
    format: str = "tsv",
    overwrite: bool = False,
    box_px: int | None = None,
    layout: Layout | None = None,
) -> list[Path]:
    """Write one file for each micrograph, also for those without picks.

    Returns:
        The files, in the order of the micrographs: `<stem>.tsv`, `<stem>_autopick.star`, …

    Raises:
        SettingsError: The format is unknown or needs `box_px`, or two micrographs share a stem.
        OutputExistsError: One of the files exists and `overwrite` is false; none is written.
        FormatError: A name cannot be stored in this format, or be a file's.
    """
    codec = codec_named(format)
    owners: dict[Path, str] = {}
    for name in picks.micrographs:
        path = table_of(name, folder, format=format)
        other = owners.setdefault(path, name)
        if other != name:
            raise SettingsError(
                f"{other} and {name} would both be written to {path}: "
                "write one table, or the micrographs of each folder apart"
            )
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; replace it with --force")
    layout = replace(layout or Layout(), one_micrograph=True, box_px=box_px)
    for path, (_, rows) in zip(owners, picks.by_micrograph(), strict=True):
        _write(rows, path, codec, layout, overwrite=overwrite)
    return list(owners)


def table_of(micrograph: str, folder: Path, *, format: str) -> Path:
    """The file that `write_picks_per_micrograph` writes for a micrograph.

    Raises:
        SettingsError: The format is unknown.
        FormatError: The name cannot be a file's.
    """
    codec = codec_named(format)
    return folder / _file_name(f"{codec.file_stem(micrograph)}{codec.ending}")


def write_coordinate_list(tables: Mapping[Path, Path], path: Path) -> None:
    """Write the list that RELION keeps as `autopick.star`, in place of what is there.

    Args:
        tables: For each micrograph, its coordinate file; RELION wants both as seen from the folder
            of its project.
        path: The list.
    """
    lines = ["", "# version 30001", "", "data_coordinate_files", "", "loop_"]
    lines += ["_rlnMicrographName #1", "_rlnMicrographCoordinates #2"]
    lines += [
        f"{quoted(micrograph.as_posix())} {quoted(table.as_posix())}"
        for micrograph, table in tables.items()
    ]
    with whole(path, overwrite=True) as temporary:
        temporary.write_text("\n".join([*lines, "", ""]), encoding="utf-8")


def _file_name(name: str) -> str:
    """A name that stays in its folder; names in tables from elsewhere may be anything.

    Raises:
        FormatError: No file can have it.
    """
    if "\0" in name or "/" in name or len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise FormatError(
            f"the micrograph's name {name[:80]!r} cannot be part of a file's name: "
            "rename the micrograph in the table"
        )
    return name


def _write(picks: Picks, path: Path, codec: Codec, layout: Layout, *, overwrite: bool) -> None:
    if not np.isfinite(picks.xy_px).all():
        raise ValueError("coordinates must be finite to be written")
    with whole(path, overwrite=overwrite) as temporary:
        codec.write(picks, layout, temporary)
