"""Pick tables in and out, whatever their format.

- `CODECS`, `FORMATS`: every format by name; a new one is one line here.
- `read_picks`, `read_picks_many`: a table, or several as one.
- `write_picks`, `write_picks_per_micrograph`: one file, or one for each micrograph.
"""

from collections.abc import Sequence
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
from cryopick.io import box, csv_table, star, tsv
from cryopick.io.codec import Codec, Layout
from cryopick.io.columns import REQUIRED
from cryopick.io.files import look_up, read_text, whole
from cryopick.io.names import stem_of
from cryopick.picks import Picks, concatenate

__all__ = [
    "CODECS",
    "FORMATS",
    "read_picks",
    "read_picks_many",
    "write_picks",
    "write_picks_per_micrograph",
]

CODECS = {codec.name: codec for codec in (tsv.CODEC, csv_table.CODEC, star.CODEC, box.CODEC)}
FORMATS = tuple(CODECS)


def read_picks(path: Path, *, format: str | None = None) -> Picks:
    """Read a table of picks, or every table in a folder as one.

    RELION's `autopick.star` is followed to the coordinate files that it lists.

    Args:
        path: A table, or a folder of tables.
        format: One of `FORMATS`; None tells it by the suffix, or by the content where the
            suffix (such as .txt) says nothing.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no table of a format we know, or a line of it is broken.
        SettingsError: `format` is not one of `FORMATS`.
    """
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
    suffixes = {suffix for codec in CODECS.values() for suffix in codec.suffixes} - {".txt"}
    tables = []
    named_by: dict[str, Path] = {}
    for path in _files(paths, tuple(suffixes)):
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


def _files(paths: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    files = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix in suffixes and p.is_file())
        inside = [p for p in inside if not p.name.startswith(".")]
        if not inside:
            raise InputError(f"{path}: no table of picks in this folder ({' '.join(FORMATS)})")
        files += inside
    return files


def _read(path: Path, format: str | None) -> tuple[Codec, Picks]:
    text = read_text(path)
    codec = _recognise(path, text) if format is None else _codec(format)
    listed = star.coordinate_files(text, path) if codec is star.CODEC else {}
    return codec, _follow(listed, path) if listed else codec.parse(text, path)


def _follow(listed: dict[str, str], index: Path) -> Picks:
    """Read the coordinate files that an index lists, under the micrographs' names there."""
    places = (index.parent, Path(), *index.resolve().parent.parents)
    tables = []
    for micrograph, file in listed.items():
        picks = read_picks(look_up(file, places, index))
        if len(picks.micrographs) != 1:
            raise FormatError(
                f"{index}: expected {file} to hold one micrograph, "
                f"found {len(picks.micrographs)}; read it by itself"
            )
        tables.append(replace(picks, micrographs=(micrograph,)))
    return concatenate(tables)


def _recognise(path: Path, text: str) -> Codec:
    """Tell the format by the suffix, or by the first line that counts."""
    suffix = path.suffix.lower()
    for codec in CODECS.values():
        if suffix == codec.suffixes[0]:
            return codec
    lines = (line.strip() for line in text.split("\n"))
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.startswith(("data_", "loop_")):
        return star.CODEC
    if first and all(_is_number(field) for field in first.split()):
        return box.CODEC
    if "," in first:
        return csv_table.CODEC
    if first.split() and set(REQUIRED) & set(first.split()):
        return tsv.CODEC
    raise FormatError(
        f"{path}: expected a table of picks ({', '.join(FORMATS)}), found {first[:120]!r}; "
        "name its format with --format"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _codec(format: str) -> Codec:
    if format not in CODECS:
        raise SettingsError(f"expected a format of {', '.join(FORMATS)}; got {format!r}")
    return CODECS[format]


def write_picks(
    picks: Picks,
    path: Path,
    *,
    format: str | None = None,
    overwrite: bool = False,
    box_px: int | None = None,
) -> None:
    """Write a table to one file, which appears whole or not at all.

    TSV and CSV name micrographs by their stems, or in full if two share a stem; STAR in full.
    Coordinates keep a thousandth of a pixel, scores nine digits. A micrograph without picks
    leaves no trace here; `write_picks_per_micrograph` keeps it.

    Args:
        picks: The table; coordinates must be finite.
        path: Where to write.
        format: One of `FORMATS`; None tells it by the suffix.
        overwrite: Replace a file that is there.
        box_px: Side of the boxes, for `.box` alone.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
        SettingsError: The format is unknown, needs `box_px`, or cannot hold this table.
        FormatError: A name cannot be stored in this format.
        ValueError: A coordinate is not finite.
    """
    codec = _codec_for_writing(path) if format is None else _codec(format)
    _write(picks, path, codec, Layout(box_px=box_px), overwrite=overwrite)


def write_picks_per_micrograph(
    picks: Picks,
    folder: Path,
    *,
    format: str = "tsv",
    overwrite: bool = False,
    box_px: int | None = None,
) -> list[Path]:
    """Write one file for each micrograph, also for those without picks.

    Returns:
        The files, in the order of the micrographs: `<stem>.tsv`, `<stem>_autopick.star`, …

    Raises:
        SettingsError: The format is unknown or needs `box_px`, or two micrographs share a stem.
        OutputExistsError: One of the files exists and `overwrite` is false; none is written.
        FormatError: A name cannot be stored in this format.
    """
    codec = _codec(format)
    owners: dict[Path, str] = {}
    for name in picks.micrographs:
        path = folder / f"{stem_of(name)}{codec.ending}"
        other = owners.setdefault(path, name)
        if other != name:
            raise SettingsError(
                f"{other} and {name} would both be written to {path}: "
                "write one table, or the micrographs of each folder apart"
            )
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; replace it with --force")
    layout = Layout(one_micrograph=True, box_px=box_px)
    for path, (_, rows) in zip(owners, picks.by_micrograph(), strict=True):
        _write(rows, path, codec, layout, overwrite=overwrite)
    return list(owners)


def _codec_for_writing(path: Path) -> Codec:
    for codec in CODECS.values():
        if path.suffix.lower() in codec.suffixes:
            return codec
    known = " ".join(suffix for codec in CODECS.values() for suffix in codec.suffixes)
    raise SettingsError(
        f"{path}: expected a suffix of {known}, found {path.suffix!r}; "
        f"name the format with --format ({', '.join(FORMATS)})"
    )


def _write(picks: Picks, path: Path, codec: Codec, layout: Layout, *, overwrite: bool) -> None:
    if not np.isfinite(picks.xy_px).all():
        raise ValueError("coordinates must be finite to be written")
    text = codec.render(picks, layout)
    with whole(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
