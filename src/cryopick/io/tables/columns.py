"""Conversion between rows of text with a header and pick tables, shared by TSV and CSV.

- `parse_header`: standard names of the columns of a header.
- `split_rows`, `parse_blocks`: convert text to `Picks`, block by block.
- `is_header`: check whether a row of text names such columns.
- `STANDARD_NAMES`: names of the columns that are not carried.
- `render_rows`: convert `Picks` to header and rows.
- `row_width_error`: error for a row with the wrong number of fields.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError, NotATableError
from cryopick.io.tables.codec import (
    format_column,
    format_coordinates,
    format_scores,
    iterate_slices,
    line_error,
    number_columns,
    parse_floats,
    shorten_names,
)
from cryopick.io.tables.row_blocks import PicksBuilder
from cryopick.picks import Picks

__all__ = [
    "REQUIRED",
    "STANDARD_NAMES",
    "is_header",
    "parse_blocks",
    "parse_header",
    "render_rows",
    "row_width_error",
    "split_rows",
]

_MAX_COLUMNS = 1000  # several times as many as any program writes
_MAX_SHOWN = 300  # characters of column names in a message
Block = tuple[Sequence[Sequence[str]], Sequence[int]]  # columns of a block, and its line numbers
REQUIRED = ("image_name", "x_coord", "y_coord")
_ALIASES = {
    "micrograph": "image_name",
    "micrograph_name": "image_name",
    "x": "x_coord",
    "y": "y_coord",
}
STANDARD_NAMES = (*REQUIRED, *_ALIASES, "score")


def split_rows(
    names: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int], path: Path
) -> Block:
    """Convert rows of text to columns, after checking the number of fields in each row.

    Raises:
        FormatError: A row has too few or too many fields.
    """
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise row_width_error(path, line, names, row)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return columns, lines


def parse_blocks(names: Sequence[str], blocks: Iterable[Block], path: Path) -> Picks:
    """Convert columns of text to a table; columns have any order, unknown ones are carried.

    Args:
        names: Standard column names from `parse_header`.
        blocks: Blocks of rows: the fields of each column, and the line number of each row.
        path: The file, for messages.

    Raises:
        FormatError: A micrograph name is empty, or a field is not a valid number.
    """
    picks = PicksBuilder()
    for columns, lines in chain([([()] * len(names), ())], blocks):
        fields = dict(zip(names, columns, strict=True))
        micrographs = fields.pop("image_name")
        if not all(micrographs):
            line = next(line for line, name in zip(lines, micrographs, strict=True) if not name)
            raise line_error(path, line, "a micrograph name in the column image_name", "")
        xy_px = np.empty((len(micrographs), 2))
        for axis, name in enumerate(("x_coord", "y_coord")):
            xy_px[:, axis] = _parse_coordinates(fields.pop(name), name, lines, path)
        score = _parse_scores(fields.pop("score"), lines, path) if "score" in fields else None
        picks.add(xy_px, score, micrographs, fields)
    return picks.build()


def is_header(fields: Sequence[str]) -> bool:
    """Check whether a row of text names coordinate columns, so that a table may follow."""
    names = [_ALIASES.get(name, name) for name in fields]
    return any(name in names for name in REQUIRED)


def row_width_error(path: Path, line: int, names: Sequence[str], row: Sequence[str]) -> FormatError:
    """Build the error for a row with too few or too many fields."""
    text = " ".join(names)
    text = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    expected = f"{len(names)} columns ({text}); this line has {len(row)}"
    return line_error(path, line, expected, " ".join(row))


def parse_header(header: Sequence[str], path: Path) -> list[str]:
    """Convert the columns of a header to standard names; `micrograph`, `x` and `y` are aliases.

    Raises:
        FormatError: A required column is missing or a column appears twice.
    """
    if len(header) > _MAX_COLUMNS:
        raise FormatError(
            f"{path}: expected at most {_MAX_COLUMNS} columns, found {len(header)}; "
            "check that it is the right file"
        )
    cleaned = [name.strip() for name in header]
    names = [_ALIASES.get(name, name) for name in cleaned]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        expected = f"a header with the columns {', '.join(REQUIRED)}"
        raise NotATableError(
            f"{path}: expected {expected}, found {' '.join(cleaned)[:120]!r} without "
            f"{', '.join(missing)}; add a header line or name the format with --format"
        )
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise FormatError(f"{path}: the column {duplicates[0]} appears twice; remove or rename one")
    return names


def _parse_coordinates(
    values: Sequence[str], name: str, lines: Sequence[int], path: Path
) -> Float[np.ndarray, " rows"]:
    try:
        numbers = parse_floats(values)
    except ValueError:
        numbers = None
    if numbers is not None and np.isfinite(numbers).all():
        return numbers
    for value, line in zip(values, lines, strict=True):
        if not _is_finite(value):
            raise line_error(path, line, f"a finite number in the column {name}", value)
    raise AssertionError("each value is a number, yet the column is not")


def _is_finite(value: str) -> bool:
    try:
        return bool(np.isfinite(parse_floats([value])).all())
    except ValueError:
        return False


def _parse_scores(
    values: Sequence[str], lines: Sequence[int], path: Path
) -> Float[np.ndarray, " rows"]:
    """Parse scores; an empty field means no score."""
    try:
        return parse_floats(values)
    except ValueError:
        texts = [value if value.strip() else "nan" for value in values]
    try:
        return parse_floats(texts)
    except ValueError:
        for value, line in zip(texts, lines, strict=True):
            if value.lower() != "nan" and not _is_finite(value):
                raise line_error(path, line, "a number in the column score", value) from None
        raise


def render_rows(picks: Picks, *, forbidden: str) -> tuple[list[str], Iterator[Sequence[str]]]:
    """Return the header and the rows of a table, with micrographs named by their stems.

    The score column is omitted if no pick has a score. Micrographs without picks have no row: this
    format cannot list them.

    Raises:
        FormatError: A name or text contains one of the `forbidden` characters.
    """
    names = shorten_names(picks, forbidden=forbidden)
    is_scored = not len(picks) or not np.isnan(picks.score).all()
    _reject_characters(picks, forbidden)
    header = ["image_name", "x_coord", "y_coord", *(["score"] if is_scored else [])]
    header += number_columns(picks.extra, STANDARD_NAMES)
    return header, chain.from_iterable(
        _format_rows(part, names, is_scored=is_scored) for part in iterate_slices(picks)
    )


def _format_rows(picks: Picks, names: Sequence[str], *, is_scored: bool) -> Iterator[Sequence[str]]:
    """Format the rows of a slice of the table."""
    columns = [
        [names[i] for i in picks.index.tolist()],
        *map(format_coordinates, picks.xy_px.T),
        *([format_scores(picks.score)] if is_scored else []),
        *map(format_column, picks.extra.values()),
    ]
    return zip(*columns, strict=True)


def _reject_characters(picks: Picks, forbidden: str) -> None:
    for name, column in picks.extra.items():
        texts = [name, *(format_column(column) if column.dtype.kind not in "biuf" else ())]
        if any(sign in text for text in texts for sign in forbidden):
            raise FormatError(
                f"the column {name!r} contains a tab or a line break, which this format "
                "cannot store; write another format or drop the column"
            )
