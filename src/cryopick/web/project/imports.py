"""Labels from a table that the user brings, of any format: first what would happen, then it.

- `import_labels`: both.
"""

import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.errors import CryopickError, InputError
from cryopick.evaluate.matching import is_near
from cryopick.io.names import match_names
from cryopick.io.tables.formats import codec_of
from cryopick.io.tables.pick_tables import read_picks
from cryopick.web.project.annotations import Add
from cryopick.web.project.project import Desk

__all__ = ["import_labels"]

_SAME_PX = 2.0  # a label this near to one that is there is that one
_MOST = 1_000_000


def import_labels(
    desk: Desk, name: str, content: bytes, kind: str, *, dry_run: bool
) -> dict[str, Any]:
    """Read a table of coordinates and add its places as labels.

    Args:
        desk: The project.
        name: The file's name, which may say which micrograph it is of.
        content: The file.
        kind: "pos" or "neg".
        dry_run: Only say what would be added.

    Raises:
        InputError: It is no table, or on none of the micrographs.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        try:
            table, known = read_picks(file), codec_of(file)
        except CryopickError as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error
    if len(table) > _MOST:
        raise InputError(f"{name}: {len(table)} places are too many to be labels")
    usable = desk.micrographs.usable()
    numbers = {str(path): mid for mid, path in usable.items()}
    matched = match_names(table, list(usable.values()))
    added, outside, twice = [], 0, 0
    for path, own in matched.picks.by_micrograph():
        row = desk.micrographs.one(numbers[path])
        last = np.array([row["width_px"], row["height_px"]]) - 0.5
        inside = ((own.xy_px >= -0.5) & (own.xy_px <= last)).all(axis=1)
        there = [(one["x"], one["y"]) for one in desk.marks.on(row["id"])["labels"]]
        fresh = ~is_near(own.xy_px, np.array(there, np.float64).reshape(-1, 2), _SAME_PX)
        outside += int((~inside).sum())
        twice += int((inside & ~fresh).sum())
        added += [(row["id"], x, y) for x, y in own.xy_px[inside & fresh].tolist()]
    if not dry_run:
        edits = [
            Add(
                op="add",
                cid=secrets.token_hex(12),
                id=secrets.token_hex(8),
                mid=mid,
                x=x,
                y=y,
                kind="neg" if kind == "neg" else "pos",
                source="import",
                run=None,
            )
            for mid, x, y in added
        ]
        desk.marks.apply(edits, "import")
    warnings = []
    if outside:
        warnings.append(
            f"{outside} places lie outside their micrographs: is the table for binned ones?"
        )
    return {
        "format": known.name,
        "matched": len(added),
        "unmatched": list(matched.unmatched)[:20],
        "outside": outside,
        "duplicates": twice,
        "warnings": warnings,
    }
