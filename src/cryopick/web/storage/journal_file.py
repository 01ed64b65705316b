"""Text copy of the journal of edits, from which a lost database can be restored.

One JSON object per line: `seq`, `t` (seconds since 1970), `author`, the fields of the operation,
and the path of the micrograph, because only the database maps its number to a path.

- `JournalFile`: the file, synchronized with the journal in the database.
- `read_journal`: reads it.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from cryopick.web.storage.database import ProjectDatabase

__all__ = ["JournalFile", "read_journal"]

_SINCE = """
SELECT op.seq, op.t, op.author, op.body, m.path AS micrograph
FROM op LEFT JOIN micrograph m ON m.id = json_extract(op.body, '$.mid')
WHERE op.seq > ? ORDER BY op.seq
"""


class JournalFile:
    """The journal file of a project; safe to use from several threads."""

    def __init__(self, path: Path, database: ProjectDatabase) -> None:
        self._path, self._database = path, database
        self._lock = threading.Lock()
        lines = read_journal(path)
        self._seq = lines[-1]["seq"] if lines else 0

    def append_new(self) -> None:
        """Append the operations that are in the database but not yet in the file.

        The edit is already safe in the database. If the file cannot be written, for example on a
        full disk, the next edit appends both.
        """
        with self._lock:
            rows = self._database.rows(_SINCE, self._seq)
            if not rows:
                return
            text = "".join(f"{json.dumps(_format_row(row), allow_nan=False)}\n" for row in rows)
            try:
                with self._path.open("a+b") as file:
                    _end_last_line(file)
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                return
            self._seq = rows[-1]["seq"]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a journal in order, each edit once; truncated lines are skipped."""
    records: dict[int, dict[str, Any]] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            record = json.loads(line)
            records[int(record["seq"])] = record
        except (ValueError, KeyError, TypeError):
            continue
    return [records[seq] for seq in sorted(records)]


def _format_row(row: dict[str, Any]) -> dict[str, Any]:
    record = {"seq": row["seq"], "t": row["t"], "author": row["author"], **json.loads(row["body"])}
    return {**record, "micrograph": row["micrograph"]} if row["micrograph"] else record


def _end_last_line(file: Any) -> None:  # noqa: ANN401  # a binary file
    """End the last line if it was truncated."""
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
