"""Interface of the formats of pick tables, and text functions that they share.

A codec converts a file to `Picks` and `Picks` to a file; `formats` chooses the codec, and
`pick_tables` writes files atomically. Line numbers in messages start at 1.

- `Codec`, `TableLayout`, `StarContext`: interface of a format.
- `text_reader`, `text_writer`, `line_writer`: build a codec's functions from text functions.
- `iterate_slices`: split a long table into parts.
- `line_error`: error for a malformed line.
- `parse_floats`, `convert_words`, `parse_column`, `convert_to_floats`: strict conversion of text to
  numbers.
- `are_finite`: check a few numbers.
- `format_coordinates`, `format_scores`, `format_column`: conversion of numbers to short text.
- `shorten_names`, `require_one_micrograph`: micrograph names of a table.
- `number_columns`: distinct names of carried columns.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Shaped
from cryopick.errors import FormatError, SettingsError
from cryopick.io.names import micrograph_stem
from cryopick.picks import Picks
from cryopick.runs.text_files import read_text

__all__ = [
    "Codec",
    "StarContext",
    "TableLayout",
    "are_finite",
    "convert_to_floats",
    "convert_words",
    "format_column",
    "format_coordinates",
    "format_scores",
    "iterate_slices",
    "line_error",
    "line_writer",
    "number_columns",
    "parse_column",
    "parse_floats",
    "require_one_micrograph",
    "shorten_names",
    "text_reader",
    "text_writer",
]

_MAX_DIGITS = 20  # of an integer of 64 bits, with sign
_ROWS_PER_SLICE = 1 << 15  # about 10 MB of text


@dataclass(frozen=True, kw_only=True)
class StarContext:
    """Content of a STAR file around its picks.

    Attributes:
        block: Name of the block with the picks; "" is RELION's unnamed block.
        version: RELION's version number in the comment above it; None omits the comment.
        others: Text of all other blocks, such as the optics table, as it was in the file.
        provenance: Comment above all blocks that begins with the word cryopick: version, model and
            settings that made the picks; empty for the version that writes the file.
    """

    block: str = "particles"
    version: int | None = 30001
    others: str = ""
    provenance: str = ""


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """Options for writing a table.

    Attributes:
        one_micrograph: The file holds a single micrograph, which the file name states.
        box_px: Side of the boxes, for formats that store boxes.
        shapes_px: (height, width) of micrographs by name, for formats that store fractions.
        star: Content around the picks, for STAR files of several micrographs.
    """

    one_micrograph: bool = False
    box_px: int | None = None
    shapes_px: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    star: StarContext = StarContext()


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A format of pick tables.

    Attributes:
        name: Name of the format in options.
        suffixes: File name endings that select this format for writing; the first is preferred.
        matches_head: Tests whether the beginning of a file, as text, has this format.
        read: Reads a file; raises `InputError` or `FormatError`.
        write: Writes a table to a new file; raises `FormatError` or `SettingsError`.
        ending: Text after the stem in the name of a file for one micrograph.
        name_from_file: Names the micrograph of a file that does not state it; None for formats
            that always state it.
        file_stem: Derives the stem of a file for one micrograph from the micrograph name.
        is_single: A file holds at most one micrograph.
    """

    name: str
    suffixes: tuple[str, ...]
    matches_head: Callable[[str], bool]
    read: Callable[[Path], Picks]
    write: Callable[[Picks, TableLayout, Path], None]
    ending: str
    name_from_file: Callable[[Path], str] | None = None
    file_stem: Callable[[str], str] = micrograph_stem
    is_single: bool = False


def text_reader(parse: Callable[[str, Path], Picks]) -> Callable[[Path], Picks]:
    """Build a codec's `read` from a function that parses text; the path serves messages."""
    return lambda path: parse(read_text(path), path)


def text_writer(
    render: Callable[[Picks, TableLayout], str],
) -> Callable[[Picks, TableLayout, Path], None]:
    """Build a codec's `write` from a function that renders a table as text."""

    def write(picks: Picks, layout: TableLayout, path: Path) -> None:
        path.write_text(render(picks, layout), encoding="utf-8", newline="\n")

    return write


def line_writer(
    render: Callable[[Picks, TableLayout], Iterable[str]],
) -> Callable[[Picks, TableLayout, Path], None]:
    """Build a codec's `write` from a function that yields lines, which are never all in memory."""

    def write(picks: Picks, layout: TableLayout, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in render(picks, layout))

    return write


def iterate_slices(picks: Picks) -> Iterator[Picks]:
    """Split a table into parts that are small as text; each part lists all micrographs."""
    for start in range(0, len(picks), _ROWS_PER_SLICE):
        yield picks.select(np.arange(start, min(start + _ROWS_PER_SLICE, len(picks))))


def line_error(path: Path, line: int, expected: str, text: str) -> FormatError:
    """Build the error for a malformed line, quoting the line."""
    excerpt = text if len(text) <= 120 else text[:117] + "..."
    return FormatError(f"{path}:{line}: expected {expected}, found {excerpt!r}; correct that line")


def parse_floats(values: Sequence[str]) -> Float[np.ndarray, " values"]:
    """Convert text to numbers.

    Raises:
        ValueError: A text is not a plain number ("1_000" is valid in Python but not in tables).
    """
    return np.array(convert_words(values), dtype=np.float64)


def convert_words(values: Sequence[str]) -> list[float]:
    """Convert the words of a line to numbers, as `parse_floats` does.

    Raises:
        ValueError: A text is not a plain number.
    """
    if any("_" in value for value in values):
        raise ValueError("digits are grouped by underscores")
    return [float(value) for value in values]


def are_finite(values: Sequence[float]) -> bool:
    """Check that none of a few numbers is infinite or NaN; much faster than an array."""
    return all(map(math.isfinite, values))


def parse_column(values: Sequence[str]) -> Shaped[np.ndarray, " values"]:
    """Convert a carried column to integers or floats if its text can be restored, else keep it.

    Group names such as 1.10, 12e3 and 007 look like numbers and would come back as other text.

    >>> parse_column(["15494748553812943456"]), parse_column(["1.10", "2"])
    (array([15494748553812943456], dtype=uint64), array(['1.10', '2'], dtype='<U4'))
    """
    text = np.array(values, dtype=np.str_)
    try:
        floats = parse_floats(values)
    except ValueError:
        return text
    if all(value.lstrip("-").isdecimal() and len(value) <= _MAX_DIGITS for value in values):
        integers = [int(value) for value in values]
        minimum, maximum = min(integers, default=0), max(integers, default=0)
        for dtype in (np.int64, np.uint64):
            if np.iinfo(dtype).min <= minimum and maximum <= np.iinfo(dtype).max:
                return _unless_changed(np.array(integers, dtype=dtype), values, text)
        return text
    return _unless_changed(floats, values, text)


def _unless_changed(
    numbers: Shaped[np.ndarray, " values"],
    values: Sequence[str],
    text: Shaped[np.ndarray, " values"],
) -> Shaped[np.ndarray, " values"]:
    return numbers if format_column(numbers) == list(values) else text


def convert_to_floats(
    column: Shaped[np.ndarray, " values"],
) -> Float[np.ndarray, " values"] | None:
    """Convert a carried column, possibly text, to floats; None if it contains other text."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    try:
        return parse_floats(column.astype(np.str_).tolist())
    except ValueError:
        return None


def format_coordinates(values: Float[np.ndarray, " values"]) -> list[str]:
    """Format coordinates to a thousandth of a pixel, without trailing zeros.

    >>> format_coordinates(np.array([12.0, 0.5, -0.0001]))
    ['12', '0.5', '0']
    """
    if (values == np.round(values)).all():
        return [str(value) for value in values.astype(np.int64).tolist()]
    short = (f"{value:.3f}".rstrip("0").rstrip(".") for value in values.tolist())
    return ["0" if value == "-0" else value for value in short]


def format_scores(values: Float[np.ndarray, " values"]) -> list[str]:
    """Format scores with the nine digits of a float32."""
    return [f"{value:.9g}" for value in values.tolist()]


def format_column(values: Shaped[np.ndarray, " values"]) -> list[str]:
    """Format a column without loss of precision; a float32 takes nine digits."""
    if values.dtype.kind == "f":
        is_double = values.dtype.itemsize > 4
        return [repr(v) if is_double else f"{v:.9g}" for v in values.tolist()]
    if values.dtype.kind == "b":
        return [str(int(value)) for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def number_columns(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Give carried columns names that differ from those of a format and from each other.

    Upper and lower case do not distinguish names.

    >>> number_columns(["x", "class", ""], ["x", "y"])
    ['x_2', 'class', 'column']
    """
    used = {name.lower() for name in taken}
    distinct = []
    for name in names:
        base = name.strip() or "column"
        chosen, number = base, 1
        while chosen.lower() in used:
            number += 1
            chosen = f"{base}_{number}"
        used.add(chosen.lower())
        distinct.append(chosen)
    return distinct


def shorten_names(picks: Picks, *, forbidden: str) -> list[str]:
    """Name each micrograph by its stem, or by its full name if two share a stem.

    Raises:
        FormatError: A name contains one of the `forbidden` characters.
    """
    names = [micrograph_stem(name) for name in picks.micrographs]
    if len(set(names)) < len(names):
        names = list(picks.micrographs)
    for name in names:
        if any(sign in name for sign in forbidden):
            raise FormatError(
                f"the micrograph's name {name!r} contains a tab or a line break, "
                "which this format cannot store; rename the file"
            )
    return names


def require_one_micrograph(picks: Picks, kind: str) -> None:
    """Reject a table of several micrographs for a format that holds one.

    Raises:
        SettingsError: The table has more than one micrograph.
    """
    if len(picks.micrographs) > 1:
        raise SettingsError(
            f"{kind} holds one micrograph, the table has {len(picks.micrographs)}: "
            "write to a folder, one file per micrograph"
        )
