"""Picks in long JSON files, converted while the file is parsed.

A million picks take 800 MB as Python objects. Objects with the keys of a pick are therefore
replaced by their numbers as soon as they are parsed, and their values are converted block by
block.

- `parse_long_json`: parse a file of many picks.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float, Shaped
from cryopick.errors import FormatError
from cryopick.io.tables.row_blocks import ROWS_PER_BLOCK, PicksBuilder, join_parts
from cryopick.picks import Picks

__all__ = ["JsonRows", "parse_long_json"]


@dataclass(frozen=True, kw_only=True)
class JsonRows:
    """Converted rows.

    Attributes:
        names: Micrograph of each row.
        xy_px: Centres.
        score: Scores; NaN for none.
        extra: Further columns.
        is_integer: Which values of each of them are integers in the file.
    """

    names: Sequence[str]
    xy_px: Float[np.ndarray, "rows 2"]
    score: Float[np.ndarray, " rows"]
    extra: Mapping[str, Shaped[np.ndarray, " rows"]]
    is_integer: Mapping[str, Bool[np.ndarray, " rows"]]


class _RowNumber(int):
    """Number of a pick, in its place."""


def parse_long_json(
    text: str,
    convert: Callable[[Sequence[Mapping[str, Any]]], JsonRows],
    is_pick: Callable[[Any], bool],
) -> tuple[Any, Picks] | None:
    """Parse a file whose picks are all alike.

    Args:
        text: The file.
        convert: Converts rows.
        is_pick: Checks the keys of an object.

    Returns:
        The content, in which the list of picks is empty, and the picks; None if the file has
        another structure, and must be parsed as a whole.
    """
    rows = _Rows(convert=convert, is_pick=is_pick)
    parsed = _parse_rows(text, rows)
    if parsed is None:
        return None
    extra = {}
    for name, parts in rows.extra.items():
        kinds = {part.dtype.kind for part in parts}
        if {"b", "f"} <= kinds and "U" not in kinds:
            return None  # refused, with a message
        extra[name] = _join_columns(parts, rows.is_integer[name])
        parts.clear()
    return parsed[0], replace(rows.picks.build(), extra=extra)


@dataclass(kw_only=True)
class _Rows:
    """Picks that are converted while a file is parsed."""

    convert: Callable[[Sequence[Mapping[str, Any]]], JsonRows]
    is_pick: Callable[[Any], bool]
    picks: PicksBuilder = field(default_factory=PicksBuilder)
    extra: dict[str, list[Shaped[np.ndarray, " _"]]] = field(default_factory=dict)
    is_integer: dict[str, list[Bool[np.ndarray, " _"]]] = field(default_factory=dict)
    count: int = 0
    _keys: Collection[str] = ()
    _block: list[Mapping[str, Any]] = field(default_factory=list)

    def replace_pick(self, value: dict[str, Any]) -> Any:  # noqa: ANN401  # any JSON value
        """Replace an object by its number if it is a pick."""
        if value.keys() != self._keys:
            if self._keys or not self.is_pick(list(value)):
                return value
            self._keys = value.keys()
        self._block.append(value)
        self.count += 1
        if len(self._block) == ROWS_PER_BLOCK:
            self.convert_block()
        return _RowNumber(self.count - 1)

    def convert_block(self) -> None:
        """Convert the picks that are left."""
        if not self._block:
            return
        rows = self.convert(self._block)
        self.picks.add(rows.xy_px, rows.score, rows.names)
        for name, column in rows.extra.items():
            self.extra.setdefault(name, []).append(column)
            self.is_integer.setdefault(name, []).append(rows.is_integer[name])
        self._block.clear()


def _join_columns(
    parts: Sequence[Shaped[np.ndarray, " _"]], is_integer: Sequence[Bool[np.ndarray, " _"]]
) -> Shaped[np.ndarray, " rows"]:
    """Join the parts of a column; if one has text, the others become text as in the file."""
    kinds = {part.dtype.kind for part in parts}
    if len(kinds) == 1 or kinds == {"i", "u"}:
        return join_parts(parts)
    if "U" not in kinds:
        return np.concatenate(parts)
    texts = []
    for part, are_integers in zip(parts, is_integer, strict=True):
        values: list[Any] = part.tolist()
        if part.dtype.kind == "f":
            pairs = zip(values, are_integers.tolist(), strict=True)
            values = [int(v) if integer else None if isnan(v) else v for v, integer in pairs]
        texts.append(np.array([str(value) for value in values], np.str_))
    return np.concatenate(texts)


def _parse_rows(text: str, picks: _Rows) -> tuple[Any] | None:
    """Parse a file; return its content without the picks, or None if it has another structure."""
    try:
        content = json.loads(text, object_hook=picks.replace_pick)
        picks.convert_block()
    except (FormatError, ValueError, RecursionError):
        return None  # raised again by the parser of the whole file
    rows = content.get("picks") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not len(rows) == picks.count > 0:
        return None
    if any(not isinstance(row, _RowNumber) or row != i for i, row in enumerate(rows)):
        return None
    rows.clear()
    return (content,)
