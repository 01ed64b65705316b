"""Long tables in bounded memory: text is split into blocks of lines, and columns join the parts.

A million rows take hundreds of megabytes as Python objects, but only a few as arrays. Readers
convert one block of rows at a time.

- `iterate_lines`: split text into blocks of lines.
- `join_parts`: join the parts of a carried column.
- `PicksBuilder`: collect a table block by block.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cryopick.array_types import Float, Integer, Shaped
from cryopick.io.tables.codec import format_column, parse_column
from cryopick.picks import Picks

__all__ = ["BLOCK_CHARACTERS", "ROWS_PER_BLOCK", "PicksBuilder", "iterate_lines", "join_parts"]

BLOCK_CHARACTERS = 1 << 20  # about 15,000 rows
ROWS_PER_BLOCK = 1 << 14  # that readers of rows convert at a time


def iterate_lines(
    text: str, *, start: int = 0, end: int | None = None, first_line: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """Split text into blocks of whole lines.

    Args:
        text: The text.
        start: Position of the first character.
        end: Position after the last character; None is the end of the text.
        first_line: Number of the first line.

    Yields:
        Number of the first line of the block, and its lines without line ends.
    """
    end = len(text) if end is None else end
    end -= text.endswith("\n", start, end)
    while start <= end:
        stop = text.find("\n", min(start + BLOCK_CHARACTERS, end), end)
        stop = end if stop < 0 else stop
        lines = text[start:stop].split("\n")
        yield first_line, lines
        first_line += len(lines)
        start = stop + 1


def join_parts(parts: Sequence[Shaped[np.ndarray, " _"]]) -> Shaped[np.ndarray, " rows"]:
    """Join the parts of a column that `parse_column` converted one by one.

    The result is that of the whole column: where parts differ in type, numbers become text again,
    which is possible because `parse_column` keeps text that numbers cannot restore.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[0] if parts else np.zeros(0, np.int64)
    kinds = {part.dtype.kind for part in filled}
    if len(kinds) == 1:
        return np.concatenate(filled)
    if kinds == {"i", "u"} and all(part.min() >= 0 for part in filled):
        return np.concatenate([part.astype(np.uint64) for part in filled])
    return np.concatenate([np.array(format_column(part), np.str_) for part in filled])


@dataclass(kw_only=True)
class PicksBuilder:
    """Table that is collected block by block.

    Attributes:
        micrographs: Position of each micrograph in the table; names may be given in advance.
    """

    micrographs: dict[str, int] = field(default_factory=dict)
    _index: list[Integer[np.ndarray, " _"]] = field(default_factory=list)
    _xy_px: list[Float[np.ndarray, "_ 2"]] = field(default_factory=list)
    _score: list[Float[np.ndarray, " _"]] = field(default_factory=list)
    _extra: dict[str, list[Shaped[np.ndarray, " _"]]] = field(default_factory=dict)

    @classmethod
    def for_micrograph(cls, name: str) -> "PicksBuilder":
        """Begin the table of a single micrograph, which may have no picks."""
        return cls(micrographs={name: 0})

    def add(
        self,
        xy_px: Float[np.ndarray, "rows 2"],
        score: Float[np.ndarray, " rows"] | None = None,
        names: Sequence[str] | None = None,
        extra: Mapping[str, Shaped[np.ndarray, " rows"] | Sequence[str]] | None = None,
    ) -> None:
        """Add rows.

        Args:
            xy_px: Centres.
            score: Scores; None if the block has none.
            names: Micrograph of each row; None is the first micrograph.
            extra: Carried columns, the same in each block: arrays, or text to be converted.
        """
        count = len(xy_px)
        if names is None:
            self._index.append(np.zeros(count, np.int64))
        else:
            positions_of = self.micrographs
            positions = (positions_of.setdefault(name, len(positions_of)) for name in names)
            self._index.append(np.fromiter(positions, np.int64, count))
        self._xy_px.append(xy_px)
        self._score.append(np.full(count, np.nan) if score is None else score)
        for name, values in (extra or {}).items():
            column = values if isinstance(values, np.ndarray) else parse_column(values)
            self._extra.setdefault(name, []).append(column)

    def build(self) -> Picks:
        """Return the table of all rows."""
        extra = {}
        while self._extra:  # each column's parts are freed once they are joined
            name = next(iter(self._extra))
            extra[name] = join_parts(self._extra.pop(name))
        return Picks(
            micrographs=tuple(self.micrographs),
            index=np.concatenate([np.zeros(0, np.int64), *self._index]),
            xy_px=np.concatenate([np.zeros((0, 2)), *self._xy_px]),
            score=np.concatenate([np.zeros(0), *self._score]),
            extra=extra,
        )
