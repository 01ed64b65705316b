"""Import labels from a table of any supported format.

- `import_labels`: reads a table, reports what would be added, and adds it.
- `read_table`, `select_new`, `create_operations`: the steps; `NewLabels`: the new rows.
"""

import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.errors import CryopickError, InputError
from cryopick.evaluate.matching import is_near
from cryopick.io.names import match_names
from cryopick.io.tables import star
from cryopick.io.tables.formats import detect_codec
from cryopick.picks import Picks
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.annotations import AddLabel
from cryopick.web.storage.label_batches import create_batch

__all__ = ["NewLabels", "create_operations", "import_labels", "read_table", "select_new"]

_DUPLICATE_PX = 2.0  # a label this near to an existing label is a duplicate
_MAX_LABELS = 1_000_000


def import_labels(
    project: AnnotationProject,
    name: str,
    content: bytes,
    kind: str,
    *,
    dry_run: bool,
    author: str = "import",
) -> dict[str, Any]:
    """Read a table of coordinates and add its rows as labels.

    Args:
        project: The project.
        name: Name of the file, which may contain the name of its micrograph.
        content: The file.
        kind: "pos" or "neg".
        dry_run: Report the labels that would be added, without adding them.
        author: Browser that imports the file.

    Returns:
        Summary for the page.

    Raises:
        InputError: The file is not a table, or its micrographs are not in the project.
    """
    table, format_name = read_table(name, content)
    if len(table) > _MAX_LABELS:
        raise InputError(f"{name}: has {len(table)} rows; at most {_MAX_LABELS} can be imported")
    usable = project.micrographs.usable()
    matched = match_names(table, list(usable.values()))
    new_labels = select_new(project, matched.picks)
    batch = None
    if not dry_run and new_labels.rows:
        batch = create_batch(project.database, name, author)
        project.annotations.apply(create_operations(new_labels.rows, kind, batch), author)
    warnings = []
    if new_labels.outside:
        warnings.append(
            f"{new_labels.outside} coordinates lie outside their micrographs; check whether the "
            "table refers to binned micrographs"
        )
    return {
        "batch": batch,
        "format": format_name,
        "matched": len(new_labels.rows),
        "unmatched": list(matched.unmatched)[:20],
        "n_unmatched": len(matched.unmatched),
        "outside": new_labels.outside,
        "duplicates": new_labels.duplicates,
        "warnings": warnings,
    }


@dataclass
class NewLabels:
    """Rows of a table that are new labels.

    Attributes:
        rows: Micrograph, x and y of each new label.
        outside: Number of rows outside their micrographs.
        duplicates: Number of rows that are labels already.
    """

    rows: list[tuple[int, float, float]] = field(default_factory=list)
    outside: int = 0
    duplicates: int = 0


def read_table(name: str, content: bytes) -> tuple[Picks, str]:
    """Return the rows of a table and the name of its format; errors do not show the folder."""
    with tempfile.TemporaryDirectory() as folder:
        last = Path(name).name
        file = Path(folder) / (last if last not in ("", "..") else "table")
        try:
            file.write_bytes(content)
        except (OSError, ValueError) as error:  # the latter for a null byte
            raise InputError(f"{last[:80]!r}: is no name of a file; rename it") from error
        try:
            return _read_without_following(file)
        except CryopickError as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error


def _read_without_following(file: Path) -> tuple[Picks, str]:
    """Read an uploaded table; the files that an index lists are on the server and stay unread."""
    codec = detect_codec(file)
    if codec is star.CODEC and star.read_coordinate_files(file):
        raise InputError(
            f"{file}: is a list of coordinate files, without coordinates; import those files"
        )
    return codec.read(file), codec.name


def select_new(
    project: AnnotationProject, table: Picks, *, keep_labelled: bool = False
) -> NewLabels:
    """Select the rows inside their micrographs, without those that are labels already."""
    numbers = {str(path): mid for mid, path in project.micrographs.usable().items()}
    new_labels = NewLabels()
    for path, picks in table.split_by_micrograph():
        row = project.micrographs.find(numbers[path])
        last_px = np.array([row["width_px"], row["height_px"]]) - 0.5
        is_inside = ((picks.xy_px >= -0.5) & (picks.xy_px <= last_px)).all(axis=1)
        existing = [(label["x"], label["y"]) for label in _labels_on(project, row["id"])]
        existing_xy = np.array(existing, np.float64).reshape(-1, 2)
        is_new = ~is_near(picks.xy_px, existing_xy, _DUPLICATE_PX) | keep_labelled
        new_labels.outside += int((~is_inside).sum())
        new_labels.duplicates += int((is_inside & ~is_new).sum())
        new_labels.rows += [(row["id"], x, y) for x, y in picks.xy_px[is_inside & is_new].tolist()]
    return new_labels


def _labels_on(project: AnnotationProject, mid: int) -> list[dict[str, Any]]:
    labels: list[dict[str, Any]] = project.annotations.list_on(mid)["labels"]
    return labels


def create_operations(
    rows: list[tuple[int, float, float]], kind: str, batch: str
) -> list[AddLabel]:
    """Create the operations that add new labels to a batch."""
    return [
        AddLabel(
            op="add",
            cid=secrets.token_hex(12),
            id=secrets.token_hex(8),
            mid=mid,
            x=x,
            y=y,
            kind="neg" if kind == "neg" else "pos",
            source="import",
            run=None,
            batch=batch,
        )
        for mid, x, y in rows
    ]
