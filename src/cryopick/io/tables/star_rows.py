"""Rows of long tables in STAR files, read in blocks.

gemmi keeps each value of a file as an object, which takes over a gigabyte for a million rows.
Tables of over a megabyte with one row per line and no comments, as programs write them, are
therefore split here; gemmi parses the rest of the file and the first row.

- `open_table`: blocks of a file, and the columns of one of its tables in parts.
- `keep_first_row`: the file without most rows of a long table, for what is around them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryopick.errors import FormatError
from cryopick.io.tables.codec import line_error
from cryopick.io.tables.row_blocks import BLOCK_CHARACTERS, iterate_lines
from cryopick.io.tables.star_text import Columns, escape_characters, parse_star

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["keep_first_row", "open_table"]

_MIN_CHARACTERS = BLOCK_CHARACTERS  # of the rows of a long table
_CHECKED_CHARACTERS = 1 << 16
# An unterminated value takes the rest of the line, so that it is searched once.
_WORDS = re.compile(r"""'(?:[^']|'(?=\S))*'(?!\S)|"(?:[^"]|"(?=\S))*"(?!\S)|['"].*|[^'"\s]\S*""")
_QUOTES = ("'", '"')
_QUOTED = re.compile(r"""'.*'|".*\"""")
_BLANK_LINE = re.compile(r"\n[ \t]*(?=\n)")


@dataclass(frozen=True, kw_only=True)
class _LongTable:
    """A table whose rows are lines of words.

    Attributes:
        text: The file.
        tags: Columns.
        start: Position of the rows in the text.
        end: Position after them.
        first_line: Line number of the first row.
    """

    text: str
    tags: tuple[str, ...]
    start: int
    end: int
    first_line: int

    def keep_first_row(self) -> str:
        """Return the file without the rows after the first."""
        row_end = self.text.index("\n", self.start)
        return self.text[:row_end] + self.text[self.end :]

    def iterate_columns(self, path: Path) -> Iterator[Columns]:
        """Yield the columns of one block of rows after another.

        Raises:
            FormatError: A row has too few or too many values.
        """
        width = len(self.tags)
        for number, lines in iterate_lines(
            self.text, start=self.start, end=self.end, first_line=self.first_line
        ):
            rows = [_split_words(escape_characters(line)) for line in lines]
            for i, row in enumerate(rows):
                if len(row) != width:
                    expected = f"{width} values (one for each column of the loop)"
                    expected = f"{expected}; this line has {len(row)}"
                    raise line_error(path, number + i, expected, lines[i])
                if row[-1].startswith(_QUOTES) and not _QUOTED.fullmatch(row[-1]):
                    raise line_error(path, number + i, "a quote at the end of a value", lines[i])
            yield dict(zip(self.tags, zip(*rows, strict=True), strict=True))


def open_table(
    text: str, tag: str, find: "Callable[[cif.Document], Columns]", path: Path
) -> "tuple[cif.Document, Iterator[Columns]]":
    """Parse a file whose table may be long.

    Args:
        text: The file.
        tag: A column of the table.
        find: Finds the columns of the table among the blocks; empty if there is none.
        path: The file, for messages.

    Returns:
        The blocks, in which a long table has only its first row, and parts of the columns of the
        table; one part unless it is long.

    Raises:
        FormatError: It is not a STAR file; also while the parts are read.
    """
    table = _find_long_table(text, tag) if len(text) >= _MIN_CHARACTERS else None
    if table is not None:
        try:
            blocks = parse_star(table.keep_first_row(), path)
            columns = find(blocks)
        except FormatError:
            pass  # raised again below, with the line number in the whole file
        else:
            if tuple(columns) == table.tags and len(columns[tag]) == 1:
                return blocks, table.iterate_columns(path)
    blocks = parse_star(text, path)
    return blocks, iter([find(blocks)])


def _split_words(line: str) -> list[str]:
    """Split a row into its values, with their quotes."""
    return _WORDS.findall(line) if "'" in line or '"' in line else line.split()


def keep_first_row(text: str, tag: str) -> str:
    """Return a file without the rows after the first of its long table, if it has one.

    Args:
        text: The file.
        tag: A column of the table.
    """
    table = _find_long_table(text, tag) if len(text) >= _MIN_CHARACTERS else None
    return text if table is None else table.keep_first_row()


def _find_long_table(text: str, tag: str) -> _LongTable | None:
    """Find a long table with a column; None if its rows may need the whole grammar."""
    match = re.search(rf"^{re.escape(tag)}(?=\s)", text, re.MULTILINE)
    if match is None:
        return None
    loop = text.rfind("\nloop_", 0, match.start())
    position = text.find("\n", loop + 1) + 1
    first_line = text.count("\n", 0, position) + 1
    tags = []
    while loop >= 0 and text.startswith("_", position):
        end = text.find("\n", position)
        words = text[position:end].split()
        if end < 0 or (len(words) > 1 and not words[1].startswith("#")):
            return None
        tags.append(words[0])
        position, first_line = end + 1, first_line + 1
    blank = _BLANK_LINE.search(text, position)
    end = blank.start() if blank else len(text) - text.endswith("\n")
    is_plain = (
        tag in tags
        and len(tags) > 1
        and end - position >= _MIN_CHARACTERS
        and not any(text.find(sign, position, end) >= 0 for sign in ("#", "\n;"))
        and not text.startswith(";", position)
    )
    if not is_plain or not _has_one_row_per_line(text, position, end, len(tags)):
        return None
    return _LongTable(text=text, tags=tuple(tags), start=position, end=end, first_line=first_line)


def _has_one_row_per_line(text: str, start: int, end: int, width: int) -> bool:
    """Check the first lines of rows; in a few files a row takes several lines."""
    stop = text.find("\n", min(end, start + _CHECKED_CHARACTERS), end)
    lines = text[start : end if stop < 0 else stop].split("\n")
    return all(len(_split_words(line)) == width for line in lines)
