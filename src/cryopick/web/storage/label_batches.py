"""Imports of labels: each is a batch that is removed and restored as one step.

- `create_batch`: gives an import its name.
- `list_batches`: the imports of a project.
"""

import secrets
from typing import Any

from cryopick.web.storage.database import ProjectDatabase, current_time

__all__ = ["create_batch", "list_batches"]

_LIST = """
SELECT b.id, b.name, b.author, b.t,
    (SELECT count(*) FROM label l WHERE l.batch = b.id) AS n,
    (SELECT count(*) FROM removed_label r WHERE r.batch = b.id) AS n_removed
FROM batch b ORDER BY b.t DESC, b.rowid DESC
"""


def create_batch(database: ProjectDatabase, name: str, author: str) -> str:
    """Create a batch for the labels of a file, and return its identifier."""
    batch = secrets.token_hex(8)
    with database.write() as db:
        db.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", (batch, name, author, current_time()))
    return batch


def list_batches(database: ProjectDatabase) -> list[dict[str, Any]]:
    """List the imports, the latest first, with the numbers of present and removed labels."""
    return database.rows(_LIST)
