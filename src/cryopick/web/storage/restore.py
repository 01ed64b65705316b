"""Restore the annotations of a lost database from the text copy of the journal.

- `restore_annotations`: fills an empty database.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cryopick.errors import InputError
from cryopick.web.storage.annotations import Annotations, Operation
from cryopick.web.storage.database import ProjectDatabase
from cryopick.web.storage.micrographs import read_micrograph_header

__all__ = ["restore_annotations"]

_OPERATION: TypeAdapter[Any] = TypeAdapter(Operation)
_JOURNAL_FIELDS = ("seq", "t", "author", "micrograph")


def restore_annotations(database: ProjectDatabase, lines: list[dict[str, Any]]) -> int:
    """Fill an empty database with the micrographs and edits of a journal.

    Returns:
        Number of restored edits; lines that are not valid edits are skipped.
    """
    paths = {line["mid"]: Path(line["micrograph"]) for line in lines if "micrograph" in line}
    rows = [
        (mid, str(path), path.name, *read_micrograph_header(path)) for mid, path in paths.items()
    ]
    restored = 0
    with database.write() as db:
        db.executemany(
            "INSERT INTO micrograph"
            " (id, path, name, width_px, height_px, pixel_size_ang, problem)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        for line in lines:
            body = {name: value for name, value in line.items() if name not in _JOURNAL_FIELDS}
            author = str(line.get("author", ""))
            try:
                operation = _OPERATION.validate_python(body)
                Annotations.apply_one(db, operation, author)
            except (ValidationError, InputError):
                continue
            values = (line["seq"], operation.cid, author, line.get("t", 0.0), json.dumps(body))
            db.execute("INSERT OR IGNORE INTO op VALUES (?, ?, ?, ?, ?)", values)
            restored += 1
    return restored
