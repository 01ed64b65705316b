"""The text of STAR files, read through gemmi: blocks, columns, and messages with lines.

gemmi takes ASCII alone, so everything beyond it goes in and comes out as %XX.

- `Columns`: the columns of one table, as text.
- `document`, `columns_of`: the parsed file, and one table of a block.
- `plain`, `quoted`: values without and with their quotes.
- `numbers`: a column of numbers, strictly.
- `text_of_blocks`: each block as it stands in the file.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError
from cryopick.io.tables.codec import broken, to_floats

if TYPE_CHECKING:
    from gemmi import cif

__all__ = ["Columns", "columns_of", "document", "numbers", "plain", "quoted", "text_of_blocks"]

Columns = dict[str, Sequence[str]]
_UNKNOWN = (".", "?")  # stand for no value in CIF; RELION takes them as they are
_BARE = re.compile(
    r"(?!(data|save|loop|stop|global)_)[a-z0-9/][\w./+@-]*", re.ASCII | re.IGNORECASE
)


def document(text: str, path: Path) -> "cif.Document":
    """Parse the text; what gemmi refuses, all beyond ASCII, goes in and comes out as %XX.

    A percent sign is escaped as well, so that nothing else is taken for an escape.
    """
    from gemmi import cif

    if not text.isascii() or "%" in text:
        text = re.sub(r"[^\x00-\x7f]|%", lambda found: quote(found.group()), text)
    try:
        return cif.read_string(text)
    except (ValueError, RuntimeError) as error:  # the latter for a block or tag that comes twice
        for line, tags, values in _loop_rows(text):
            if len(values) != len(tags):
                expected = f"{len(tags)} values (one for each column of the loop)"
                raise broken(
                    path, line, f"{expected}; this line has {len(values)}", " ".join(values)
                ) from None
        found = re.match(r"[^:]*:(\d+):[^:]*: *(.*)", str(error), re.DOTALL)
        place, reason = found.groups() if found else ("1", str(error))
        raise FormatError(f"{path}:{place}: expected a STAR file: {reason}; mend it") from None


def columns_of(block: "cif.Block", tag: str) -> Columns:
    """Columns of the loop that has `tag`, or a single row written as pairs."""
    loop = block.find_loop(tag).get_loop()
    if loop is None:
        pairs = (item.pair for item in block if item.pair is not None)
        return {unquote(name): (value,) for name, value in pairs}
    values, width = loop.values, loop.width()
    return {unquote(name): values[i::width] for i, name in enumerate(loop.tags)}


def plain(values: Sequence[str]) -> list[str]:
    """Undo quotes and escapes, once for each distinct value."""
    from gemmi import cif

    texts = {v: v if v in _UNKNOWN else unquote(cif.as_string(v)) for v in set(values)}
    return [texts[value] for value in values]


def numbers(
    values: Sequence[str], tag: str, text: str, path: Path, *, finite: bool = True
) -> Float[np.ndarray, " rows"]:
    """Turn a column of text into numbers.

    Args:
        values: The column.
        tag: Its name, with the underscore.
        text: The whole file, to find the line that is wrong.
        path: The file, for messages.
        finite: Refuse NaN and infinities as well.

    Raises:
        FormatError: A value is not the number it should be.
    """
    try:
        found = to_floats(values)
    except ValueError:
        pass
    else:
        if not finite or np.isfinite(found).all():
            return found
    wanted = f"a {'finite ' * finite}number in the column {tag.removeprefix('_')}"
    for line, tags, row in _loop_rows(text):
        one_line = tag in tags and len(row) == len(tags)  # a row may go over several lines
        if one_line and not _is_number(row[tags.index(tag)], finite=finite):
            raise broken(path, line, wanted, " ".join(row))
    raise FormatError(f"{path}: expected {wanted}, found other text; mend the file")


def _is_number(value: str, *, finite: bool) -> bool:
    try:
        number = to_floats([value])
    except ValueError:
        return False
    return not finite or bool(np.isfinite(number).all())


def _loop_rows(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Line number, columns and values of each row, for files with one row a line, as RELION's.

    Only for messages: gemmi reads the values but does not keep the lines.
    """
    tags: list[str] = []
    in_loop = in_rows = False
    for number, line in enumerate(text.split("\n"), start=1):
        values = re.findall(r"'[^']*'(?=\s|$)|\"[^\"]*\"(?=\s|$)|\S+", line)
        if not values or values[0].startswith("#"):
            continue
        if values[0] == "loop_":
            tags, in_loop, in_rows = [], True, False
        elif values[0].startswith("data_"):
            in_loop = False
        elif in_loop and values[0].startswith("_"):
            in_loop = not in_rows  # a pair after the rows ends the loop
            tags.append(values[0])
        elif in_loop:
            in_rows = True
            yield number, tags, values


def quoted(value: str) -> str:
    """Write text as one value, in quotes where it needs them.

    Raises:
        FormatError: The text holds what no value can hold.
    """
    if value in _UNKNOWN or _BARE.fullmatch(value):
        return value
    from gemmi import cif  # most words need no quotes, and so not this

    text = cif.quote(value)
    if "\n" in text or "\r" in text:
        raise FormatError(
            f"the text {value!r} holds a line break or both kinds of quotes, "
            "which a STAR file for RELION cannot store; rename it"
        )
    return text


def text_of_blocks(text: str, names: Sequence[str]) -> list[str]:
    """Part a file into its blocks, each with the comments right above it.

    Args:
        text: The file.
        names: The names of its blocks, in order.

    Returns:
        Their text without blank lines around, or nothing where lines do not tell the blocks
        apart, as in a file that hides `data_` in a text of several lines.
    """
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("data_")]
    found = [lines[i].split()[0].removeprefix("data_") for i in starts]
    if found != list(names):
        return []
    for i, start in enumerate(starts):
        while start and (not lines[start - 1].strip() or lines[start - 1].startswith("#")):
            start -= 1
        starts[i] = start
    ends = [*starts[1:], len(lines)]
    return ["\n".join(lines[i:j]).strip() for i, j in zip(starts, ends, strict=True)]
