"""Join the optics tables and other blocks of several STAR files.

Groups with equal values become one group; others keep their name, with a number if two share it,
and are renumbered. The column `rlnOpticsGroup` of each table follows.

- `merge_contexts`: join the content around the picks of several tables.
- `assign_optics_groups`: give each pick the optics group of its micrograph.
- `find_optics_groups`: optics group of each micrograph of some tables.
- `ContextParts`, `split_context`: the optics table and the other blocks of a table.
- `render_optics`: text of an optics table.
- `scale_pixel_sizes`: adapt the optics table to scaled coordinates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.errors import SettingsError
from cryopick.io.tables.codec import StarContext
from cryopick.io.tables.star_text import (
    Columns,
    find_columns,
    parse_star,
    quote_value,
    split_blocks,
    unquote_values,
)
from cryopick.picks import Picks

__all__ = [
    "OPTICS_GROUP",
    "ContextParts",
    "assign_optics_groups",
    "find_optics_groups",
    "merge_contexts",
    "render_optics",
    "scale_pixel_sizes",
    "split_context",
]

OPTICS_GROUP = "rlnOpticsGroup"
_GROUP, _NAME = "_rlnOpticsGroup", "_rlnOpticsGroupName"
_MICROGRAPH_SIZE = "rlnMicrographPixelSize"


@dataclass(frozen=True, kw_only=True)
class ContextParts:
    """The optics table of a STAR file, and the text of its other blocks."""

    optics: Columns
    others: str


def merge_contexts(
    tables: Sequence[Picks], contexts: Sequence[StarContext], sources: Sequence[Path]
) -> tuple[list[Picks], StarContext]:
    """Join the content around the picks of several tables, and renumber their optics groups.

    Args:
        tables: The tables.
        contexts: Content around each; the default for tables of other formats.
        sources: File of each table, for messages.

    Returns:
        The tables with the new numbers, and the content around all of them.

    Raises:
        SettingsError: Blocks other than the optics table differ, or the optics tables have
            different columns.
    """
    described = [i for i, c in enumerate(contexts) if c.others or not c.block]
    origin = "; ".join(dict.fromkeys(c.provenance for c in contexts if c.provenance))
    if not described:
        return list(tables), StarContext(provenance=origin)
    first = replace(contexts[described[0]], provenance=origin)
    if len({contexts[i].others for i in described}) == 1:
        return list(tables), first
    parts = {i: split_context(contexts[i], sources[i]) for i in described if contexts[i].others}
    texts = {part.others for part in parts.values()} - {""}
    columns = {frozenset(part.optics) for part in parts.values() if part.optics}
    if len(texts) > 1 or len(columns) > 1:
        i, j = list(parts)[:2]
        raise SettingsError(
            f"{sources[i]} and {sources[j]} differ in their optics or other tables, which one "
            "STAR file cannot hold: convert them separately, or join them in RELION"
        )
    merged, renumbered = _merge_optics([part.optics for part in parts.values()])
    result = list(tables)
    for i, numbers in zip(parts, renumbered, strict=True):
        result[i] = _renumber(tables[i], numbers)
    blocks = [render_optics(merged), *texts] if merged else [*texts]
    return result, replace(first, others="\n\n\n".join(blocks))


def split_context(context: StarContext, source: Path) -> ContextParts:
    """Separate the optics table from the other blocks.

    Args:
        context: Content around the picks.
        source: The file, for messages.
    """
    if not context.others:
        return ContextParts(optics={}, others="")
    blocks = parse_star(context.others, source)
    names = [block.name.strip() for block in blocks]
    texts = split_blocks(context.others, names)
    optics = next((find_columns(block, _GROUP) for block in blocks if block.name == "optics"), {})
    others = [t for name, t in zip(names, texts, strict=False) if name != "optics"]
    values: Columns = {tag: unquote_values(column) for tag, column in optics.items()}
    return ContextParts(optics=values, others="\n\n\n".join(others))


def _merge_optics(tables: Sequence[Columns]) -> tuple[Columns, list[dict[str, str]]]:
    """Join optics tables with the same columns.

    Returns:
        The joint table, and for each table its new numbers by the old ones.
    """
    tags = next((list(table) for table in tables if table), [])
    number_of: dict[tuple[object, ...], str] = {}
    rows: list[dict[str, str]] = []
    renumbered = []
    for table in tables:
        numbers = {}
        for i in range(len(table.get(_GROUP, ()))):
            row = {tag: table[tag][i] for tag in tags}
            key = tuple(_comparable(value) for tag, value in row.items() if tag != _GROUP)
            if key not in number_of:
                number_of[key] = str(len(rows) + 1)
                names = {other.get(_NAME) for other in rows}
                if _NAME in row and row[_NAME] in names:
                    row[_NAME] = f"{row[_NAME]}_{number_of[key]}"
                rows.append({**row, _GROUP: number_of[key]})
            numbers[table[_GROUP][i]] = number_of[key]
        renumbered.append(numbers)
    return {tag: [row[tag] for row in rows] for tag in tags}, renumbered


def _comparable(value: str) -> object:
    try:
        return float(value)
    except ValueError:
        return value


def _renumber(table: Picks, numbers: Mapping[str, str]) -> Picks:
    column = table.extra.get(OPTICS_GROUP)
    if column is None and len(numbers) == 1:
        column = np.full(len(table), next(iter(numbers)))
    if column is None:
        return table
    new = [numbers.get(value, value) for value in map(str, column.tolist())]
    return replace(table, extra={**table.extra, OPTICS_GROUP: _as_numbers(new)})


def _as_numbers(values: Sequence[str]) -> np.ndarray:
    is_number = all(value.isdecimal() for value in values)
    return np.array(values, np.int64 if is_number else np.str_)


def render_optics(columns: Columns) -> str:
    """Format an optics table as a block of a STAR file."""
    lines = ["# version 30001", "", "data_optics", "", "loop_"]
    lines += [f"{tag} #{i}" for i, tag in enumerate(columns, start=1)]
    rows = zip(*columns.values(), strict=True)
    lines += [" ".join(quote_value(value) for value in row) for row in rows]
    return "\n".join(lines)


def find_optics_groups(tables: Sequence[Picks]) -> dict[str, str]:
    """Return the optics group of each micrograph, as the first table that has it states it."""
    group_of: dict[str, str] = {}
    for table in tables:
        column = table.extra.get(OPTICS_GROUP)
        if column is not None:
            for i, group in zip(table.index.tolist(), column.tolist(), strict=True):
                group_of.setdefault(table.micrographs[i], str(group))
    return group_of


def assign_optics_groups(
    picks: Picks, context: StarContext, group_of: Mapping[str, str], source: Path
) -> Picks:
    """Give each pick the optics group of its micrograph, if the file needs a group.

    Args:
        picks: Table that may lack the column.
        context: Content around the picks.
        group_of: Known groups by micrograph.
        source: File of the optics table, for messages.

    Raises:
        SettingsError: The group of a micrograph with picks is unknown.
    """
    if OPTICS_GROUP in picks.extra or not context.others:
        return picks
    groups = split_context(context, source).optics.get(_GROUP, ())
    if not groups:
        return picks
    only = groups[0] if len(groups) == 1 else None
    by_index = [group_of.get(name, only) for name in picks.micrographs]
    values = []
    for i in picks.index.tolist():
        group = by_index[i]
        if group is None:
            raise SettingsError(
                f"{source}: has {len(groups)} optics groups, and the group of "
                f"{picks.micrographs[i]} is unknown; give tables with rlnOpticsGroup, or another "
                "format of the output"
            )
        values.append(group)
    return replace(picks, extra={**picks.extra, OPTICS_GROUP: _as_numbers(values)})


def scale_pixel_sizes(
    picks: Picks, context: StarContext, factor: float, source: Path
) -> tuple[Picks, StarContext]:
    """Divide the pixel sizes of micrographs by the factor that coordinates were multiplied by."""
    extra = dict(picks.extra)
    column = extra.get(_MICROGRAPH_SIZE)
    if column is not None:
        extra[_MICROGRAPH_SIZE] = np.array(_divide(map(str, column.tolist()), factor))
    picks = replace(picks, extra=extra)
    parts = split_context(context, source)
    tag = f"_{_MICROGRAPH_SIZE}"
    if tag not in parts.optics:
        return picks, context
    optics = {**parts.optics, tag: _divide(parts.optics[tag], factor)}
    blocks = [render_optics(optics), *([parts.others] if parts.others else [])]
    return picks, replace(context, others="\n\n\n".join(blocks))


def _divide(values: "Sequence[str] | map[str]", factor: float) -> list[str]:
    return [f"{float(value) / factor:.6f}" for value in values]
