"""Rows of text under a header to a table of picks, and back: the common part of TSV and CSV.

- `column_names`: what a header calls its columns.
- `parse_rows`, `parse_columns`: text to `Picks`.
- `is_header`: whether a row of text names such columns.
- `render_rows`: `Picks` to header and rows.
- `wrong_width`: the error for a row of the wrong length.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError
from cryopick.io.tables.codec import (
    broken,
    column_text,
    coordinate_text,
    in_slices,
    score_text,
    short_names,
    to_column,
    to_floats,
)
from cryopick.picks import Picks

__all__ = [
    "REQUIRED",
    "column_names",
    "is_header",
    "parse_columns",
    "parse_rows",
    "render_rows",
    "wrong_width",
]

REQUIRED = ("image_name", "x_coord", "y_coord")
_ALIASES = {
    "micrograph": "image_name",
    "micrograph_name": "image_name",
    "x": "x_coord",
    "y": "y_coord",
}


def parse_rows(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    lines: Sequence[int],
    path: Path,
) -> Picks:
    """Turn rows of text into a table: `parse_columns` after a look at the rows' lengths.

    Raises:
        FormatError: A row has too few or too many fields, or as `parse_columns`.
    """
    names = column_names(header, path)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise wrong_width(path, line, names, row)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return parse_columns(names, columns, lines, path)


def parse_columns(
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    lines: Sequence[int],
    path: Path,
) -> Picks:
    """Turn columns of text into a table; columns come in any order, unknown ones are carried.

    Args:
        names: What `column_names` made of the header.
        columns: The fields of each column.
        lines: The line number of each row.
        path: The file, for messages.

    Raises:
        FormatError: A micrograph has no name, or a field is not the number it should be.
    """
    fields = dict(zip(names, columns, strict=True))
    micrographs = fields.pop("image_name")
    if not all(micrographs):
        line = next(line for line, name in zip(lines, micrographs, strict=True) if not name)
        raise broken(path, line, "a micrograph's name in the column image_name", "")
    xy_px = np.empty((len(micrographs), 2))
    for axis, name in enumerate(("x_coord", "y_coord")):
        xy_px[:, axis] = _coordinates(fields.pop(name), name, lines, path)
    score = _scores(fields.pop("score"), lines, path) if "score" in fields else None
    extra = {name: to_column(values) for name, values in fields.items()}
    return Picks.from_columns(micrographs, xy_px, score, extra)


def is_header(fields: Sequence[str]) -> bool:
    """Whether a row of text names coordinates, so that a table may follow."""
    names = [_ALIASES.get(name, name) for name in fields]
    return any(name in names for name in REQUIRED)


def wrong_width(path: Path, line: int, names: Sequence[str], row: Sequence[str]) -> FormatError:
    """Build the error for a row with too few or too many fields."""
    expected = f"{len(names)} columns ({' '.join(names)}); this line has {len(row)}"
    return broken(path, line, expected, " ".join(row))


def column_names(header: Sequence[str], path: Path) -> list[str]:
    """Name the columns of a header as we do; `micrograph`, `x` and `y` are known too.

    Raises:
        FormatError: A needed column is missing or a column comes twice.
    """
    cleaned = [name.strip() for name in header]
    names = [_ALIASES.get(name, name) for name in cleaned]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        expected = f"a header with the columns {', '.join(REQUIRED)}"
        raise FormatError(
            f"{path}: expected {expected}, found {' '.join(cleaned)[:120]!r} without "
            f"{', '.join(missing)}; add a header line or name the format with --format"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise FormatError(f"{path}: the column {twice[0]} comes twice; remove or rename one")
    return names


def _coordinates(
    values: Sequence[str], name: str, lines: Sequence[int], path: Path
) -> Float[np.ndarray, " rows"]:
    try:
        numbers = to_floats(values)
    except ValueError:
        numbers = None
    if numbers is not None and np.isfinite(numbers).all():
        return numbers
    for value, line in zip(values, lines, strict=True):
        if not _is_finite(value):
            raise broken(path, line, f"a finite number in the column {name}", value)
    raise AssertionError("each value is a number, yet the column is not")


def _is_finite(value: str) -> bool:
    try:
        return bool(np.isfinite(to_floats([value])).all())
    except ValueError:
        return False


def _scores(values: Sequence[str], lines: Sequence[int], path: Path) -> Float[np.ndarray, " rows"]:
    """Read scores; an empty field is a score that is not known."""
    try:
        return to_floats(values)
    except ValueError:
        filled = [value if value.strip() else "nan" for value in values]
    try:
        return to_floats(filled)
    except ValueError:
        for value, line in zip(filled, lines, strict=True):
            if value.lower() != "nan" and not _is_finite(value):
                raise broken(path, line, "a number in the column score", value) from None
        raise


def render_rows(picks: Picks, *, forbidden: str) -> tuple[list[str], Iterator[Sequence[str]]]:
    """Give the header and the rows of a table, micrographs by their stems.

    A score column is left out only where no pick has a score. Micrographs without picks have
    no row: this layout cannot name them.

    Raises:
        FormatError: A name or text holds one of the `forbidden` characters.
    """
    names = short_names(picks, forbidden=forbidden)
    is_scored = not len(picks) or not np.isnan(picks.score).all()
    _refuse_signs(picks, forbidden)
    header = ["image_name", "x_coord", "y_coord", *(["score"] if is_scored else []), *picks.extra]
    return header, chain.from_iterable(
        _texts(part, names, is_scored=is_scored) for part in in_slices(picks)
    )


def _texts(picks: Picks, names: Sequence[str], *, is_scored: bool) -> Iterator[Sequence[str]]:
    """Rows of text, of micrographs with these names."""
    columns = [
        [names[i] for i in picks.index.tolist()],
        *map(coordinate_text, picks.xy_px.T),
        *([score_text(picks.score)] if is_scored else []),
        *map(column_text, picks.extra.values()),
    ]
    return zip(*columns, strict=True)


def _refuse_signs(picks: Picks, forbidden: str) -> None:
    for name, column in picks.extra.items():
        texts = [name, *(column_text(column) if column.dtype.kind not in "biuf" else ())]
        if any(sign in text for text in texts for sign in forbidden):
            raise FormatError(
                f"the column {name!r} holds a tab or a line break, which this format cannot store; "
                "write another format or drop the column"
            )
