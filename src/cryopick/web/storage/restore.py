"""Restore the annotations of a lost database from the text copy of the journal.

- `restore_annotations`: fills an empty database.
"""

import json
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cryopick.errors import InputError
from cryopick.web.storage.annotations import Annotations, Operation
from cryopick.web.storage.database import ProjectDatabase
from cryopick.web.storage.header_reading import read_micrograph_header

__all__ = ["restore_annotations"]

_OPERATION: TypeAdapter[Any] = TypeAdapter(Operation)
_MAX_PATH = 4096
_INSERT_MICROGRAPH = """
INSERT INTO micrograph (id, path, name, width_px, height_px, pixel_size_ang, problem)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_INVALID = (
    *(ValidationError, InputError, ValueError, TypeError),
    *(OverflowError, RecursionError, sqlite3.IntegrityError, sqlite3.ProgrammingError),
)
_JOURNAL_FIELDS = ("seq", "t", "author", "micrograph")


def restore_annotations(database: ProjectDatabase, lines: list[dict[str, Any]]) -> int:
    """Fill an empty database with the micrographs and edits of a journal.

    Returns:
        Number of restored edits; lines that are not valid edits are skipped.
    """
    restored = 0
    with database.write() as db:
        for mid, path in _list_micrographs(lines).items():
            values = (mid, str(path), path.name, *read_micrograph_header(path))
            with suppress(sqlite3.IntegrityError):  # the path has another number already
                db.execute(_INSERT_MICROGRAPH, values)
        for line in lines:
            restored += _restore_edit(db, line)
    return restored


def _list_micrographs(lines: list[dict[str, Any]]) -> dict[int, Path]:
    paths: dict[int, Path] = {}
    for line in lines:
        mid, name = line.get("mid"), line.get("micrograph")
        is_number = isinstance(mid, int) and not isinstance(mid, bool) and 0 < mid < 2**62
        if is_number and isinstance(name, str) and name.isprintable() and len(name) < _MAX_PATH:
            paths[int(mid or 0)] = Path(name)
    return paths


def _restore_edit(db: sqlite3.Connection, line: dict[str, Any]) -> bool:
    """Apply the edit of one line completely; return false if the line is not a valid edit."""
    body = {name: value for name, value in line.items() if name not in _JOURNAL_FIELDS}
    author, seconds = str(line.get("author", "")), line.get("t", 0.0)
    db.execute("SAVEPOINT edit")
    try:
        operation = _OPERATION.validate_python(body)
        Annotations.apply_one(db, operation, author)
        values = (line["seq"], operation.cid, author, float(seconds), json.dumps(body))
        db.execute("INSERT OR IGNORE INTO op VALUES (?, ?, ?, ?, ?)", values)
    except _INVALID:
        db.execute("ROLLBACK TO edit")
        return False
    finally:
        db.execute("RELEASE edit")
    return True
