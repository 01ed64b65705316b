"""EMAN2 info files: `boxes` with centres x, y and a tag for their origin, one file per micrograph.

Positions are centres in stored pixels, unlike in EMAN1's .box. The file of micrograph `a.hdf` or
`a__ctf_flip.hdf` is `info/a_info.json`. The format has no scores. Three-dimensional boxes
(`boxes_3d`) are rejected.

- `CODEC`: tables of picks.
- `has_boxes`: check whether values from a JSON file have this format.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import FormatError, NotATableError
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.codec import (
    Codec,
    TableLayout,
    format_coordinates,
    require_one_micrograph,
    text_reader,
    text_writer,
)
from cryopick.io.tables.json_text import parse_json, require_finite
from cryopick.io.tables.row_blocks import ROWS_PER_BLOCK, PicksBuilder
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC", "has_boxes"]

_KEYS = ("boxes", "boxes_3d")


def has_boxes(content: Mapping[str, object]) -> bool:
    """Check whether an object has two- or three-dimensional boxes."""
    return any(key in content for key in _KEYS)


def _parse(text: str, path: Path) -> Picks:
    content = parse_json(text, path)
    if not isinstance(content, dict) or not has_boxes(content):
        raise NotATableError(f"{path}: expected an object with 'boxes', as EMAN2 writes it")
    if not content.get("boxes") and content.get("boxes_3d"):
        raise FormatError(
            f"{path}: expected boxes on a micrograph, found boxes_3d: boxes in a tomogram; "
            "use a two-dimensional table"
        )
    boxes = content.get("boxes", [])
    if not isinstance(boxes, list):
        raise FormatError(f"{path}: expected a list as 'boxes', found {str(boxes)[:80]!r}")
    picks = PicksBuilder.for_micrograph(_micrograph(path))
    for first in range(0, len(boxes), ROWS_PER_BLOCK):
        block = slice(first, first + ROWS_PER_BLOCK)
        xy_px, tags = _convert_boxes(boxes[block], first + 1, path)
        picks.add(xy_px, extra={"tag": np.array(tags, dtype=np.str_)})
        boxes[block] = [None] * len(tags)  # objects take several times as much memory as arrays
    table = picks.build()
    return table if any(table.extra.get("tag", ())) else replace(table, extra={})


def _convert_boxes(
    boxes: Sequence[object], first: int, path: Path
) -> tuple[Float[np.ndarray, "boxes 2"], list[str]]:
    """Convert boxes, of which the first has the given number, to centres and tags."""
    xy_px, tags = [], []
    for number, box in enumerate(boxes, start=first):
        if not isinstance(box, list) or len(box) < 2:
            raise FormatError(
                f'{path}: expected [x, y, "tag"] as box {number}, found {str(box)[:80]!r}; '
                "correct it"
            )
        xy_px.append(
            [require_finite(value, f"a centre of box {number}", path) for value in box[:2]]
        )
        tags.append(str(box[2]) if len(box) > 2 else "")
    return np.array(xy_px, dtype=np.float64), tags


def _micrograph(path: Path) -> str:
    return path.stem.removesuffix("_info")


def _render(picks: Picks, _layout: TableLayout) -> str:
    require_one_micrograph(picks, "an EMAN2 info file")
    x, y = (format_coordinates(picks.xy_px[:, axis]) for axis in (0, 1))
    tags = [str(tag) for tag in picks.extra.get("tag", ["manual"] * len(picks))]
    rows = [f"[{a}, {b}, {json.dumps(tag)}]" for a, b, tag in zip(x, y, tags, strict=True)]
    return '{"boxes": [\n' + ",\n".join(rows) + "\n]}\n"


def _matches_head(head: str) -> bool:
    return first_line(head).startswith("{") and any(f'"{key}"' in head for key in _KEYS)


CODEC = Codec(
    name="eman",
    suffixes=("_info.json",),
    matches_head=_matches_head,
    read=text_reader(_parse),
    write=text_writer(_render),
    ending="_info.json",
    name_from_file=_micrograph,
    file_stem=lambda name: micrograph_stem(name).split("__")[0] or micrograph_stem(name),
    is_single=True,
)
