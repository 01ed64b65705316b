"""Text of STAR files, parsed by gemmi: blocks, columns, and messages with line numbers.

gemmi accepts ASCII only, so other characters are converted to and from %XX.

- `Columns`: columns of one table, as text.
- `escape_characters`: escape what gemmi rejects.
- `parse_star`, `find_block`, `find_columns`: parse a file, and find a table.
- `split_line`, `remove_comment`, `starts_block`, `has_text_fields`: grammar of a line.
- `unquote_values`, `quote_value`: remove and add quotes.
- `parse_numbers`: strict conversion of a column to numbers.
- `split_blocks`: text of each block as in the file.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError
from cryopick.io.tables.codec import line_error, parse_floats

if TYPE_CHECKING:
    from gemmi import cif

__all__ = [
    "Columns",
    "escape_characters",
    "find_block",
    "find_columns",
    "has_text_fields",
    "parse_numbers",
    "parse_star",
    "quote_value",
    "remove_comment",
    "split_blocks",
    "split_line",
    "starts_block",
    "unquote_values",
]

Columns = dict[str, Sequence[str]]
_UNKNOWN = (".", "?")  # mean no value in CIF; RELION takes them literally
_UNQUOTED = re.compile(
    r"(?!(data|save|loop|stop|global)_)[a-z0-9/][\w./+@-]*", re.ASCII | re.IGNORECASE
)

# An unterminated value takes the rest of the line, so that it is searched once.
_WORDS = re.compile(r"""'(?:[^']|'(?=\S))*'(?!\S)|"(?:[^"]|"(?=\S))*"(?!\S)|['"].*|[^'"\s]\S*""")
_RESERVED = re.compile(r"(?:data|save|loop|stop|global)_|[_$;#]", re.IGNORECASE)
_MAX_SHOWN = 300  # characters of names of blocks in a message
_FIELD_END = re.compile(r"\n;(?=\s|$)")
_RESERVED_WORD = re.compile(r"(?<!\S)(?:(?:data|save|loop|stop|global)_|[_$#;])\S", re.IGNORECASE)
# A comment, a tag alone, or the beginning of a block or loop
_USUAL_LINE = re.compile(
    r"[ \t]*(?:_\S+[ \t]*(?:#|$)|#|data_[^\s/.]*[ \t]*$|loop_[ \t]*$)", re.IGNORECASE
)


def parse_star(text: str, path: Path) -> "cif.Document":
    """Parse a STAR file; characters that gemmi rejects are escaped as %XX.

    RELION's grammar is simpler than CIF's: a line of a loop with one word per column is a row, even
    if words begin with `data_`, `_`, `$` or another reserved beginning. These are escaped too.
    Percent signs are escaped as well, so that nothing else is taken for an escape.
    """
    from gemmi import cif

    text = escape_characters(text)
    if _has_unusual_value(text):
        text = escape_values(text)
    try:
        return cif.read_string(text)
    except (ValueError, RuntimeError) as error:  # the latter for a duplicate block or tag
        for line, tags, values in _loop_rows(text):
            if len(values) != len(tags):
                expected = f"{len(tags)} values (one for each column of the loop)"
                raise line_error(
                    path, line, f"{expected}; this line has {len(values)}", " ".join(values)
                ) from None
        match = re.match(r"[^:]*:(\d+):[^:]*: *(.*)", str(error), re.DOTALL)
        line_number, reason = match.groups() if match else ("1", str(error))
        raise FormatError(
            f"{path}:{line_number}: expected a STAR file: {reason}; correct it"
        ) from None


def _has_unusual_value(text: str) -> bool:
    """Check for a value in a row or pair that begins like something else in CIF."""
    position = 0
    while match := _RESERVED_WORD.search(text, position):
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.start())
        end = len(text) if end < 0 else end
        if not _USUAL_LINE.match(text, start, end):
            return True
        position = end + 1
    return False


def escape_characters(text: str) -> str:
    """Escape characters that gemmi rejects, and percent signs, as %XX."""
    if text.isascii() and "%" not in text:
        return text
    return re.sub(r"[^\x00-\x7f]|%", lambda match: quote(match.group()), text)


def escape_values(text: str) -> str:
    """Escape the first character of values in rows of loops that CIF reserves."""
    lines = text.split("\n")
    is_with_fields = has_text_fields(text)
    width, in_loop, in_rows, in_field = 0, False, False, False
    for number, line in enumerate(lines):
        words = split_line(line)
        is_field_end = is_with_fields and line.startswith(";")
        in_field ^= is_field_end
        if in_field or is_field_end or not words or words[0].startswith("#"):
            continue
        is_alone = len(words) == 1 or words[1].startswith("#")
        row = remove_comment(words, width) if in_loop else words
        if is_alone and words[0] == "loop_":
            width, in_loop, in_rows = 0, True, False
        elif in_loop and not in_rows and is_alone and words[0].startswith("_"):
            width += 1
        elif in_loop and len(row) == width and not (is_alone and starts_block(words[0])):
            in_rows = True
            lines[number] = " ".join(_escape_value(word) for word in row)
        elif (is_alone and starts_block(words[0])) or (in_rows and words[0].startswith("_")):
            in_loop = False
    return "\n".join(lines)


def _escape_value(word: str) -> str:
    return f"%{ord(word[0]):02X}{word[1:]}" if _RESERVED.match(word) else word


def split_line(line: str) -> list[str]:
    """Split a line into values with their quotes, and the words of a comment."""
    return _WORDS.findall(line) if "'" in line or '"' in line else line.split()


def remove_comment(words: list[str], width: int) -> list[str]:
    """Remove the comment at the end of a row.

    A row with one word per column may have values that begin with a number sign, except the first.

    >>> remove_comment(["1", "2", "#", "twice"], 2), remove_comment(["1", "#2.mrc"], 2)
    (['1', '2'], ['1', '#2.mrc'])
    """
    signs = [i for i, word in enumerate(words) if word.startswith("#")]
    is_value = len(words) == width and all(len(words[i]) > 1 for i in signs)
    return words if not signs or (signs[0] and is_value) else words[: signs[0]]


def starts_block(word: str) -> bool:
    """Check for the beginning of a block, rather than a path such as data_2024/a.mrc."""
    return word.lower().startswith("data_") and not ("/" in word or "." in word)


def has_text_fields(text: str) -> bool:
    """Check for values of several lines, each of which ends with a semicolon at a line's beginning.

    A semicolon that other characters follow may also begin a row.
    """
    return _FIELD_END.search(text) is not None


def find_columns(block: "cif.Block", tag: str) -> Columns:
    """Return the columns of the loop that has `tag`, or a single row written as pairs."""
    loop = block.find_loop(tag).get_loop()
    if loop is None:
        pairs = (item.pair for item in block if item.pair is not None)
        return {unquote(name): (value,) for name, value in pairs}
    values, width = loop.values, loop.width()
    return {unquote(name): values[i::width] for i, name in enumerate(loop.tags)}


def find_block(blocks: "cif.Document", tags: Sequence[str], path: Path) -> tuple[str, Columns]:
    """Find the table with all tags; `data_particles` and then unnamed blocks are preferred.

    Returns:
        Name and columns of the block; without such a table, all names and no columns.
    """
    tables = [(block.name.strip(), find_columns(block, tags[0])) for block in blocks]
    names = ", ".join(name for name, _ in tables if name)
    tables = [(name, columns) for name, columns in tables if all(tag in columns for tag in tags)]
    for preferred in ("particles", "micrographs", ""):
        for name, columns in tables:
            if name == preferred:
                return name, columns
    if len(tables) > 1:
        block_names = ", ".join(name for name, _ in tables)[:_MAX_SHOWN]
        raise FormatError(
            f"{path}: expected one table with {tags[0].removeprefix('_')}, found it in the blocks "
            f"{block_names}; keep one of them, or name it data_particles"
        )
    return tables[0] if tables else (names, {})


def unquote_values(values: Sequence[str]) -> list[str]:
    """Remove quotes and escapes, once per distinct value."""
    from gemmi import cif

    texts = {v: v if v in _UNKNOWN else unquote(cif.as_string(v)) for v in set(values)}
    return [texts[value] for value in values]


def parse_numbers(
    values: Sequence[str], tag: str, text: str, path: Path, *, finite: bool = True
) -> Float[np.ndarray, " rows"]:
    """Convert a column of text to numbers.

    Args:
        values: The column.
        tag: Its name, with the underscore.
        text: The whole file, to find the malformed line.
        path: The file, for messages.
        finite: Also reject NaN and infinity.

    Raises:
        FormatError: A value is not a valid number.
    """
    try:
        parsed = parse_floats(values)
    except ValueError:
        pass
    else:
        if not finite or np.isfinite(parsed).all():
            return parsed
    expected = f"a {'finite ' * finite}number in the column {tag.removeprefix('_')}"
    for line, tags, row in _loop_rows(text):
        is_one_line = tag in tags and len(row) == len(tags)  # a row may span several lines
        if is_one_line and not _is_number(row[tags.index(tag)], finite=finite):
            raise line_error(path, line, expected, " ".join(row))
    raise FormatError(f"{path}: expected {expected}, found other text; correct the file")


def _is_number(value: str, *, finite: bool) -> bool:
    try:
        number = parse_floats([value])
    except ValueError:
        return False
    return not finite or bool(np.isfinite(number).all())


def _loop_rows(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield line number, columns and values of each row, for files with one row per line.

    Serves messages only: gemmi reads the values but does not keep line numbers.
    """
    tags: list[str] = []
    in_loop = in_rows = False
    for number, line in enumerate(text.split("\n"), start=1):
        values = split_line(line)
        if not values or values[0].startswith("#"):
            continue
        if values[0] == "loop_":
            tags, in_loop, in_rows = [], True, False
        elif values[0].startswith("data_") and len(values) == 1:
            in_loop = False
        elif in_loop and values[0].startswith("_"):
            in_loop = not in_rows  # a pair after the rows ends the loop
            tags.append(values[0])
        elif in_loop:
            in_rows = True
            yield number, tags, remove_comment(values, len(tags))


def quote_value(value: str) -> str:
    """Format text as one value, quoted if necessary.

    Raises:
        FormatError: The text cannot be stored as a value.
    """
    if value in _UNKNOWN or _UNQUOTED.fullmatch(value):
        return value
    from gemmi import cif  # imported late, as most words need no quotes

    text = cif.quote(value)
    if "\n" in text or "\r" in text:
        raise FormatError(
            f"the text {value!r} contains a line break or both kinds of quotes, "
            "which a STAR file for RELION cannot store; rename it"
        )
    return text


def split_blocks(text: str, names: Sequence[str]) -> list[str]:
    """Split a file into its blocks, each with the comments directly above it.

    Args:
        text: The file.
        names: Names of its blocks, in order.

    Returns:
        Their text without surrounding blank lines; empty if lines do not delimit the blocks,
        as in a file with `data_` inside a multi-line text.
    """
    lines = text.split("\n")
    starts = [
        i
        for i, line in enumerate(lines)
        if line.startswith("data_") and len(line.partition("#")[0].split()) == 1
    ]
    block_names = [lines[i].split()[0].removeprefix("data_") for i in starts]
    if block_names != list(names):
        return []
    for i, start in enumerate(starts):
        while start and (not lines[start - 1].strip() or lines[start - 1].startswith("#")):
            start -= 1
        starts[i] = start
    ends = [*starts[1:], len(lines)]
    return ["\n".join(lines[i:j]).strip() for i, j in zip(starts, ends, strict=True)]
