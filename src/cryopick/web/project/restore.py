"""Make a lost database's labels again from the journal's copy in text.

- `restore`: do that.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cryopick.errors import InputError
from cryopick.web.project.annotations import Marks, Operation
from cryopick.web.project.database import Store
from cryopick.web.project.micrographs import look

__all__ = ["restore"]

_OPERATION: TypeAdapter[Any] = TypeAdapter(Operation)
_ADDED = ("seq", "t", "author", "micrograph")


def restore(store: Store, lines: list[dict[str, Any]]) -> int:
    """Put micrographs and labels into an empty database, as the lines of a journal tell.

    Returns:
        How many edits were done; a line that is none of ours is passed over.
    """
    paths = {line["mid"]: Path(line["micrograph"]) for line in lines if "micrograph" in line}
    rows = [(mid, str(path), path.name, *look(path)) for mid, path in paths.items()]
    done = 0
    with store.write() as db:
        db.executemany(
            "INSERT INTO micrograph"
            " (id, path, name, width_px, height_px, pixel_size_ang, problem)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        for line in lines:
            body = {name: value for name, value in line.items() if name not in _ADDED}
            author = str(line.get("author", ""))
            try:
                operation = _OPERATION.validate_python(body)
                Marks.do(db, operation, author)
            except (ValidationError, InputError):
                continue
            values = (line["seq"], operation.cid, author, line.get("t", 0.0), json.dumps(body))
            db.execute("INSERT OR IGNORE INTO op VALUES (?, ?, ?, ?, ?)", values)
            done += 1
    return done
