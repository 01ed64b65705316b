"""Picks in long JSON files, converted while the file is parsed.

A million picks take 800 MB as Python objects. Objects with the keys of a pick are therefore
replaced by their numbers as soon as they are parsed, and their values are converted block by
block.

- `parse_long_json`: parse a file of many picks.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryopick.array_types import Float, Shaped
from cryopick.errors import FormatError
from cryopick.io.tables.row_blocks import ROWS_PER_BLOCK, PicksBuilder
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
    """

    names: Sequence[str]
    xy_px: Float[np.ndarray, "rows 2"]
    score: Float[np.ndarray, " rows"]
    extra: Mapping[str, Shaped[np.ndarray, " rows"]]


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
    picks = PicksBuilder()
    block: list[Mapping[str, Any]] = []
    kinds: set[tuple[str, ...]] = set()
    first_keys: list[str] = []
    count = 0

    def convert_block() -> None:
        rows = convert(block)
        kinds.add(tuple(column.dtype.kind for column in rows.extra.values()))
        picks.add(rows.xy_px, rows.score, rows.names, rows.extra)
        block.clear()

    def replace_pick(value: dict[str, Any]) -> Any:  # noqa: ANN401  # any JSON value
        nonlocal count, first_keys
        keys = list(value)
        if keys != first_keys:
            if first_keys or not is_pick(keys):
                return value
            first_keys = keys
        block.append(value)
        count += 1
        if len(block) == ROWS_PER_BLOCK:
            convert_block()
        return _RowNumber(count - 1)

    try:
        content = json.loads(text, object_hook=replace_pick)
        if block:
            convert_block()
    except (FormatError, ValueError, RecursionError):
        return None  # raised again by the parser of the whole file
    rows = content.get("picks") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not len(rows) == count > 0:
        return None
    if any(not isinstance(row, _RowNumber) or row != i for i, row in enumerate(rows)):
        return None
    rows.clear()
    return (content, picks.build()) if len(kinds) == 1 else None
