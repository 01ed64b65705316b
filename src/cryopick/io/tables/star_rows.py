"""Rows of tables in STAR files, read in blocks.

gemmi keeps each value of a file as an object, which takes over a gigabyte for a million rows, and
accepts a row with too many values if a later one has too few. Rows are therefore split here, and
gemmi parses the rest of the file. Comments, blank lines, and values and rows of several lines keep
their meaning, but each row must begin on a new line, as RELION requires.

- `open_table`: blocks of a file, and the columns of one of its tables in parts.
- `shorten_table`, `is_placeholder`: the file with one row for those of a table, for what is around
  them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cryopick.errors import FormatError
from cryopick.io.tables.codec import line_error
from cryopick.io.tables.row_blocks import BLOCK_CHARACTERS
from cryopick.io.tables.star_text import (
    Columns,
    escape_characters,
    has_text_fields,
    parse_star,
    remove_comment,
    split_line,
    starts_block,
)

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["is_placeholder", "open_table", "shorten_table"]

_PLACEHOLDER = "rows-of-table-"  # value in the row that stands for all rows, with a number
_MAX_COLUMNS = 1000  # several times as many as any program writes
_QUOTES = ("'", '"')
_QUOTED = re.compile(r"""'.*'|".*\"""")
# Lines that begin or end a text field, or may end the loop
_UNUSUAL_LINE = re.compile(
    r"\n(?:;|[ \t]*(?:_|data_|loop_|save_|stop_|global_))", re.IGNORECASE
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _TableRows:
    """Rows of a table, each of which begins on a new line.

    Attributes:
        text: The file.
        tags: Columns.
        start: Position of the rows in the text.
        end: Position after them.
        has_fields: Rows contain text fields, values of several lines between semicolons.
    """

    text: str
    tags: tuple[str, ...]
    start: int
    end: int
    has_fields: bool

    def iterate_columns(self, path: Path) -> Iterator[Columns]:
        """Yield the columns of one block of rows after another.

        Raises:
            FormatError: A row has too few or too many values.
        """
        splitter = _RowSplitter(width=len(self.tags), has_fields=self.has_fields, path=path)
        for first_line, block in self._iterate_blocks():
            if rows := splitter.split(first_line, block):
                yield dict(zip(self.tags, zip(*rows, strict=True), strict=True))
        splitter.finish()

    def _iterate_blocks(self) -> Iterator[tuple[int, str]]:
        """Yield blocks of lines that end outside text fields, with the number of the first line."""
        start, first_line = self.start, self.text.count("\n", 0, self.start) + 1
        while start < self.end:
            stop = self._find_line_end(start + BLOCK_CHARACTERS)
            if self.has_fields and self.text.count("\n;", start - 1, stop) % 2:
                stop = self._find_line_end(self.text.index("\n;", stop, self.end) + 1)
            yield first_line, self.text[start:stop]
            first_line += self.text.count("\n", start, stop) + 1
            start = stop + 1

    def _find_line_end(self, position: int) -> int:
        end = self.text.find("\n", min(position, self.end), self.end)
        return self.end if end < 0 else end


@dataclass(kw_only=True)
class _RowSplitter:
    """Splits blocks of lines into rows, one block after another."""

    width: int
    has_fields: bool
    path: Path
    _row: list[str] = field(default_factory=list)  # values of a row that further lines continue
    _row_start: tuple[int, int, str] = (0, 0, "")  # number of its first line, count of values, text

    def split(self, first_line: int, block: str) -> list[list[str]]:
        """Split a block of lines.

        Raises:
            FormatError: A row has too few or too many values.
        """
        lines = escape_characters(block).split("\n")
        if not (self._row or "#" in block or (self.has_fields and ";" in block)):
            rows = [split_line(line) for line in lines]
            is_whole = {len(row) for row in rows} == {self.width}
            if is_whole and not any(_is_open(row[-1]) for row in rows):
                return rows
        return list(self._join_lines(self._split_lines(first_line, lines)))

    def finish(self) -> None:
        """Check that the last row is complete.

        Raises:
            FormatError: It has too few values.
        """
        if self._row:
            number, count, text = self._row_start
            expected = f"{self.width} values (one for each column of the loop)"
            expected = f"{expected}; this line has {count}"
            raise line_error(self.path, number, expected, unquote(text))

    def _join_lines(self, lines: Iterable[tuple[int, str, list[str]]]) -> Iterator[list[str]]:
        """Join the values of lines to rows."""
        for number, line, words in lines:
            if not self._row and len(words) == self.width:
                yield words
                continue
            if not self._row:
                self._row, self._row_start = words, (number, len(words), line)
            else:
                self._row += words
            if len(self._row) > self.width:
                self.finish()
            if len(self._row) == self.width:
                yield self._row
                self._row = []

    def _split_lines(
        self, first_line: int, lines: Sequence[str]
    ) -> Iterator[tuple[int, str, list[str]]]:
        """Yield number, text and values of each line; a text field counts as its last line."""
        opened: list[str] = []  # lines of a text field
        for number, line in enumerate(lines, start=first_line):
            is_mark = self.has_fields and line.startswith(";")
            if opened and is_mark:
                words = ["\n".join([*opened, ";"]), *self._split_line(number, line[1:])]
                opened = []
                yield number, line, words
            elif opened or is_mark:
                opened.append(line)
            elif not line.startswith("#"):
                yield number, line, self._split_line(number, line)

    def _split_line(self, number: int, line: str) -> list[str]:
        row, sign, _ = line.partition(" #")
        if sign and "'" not in row and '"' not in row:  # most comments, found several times faster
            words = row.split()
            if len(words) == self.width:
                return words
        words = split_line(line)
        if "#" in line:
            words = remove_comment(words, self.width)
        if words and _is_open(words[-1]):
            raise line_error(self.path, number, "a quote at the end of a value", unquote(line))
        return words


def _is_open(word: str) -> bool:
    """Check for a quotation mark that is not closed."""
    return word.startswith(_QUOTES) and not _QUOTED.fullmatch(word)


def open_table(
    text: str, tag: str, find: "Callable[[cif.Document], Columns]", path: Path
) -> "tuple[cif.Document, Iterator[Columns]]":
    """Parse a file, and its table in parts.

    Args:
        text: The file.
        tag: A column of the table.
        find: Finds the columns of the table among the blocks; empty if there is none.
        path: The file, for messages.

    Returns:
        The blocks, in which the table has only one row, and parts of the columns of the table.

    Raises:
        FormatError: It is not a STAR file; also while the parts are read.
    """
    tables = list(_iterate_tables(text, tag))
    width = max((len(table.tags) for table in tables), default=0)
    if width > _MAX_COLUMNS:
        raise FormatError(
            f"{path}: expected at most {_MAX_COLUMNS} columns, found {width}; check that it is the "
            "right file"
        )
    if tables:
        try:
            blocks = parse_star(_replace_rows(text, tables), path)
            columns = find(blocks)
        except FormatError:
            pass  # raised again below, with the line number in the whole file
        else:
            value = next(iter(columns.get(tag, ())), "")  # a loop may have no rows
            if not is_placeholder(value):  # another table, or none
                return blocks, iter([columns])
            for number, table in enumerate(tables):
                if value == f"{_PLACEHOLDER}{number}" and table.tags == tuple(columns):
                    return blocks, table.iterate_columns(path)
    blocks = parse_star(text, path)
    return blocks, iter([find(blocks)])


def shorten_table(text: str, tag: str) -> str:
    """Return a file with one row for those of its table, unless several tables have the column.

    Args:
        text: The file.
        tag: A column of the table.
    """
    tables = list(_iterate_tables(text, tag))
    return _replace_rows(text, tables) if len(tables) == 1 else text


def _replace_rows(text: str, tables: Sequence[_TableRows]) -> str:
    """Replace the rows of each table by one, whose values state its number."""
    parts, position = [], 0
    for number, table in enumerate(tables):
        row = " ".join([f"{_PLACEHOLDER}{number}"] * len(table.tags))
        parts += [text[position : table.start], row]
        position = table.end
    return "".join([*parts, text[position:]])


def is_placeholder(value: str) -> bool:
    """Check for a value of the row that stands for those of a table."""
    return value.startswith(_PLACEHOLDER)


def _iterate_tables(text: str, tag: str) -> Iterator[_TableRows]:
    """Find the tables with a column, other than those that need the whole grammar of gemmi."""
    has_fields = "\n;" in text and has_text_fields(text)
    tag_line = re.compile(rf"\n[ \t]*{re.escape(tag)}(?=\s)")
    searched = 0
    while match := tag_line.search(text, searched):
        loop = text.rfind("loop_", searched, match.start())
        table = _find_rows(text, loop, has_fields=has_fields) if loop >= 0 else None
        if table and tag in table.tags and table.end > table.start:
            yield table
        searched = max(match.end(), table.end if table else 0)


def _find_rows(text: str, loop: int, *, has_fields: bool) -> _TableRows | None:
    """Find the columns of a loop and its rows; None if they need the whole grammar of gemmi."""
    line_start = text.rfind("\n", 0, loop) + 1
    tags: list[str] = []
    position = text.find("\n", loop) + 1
    if text[line_start : position or None].split()[:2] not in (["loop_"], ["loop_", "#"]):
        return None
    while 0 < position < len(text):
        end = text.find("\n", position)
        words = text[position : None if end < 0 else end].split()
        is_tag = words and words[0].startswith("_") and (not words[1:] or words[1].startswith("#"))
        if is_tag:
            tags.append(words[0])
        elif words and not words[0].startswith("#"):
            break
        position = end + 1
    if position == 0 or len(tags) < 2:
        return None
    stop = _find_end(text, position, len(tags), has_fields=has_fields)
    if stop is None:
        return None
    return _TableRows(
        text=text,
        tags=tuple(tags),
        start=position,
        end=_skip_comments_back(text, position, stop),
        has_fields=has_fields and text.find("\n;", position - 1, stop) >= 0,
    )


def _find_end(text: str, start: int, width: int, *, has_fields: bool) -> int | None:
    """Find the line after the rows of a loop; None if they need the whole grammar of gemmi."""
    position = start - 1
    while match := _UNUSUAL_LINE.search(text, position):
        line_end = text.find("\n", match.start() + 1)
        line_end = len(text) if line_end < 0 else line_end
        words = split_line(escape_characters(text[match.start() + 1 : line_end]))
        position = line_end
        if has_fields and match.group() == "\n;":
            closing = text.find("\n;", line_end)
            if closing < 0 or not (text[closing + 2 : closing + 3] or " ").isspace():
                return None
            position = closing + 2
        elif _ends_loop(words, width):
            return None if words[0].startswith(";") else match.start() + 1
    return len(text)


def _ends_loop(words: list[str], width: int) -> bool:
    is_alone = len(words) == 1 or words[1].startswith("#")
    if is_alone and (starts_block(words[0]) or words[0].lower() == "loop_"):
        return True
    return len(remove_comment(words, width)) != width


def _skip_comments_back(text: str, start: int, end: int) -> int:
    """Return the end of the last line that is neither blank nor a comment."""
    while end > start:
        line_start = text.rfind("\n", start, end - 1) + 1 or start
        line = text[line_start:end].strip()
        if line and not line.startswith("#"):
            return end - text.endswith("\n", line_start, end)
        end = line_start
    return start
