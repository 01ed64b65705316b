"""EMAN2's info files: `boxes` of centres x, y and a word on their origin, one file a micrograph.

Positions are centres in stored pixels, unlike EMAN1's .box. The file of micrograph `a.hdf` or
`a__ctf_flip.hdf` is `info/a_info.json`. There is no place for a score. Boxes in three dimensions
(`boxes_3d`) are refused.

- `CODEC`: tables of picks.
- `holds_boxes`: whether values read from JSON are such a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cryopick.errors import FormatError
from cryopick.io.names import stem_of
from cryopick.io.tables.codec import (
    Codec,
    Layout,
    coordinate_text,
    only_micrograph,
    reads_text,
    writes_text,
)
from cryopick.io.tables.json_text import finite, parsed
from cryopick.picks import Picks
from cryopick.runs.text_files import first_line

__all__ = ["CODEC", "holds_boxes"]

_KEYS = ("boxes", "boxes_3d")


def holds_boxes(content: Mapping[str, object]) -> bool:
    """Whether an object has boxes, in two dimensions or three."""
    return any(key in content for key in _KEYS)


def _parse(text: str, path: Path) -> Picks:
    content = parsed(text, path)
    if not isinstance(content, dict) or not holds_boxes(content):
        raise FormatError(f"{path}: expected an object with 'boxes', as EMAN2 writes it")
    if not content.get("boxes") and content.get("boxes_3d"):
        raise FormatError(
            f"{path}: expected boxes on a micrograph, found boxes_3d: boxes in a tomogram; "
            "give a table in two dimensions"
        )
    boxes = content.get("boxes", [])
    if not isinstance(boxes, list):
        raise FormatError(f"{path}: expected a list as 'boxes', found {str(boxes)[:80]!r}")
    xy_px, tags = [], []
    for number, box in enumerate(boxes, start=1):
        if not isinstance(box, list) or len(box) < 2:
            raise FormatError(
                f'{path}: expected [x, y, "tag"] as box {number}, found {str(box)[:80]!r}; mend it'
            )
        xy_px.append([finite(value, f"a centre of box {number}", path) for value in box[:2]])
        tags.append(str(box[2]) if len(box) > 2 else "")
    picks = Picks.on(_micrograph(path), np.array(xy_px, dtype=np.float64).reshape(-1, 2))
    return Picks(
        micrographs=picks.micrographs,
        index=picks.index,
        xy_px=picks.xy_px,
        score=picks.score,
        extra={"tag": np.array(tags, dtype=np.str_)} if any(tags) else {},
    )


def _micrograph(path: Path) -> str:
    return path.stem.removesuffix("_info")


def _render(picks: Picks, _layout: Layout) -> str:
    only_micrograph(picks, "an EMAN2 info file")
    x, y = (coordinate_text(picks.xy_px[:, axis]) for axis in (0, 1))
    tags = [str(tag) for tag in picks.extra.get("tag", ["manual"] * len(picks))]
    rows = [f"[{a}, {b}, {json.dumps(tag)}]" for a, b, tag in zip(x, y, tags, strict=True)]
    return '{"boxes": [\n' + ",\n".join(rows) + "\n]}\n"


def _recognises(head: str) -> bool:
    return first_line(head).startswith("{") and any(f'"{key}"' in head for key in _KEYS)


CODEC = Codec(
    name="eman",
    suffixes=("_info.json",),
    recognises=_recognises,
    read=reads_text(_parse),
    write=writes_text(_render),
    ending="_info.json",
    name_from_file=_micrograph,
    file_stem=lambda name: stem_of(name).split("__")[0] or stem_of(name),
    holds_one=True,
)
