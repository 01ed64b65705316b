"""What every format of pick tables offers, and the text work that they share.

A codec turns a file into `Picks` and `Picks` into a file; which codec is meant, and outputs
that appear whole, are the business of `formats` and `tables`. Line numbers in messages begin
at 1.

- `Codec`, `Layout`, `StarFrame`: the interface of a format.
- `reads_text`, `writes_text`, `writes_lines`: a codec's functions from text to table and back.
- `in_slices`: a long table a part at a time.
- `broken`: the error for a line that breaks its format.
- `to_floats`, `to_column`: text to numbers, strictly.
- `coordinate_text`, `score_text`, `column_text`: numbers to short text.
- `short_names`, `only_micrograph`: what a table calls its micrographs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Shaped
from cryopick.errors import FormatError, SettingsError
from cryopick.io.names import stem_of
from cryopick.picks import Picks
from cryopick.runs.text_files import read_text

__all__ = [
    "Codec",
    "Layout",
    "StarFrame",
    "broken",
    "column_text",
    "coordinate_text",
    "in_slices",
    "only_micrograph",
    "reads_text",
    "score_text",
    "short_names",
    "to_column",
    "to_floats",
    "writes_lines",
    "writes_text",
]

_ROWS_AT_ONCE = 1 << 15  # as text they take some 10 MB


@dataclass(frozen=True, kw_only=True)
class StarFrame:
    """What stands around the picks in a STAR file.

    Attributes:
        block: Name of the block that holds the picks; "" is RELION's unnamed block.
        version: RELION's number in the comment above it; None leaves the comment out.
        others: Text of all other blocks, such as the optics table, as it stood in the file.
    """

    block: str = "particles"
    version: int | None = 30001
    others: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a table is to be laid out.

    Attributes:
        one_micrograph: The file holds one micrograph alone, whose name the file carries.
        box_px: Side of the boxes, for formats that store boxes.
        shapes_px: (height, width) of micrographs by name, for formats that store fractions.
        star: What to write around the picks, for STAR files of several micrographs.
    """

    one_micrograph: bool = False
    box_px: int | None = None
    shapes_px: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    star: StarFrame = StarFrame()


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One format of pick tables.

    Attributes:
        name: What the user calls it.
        suffixes: Ends of file names that mean this format when writing; the first is preferred.
        recognises: Whether the beginning of a file, as text, is of this format.
        read: File to table; raises `InputError` or `FormatError`.
        write: Table and layout to a new file; raises `FormatError` or `SettingsError`.
        ending: What follows the stem in the name of a file for one micrograph.
        name_from_file: What a file that names no micrograph calls its one micrograph; None
            for formats that always name them.
        file_stem: What the name of a file for one micrograph begins with.
        holds_one: A file cannot hold more than one micrograph.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[str], bool]
    read: Callable[[Path], Picks]
    write: Callable[[Picks, Layout, Path], None]
    ending: str
    name_from_file: Callable[[Path], str] | None = None
    file_stem: Callable[[str], str] = stem_of
    holds_one: bool = False


def reads_text(parse: Callable[[str, Path], Picks]) -> Callable[[Path], Picks]:
    """Make a codec's `read` of a function from text, and the path it came from, to a table."""
    return lambda path: parse(read_text(path), path)


def writes_text(
    render: Callable[[Picks, Layout], str],
) -> Callable[[Picks, Layout, Path], None]:
    """Make a codec's `write` of a function from table and layout to text."""

    def write(picks: Picks, layout: Layout, path: Path) -> None:
        path.write_text(render(picks, layout), encoding="utf-8", newline="\n")

    return write


def writes_lines(
    render: Callable[[Picks, Layout], Iterable[str]],
) -> Callable[[Picks, Layout, Path], None]:
    """The same of a function to lines, which are never held all at once."""

    def write(picks: Picks, layout: Layout, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in render(picks, layout))

    return write


def in_slices(picks: Picks) -> Iterator[Picks]:
    """Cut a table into parts of which each is small as text; all micrographs stay in each."""
    for start in range(0, len(picks), _ROWS_AT_ONCE):
        yield picks.select(np.arange(start, min(start + _ROWS_AT_ONCE, len(picks))))


def broken(path: Path, line: int, expected: str, text: str) -> FormatError:
    """Build the error for a line that breaks its format, with the line in it."""
    shown = text if len(text) <= 120 else text[:117] + "..."
    return FormatError(f"{path}:{line}: expected {expected}, found {shown!r}; mend that line")


def to_floats(values: Sequence[str]) -> Float[np.ndarray, " values"]:
    """Turn text into numbers.

    Raises:
        ValueError: One of them is not a plain number ("1_000" is Python's, not a table's).
    """
    if any("_" in value for value in values):
        raise ValueError("digits are grouped by underscores")
    return np.array([float(value) for value in values], dtype=np.float64)


def to_column(values: Sequence[str]) -> Shaped[np.ndarray, " values"]:
    """Turn text into whole numbers, else floats, else leave it as text.

    What would not come back as it was stays text: numbers with leading zeros are names, and
    whole numbers beyond 64 bits have no type here.

    >>> to_column(["15494748553812943456"]), to_column(["007", "1"])
    (array([15494748553812943456], dtype=uint64), array(['007', '1'], dtype='<U3'))
    """
    try:
        floats = to_floats(values)
    except ValueError:
        return np.array(values, dtype=np.str_)
    digits = [value.strip().lstrip("+-") for value in values]
    if not all(value.isdecimal() for value in digits):
        return floats
    if any(len(value) > 1 and (value[0] == "0" or len(value) > 20) for value in digits):
        return np.array(values, dtype=np.str_)
    whole = [int(value) for value in values]
    low, high = min(whole, default=0), max(whole, default=0)
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.array(whole, dtype=kind)
    return np.array(values, dtype=np.str_)


def coordinate_text(values: Float[np.ndarray, " values"]) -> list[str]:
    """Write coordinates to a thousandth of a pixel, without trailing zeros.

    >>> coordinate_text(np.array([12.0, 0.5, -0.0001]))
    ['12', '0.5', '0']
    """
    if (values == np.round(values)).all():
        return [str(value) for value in values.astype(np.int64).tolist()]
    short = (f"{value:.3f}".rstrip("0").rstrip(".") for value in values.tolist())
    return ["0" if value == "-0" else value for value in short]


def score_text(values: Float[np.ndarray, " values"]) -> list[str]:
    """Write scores to the nine digits that a float32 needs."""
    return [f"{value:.9g}" for value in values.tolist()]


def column_text(values: Shaped[np.ndarray, " values"]) -> list[str]:
    """Write a column so that every value survives; a float32 takes nine digits."""
    if values.dtype.kind == "f":
        is_double = values.dtype.itemsize > 4
        return [repr(v) if is_double else f"{v:.9g}" for v in values.tolist()]
    if values.dtype.kind == "b":
        return [str(int(value)) for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def short_names(picks: Picks, *, forbidden: str) -> list[str]:
    """Name each micrograph by its stem, or by its full name if two share a stem.

    Raises:
        FormatError: A name holds one of the `forbidden` characters.
    """
    names = [stem_of(name) for name in picks.micrographs]
    if len(set(names)) < len(names):
        names = list(picks.micrographs)
    for name in names:
        if any(sign in name for sign in forbidden):
            raise FormatError(
                f"the micrograph's name {name!r} holds a tab or a line break, "
                "which this format cannot store; rename the file"
            )
    return names


def only_micrograph(picks: Picks, kind: str) -> None:
    """Refuse a table of several micrographs for a format that holds one.

    Raises:
        SettingsError: The table has more than one micrograph.
    """
    if len(picks.micrographs) > 1:
        raise SettingsError(
            f"{kind} holds one micrograph, the table has {len(picks.micrographs)}: "
            "write to a folder, one file per micrograph"
        )
