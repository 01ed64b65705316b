"""The journal of edits once more, as text: for the day when the database is lost.

One JSON object a line: `seq`, `t` (seconds since 1970), `author`, the operation's own fields, and
the micrograph's path, because the database that knows its number may be gone.

- `OpsFile`: the file, kept level with the database's journal.
- `read_ops`: what it holds.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from cryopick.web.project.database import Store

__all__ = ["OpsFile", "read_ops"]

_SINCE = """
SELECT op.seq, op.t, op.author, op.body, m.path AS micrograph
FROM op LEFT JOIN micrograph m ON m.id = json_extract(op.body, '$.mid')
WHERE op.seq > ? ORDER BY op.seq
"""


class OpsFile:
    """The file of a project; safe to use from several threads."""

    def __init__(self, path: Path, store: Store) -> None:
        self._path, self._store = path, store
        self._lock = threading.Lock()
        lines = read_ops(path)
        self._seq = lines[-1]["seq"] if lines else 0

    def follow(self) -> None:
        """Append what the database's journal has beyond the file's end.

        An edit is safe in the database before; where the file cannot be written now, as on a full
        disk, the next edit writes both.
        """
        with self._lock:
            rows = self._store.rows(_SINCE, self._seq)
            if not rows:
                return
            text = "".join(f"{json.dumps(_line(row), allow_nan=False)}\n" for row in rows)
            try:
                with self._path.open("a+b") as file:
                    _end_line(file)
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                return
            self._seq = rows[-1]["seq"]


def read_ops(path: Path) -> list[dict[str, Any]]:
    """The lines of such a file in order, each edit once; a line that was cut off is left out."""
    found: dict[int, dict[str, Any]] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            told = json.loads(line)
            found[int(told["seq"])] = told
        except (ValueError, KeyError, TypeError):
            continue
    return [found[seq] for seq in sorted(found)]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    told = {"seq": row["seq"], "t": row["t"], "author": row["author"], **json.loads(row["body"])}
    return {**told, "micrograph": row["micrograph"]} if row["micrograph"] else told


def _end_line(file: Any) -> None:  # noqa: ANN401  # a binary file
    """Begin a new line where the last one was cut off."""
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
