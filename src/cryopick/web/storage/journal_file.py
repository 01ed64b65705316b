"""Text copy of the journal of edits, from which a lost database can be restored.

One JSON object per line: `seq`, `t` (seconds since 1970), `author`, the fields of the operation,
and the path of the micrograph, because only the database maps its number to a path.

- `JournalFile`: the file, synchronized with the journal in the database.
- `read_journal`: read it.
- `count_damaged_lines`: count the lines that cannot be read.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from cryopick.errors import InputError
from cryopick.web.storage.database import ProjectDatabase

__all__ = ["JournalFile", "count_damaged_lines", "read_journal"]

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
        last = database.number("SELECT coalesce(max(seq), 0) FROM op")
        numbers = [line["seq"] for line in read_journal(path) if line["seq"] <= last]
        self._seq = numbers[-1] if numbers else 0

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
    """Read the lines of a journal in order, each edit once; damaged lines are skipped.

    Raises:
        InputError: The file exists and cannot be read.
    """
    records: dict[int, dict[str, Any]] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and _is_number(record.get("seq")):
            records[record["seq"]] = record
    return [records[seq] for seq in sorted(records)]


def count_damaged_lines(path: Path) -> int:
    """Count the lines of a journal that are not records of an edit."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return sum(1 for line in text.split("\n") if line.strip()) - len(read_journal(path))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**62


def _format_row(row: dict[str, Any]) -> dict[str, Any]:
    record = {"seq": row["seq"], "t": row["t"], "author": row["author"], **json.loads(row["body"])}
    return {**record, "micrograph": row["micrograph"]} if row["micrograph"] else record


def _end_last_line(file: Any) -> None:  # noqa: ANN401  # a binary file
    """End the last line if it was truncated."""
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
