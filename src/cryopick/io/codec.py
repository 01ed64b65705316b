"""What every format of pick tables offers, and the text work that they share.

A codec turns text into `Picks` and `Picks` into text; opening and writing files is the
business of `tables`. Line numbers in messages begin at 1.

- `Codec`, `Layout`: the interface of a format.
- `broken`: the error for a line that breaks its format.
- `to_floats`, `to_column`: text to numbers, strictly.
- `coordinate_text`, `column_text`: numbers to short text.
- `short_names`: what a table that knows no paths calls its micrographs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from cryopick.errors import FormatError
from cryopick.io.names import stem_of
from cryopick.picks import Picks

__all__ = [
    "Codec",
    "Layout",
    "broken",
    "column_text",
    "coordinate_text",
    "short_names",
    "to_column",
    "to_floats",
]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a table is to be laid out.

    Attributes:
        one_micrograph: The file holds one micrograph alone, whose name the file carries.
        box_px: Side of the boxes, for formats that store boxes.
    """

    one_micrograph: bool = False
    box_px: int | None = None


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One format of pick tables.

    Attributes:
        name: What the user calls it.
        suffixes: File suffixes that mean this format when writing; the first is preferred.
        parse: Text and the path it came from to a table; raises `FormatError`.
        render: Table and layout to text; raises `FormatError` or `SettingsError`.
        ending: What follows the stem in the name of a file for one micrograph.
        name_from_file: What a file that names no micrograph calls its one micrograph; None
            for formats that always name them.
    """

    name: str
    suffixes: tuple[str, ...]
    parse: Callable[[str, Path], Picks]
    render: Callable[[Picks, Layout], str]
    ending: str
    name_from_file: Callable[[Path], str] | None = None


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
    """Turn text into whole numbers, else floats, else leave it as text."""
    try:
        floats = to_floats(values)
    except ValueError:
        return np.array(values, dtype=np.str_)
    are_whole = all(value.strip().lstrip("+-").isdecimal() for value in values)
    are_exact = (np.abs(floats) < 2.0**53).all()  # a float64 holds these whole numbers exactly
    return floats.astype(np.int64) if are_whole and are_exact else floats


def coordinate_text(values: Float[np.ndarray, " values"]) -> list[str]:
    """Write coordinates to a thousandth of a pixel, without trailing zeros.

    >>> coordinate_text(np.array([12.0, 0.5, -0.0001]))
    ['12', '0.5', '0']
    """
    if (values == np.round(values)).all():
        return [str(value) for value in values.astype(np.int64).tolist()]
    short = (f"{value:.3f}".rstrip("0").rstrip(".") for value in values.tolist())
    return ["0" if value == "-0" else value for value in short]


def column_text(values: Shaped[np.ndarray, " values"]) -> list[str]:
    """Write a column so that float32 values survive, which takes 9 digits."""
    if values.dtype.kind == "f":
        return [f"{value:.9g}" for value in values.tolist()]
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
