"""Read what is sound in a damaged database: runs, reviews and the states of micrographs.

Edits have a text copy, from which they are restored before. SQLite reads the pages of a table in
order and stops at a damaged one; the rows behind it are read from the other end.

- `salvage_tables`: copy the rows that can be read.
- `describe_salvage`: explain to the user what was found, and what was lost.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from cryopick.web.storage.database import ProjectDatabase

__all__ = ["describe_salvage", "salvage_tables"]

_COPIED = (  # micrographs and runs first, as others refer to them
    *("micrograph", "run", "cut", "pick_count", "verdict", "micrograph_verdict"),
    *("suggested", "listed_value", "person", "batch"),
)


def salvage_tables(database: ProjectDatabase, damaged: Path) -> dict[str, int]:
    """Copy the rows of a damaged database that can be read and are valid.

    Args:
        database: Database of the project, with the edits of the journal.
        damaged: The damaged file.

    Returns:
        Number of rows copied, by table. For micrographs, the number of their states.
    """
    counts = dict.fromkeys(_COPIED, 0)
    with suppress(sqlite3.Error):
        uri = f"{damaged.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as source, database.write() as target:
            source.row_factory = sqlite3.Row
            for table in _COPIED:
                for row in _read_rows(source, table):
                    counts[table] += _copy_row(target, table, row)
    return counts


def _read_rows(source: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows before the first damaged page, then those behind the last."""
    for order in ("", " ORDER BY rowid DESC"):
        try:
            for row in source.execute(f"SELECT * FROM {table}{order}"):
                yield dict(row)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            continue
        return


def _copy_row(target: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Copy a row if it is valid and new; return 1 if so."""
    if table == "run" and not _is_run(row):
        return 0
    names = {column["name"] for column in target.execute(f"PRAGMA table_info({table})")}
    values = {name: value for name, value in row.items() if name in names}
    placeholders = ", ".join("?" * len(values))
    changes = target.total_changes
    try:
        target.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) VALUES ({placeholders})",
            tuple(values.values()),
        )
        if table == "micrograph":
            changes = target.total_changes
            target.execute(
                "UPDATE micrograph SET state = ?, note = ? WHERE path = ?"
                " AND (state != ? OR note != ?)",
                (row["state"], row["note"], row["path"], row["state"], row["note"]),
            )
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, KeyError):
        return 0
    return min(1, target.total_changes - changes)


def _is_run(row: Mapping[str, Any]) -> bool:
    name, config = row.get("id"), row.get("config")
    if not (isinstance(name, str) and name.startswith("r") and name[1:].isdecimal()):
        return False
    try:
        return isinstance(json.loads(config or ""), dict)
    except (ValueError, TypeError, RecursionError):
        return False


def describe_salvage(counts: Mapping[str, int], lost_runs: Sequence[str]) -> str:
    """Describe what was copied from a damaged database.

    Args:
        counts: Result of `salvage_tables`; empty if there was no file.
        lost_runs: Folders of runs that are not in the database.
    """
    summary = (
        f"Of runs, reviews and states of micrographs, {counts.get('run', 0)}, "
        f"{counts.get('verdict', 0)} and {counts.get('micrograph', 0)} could be read."
    )
    if not lost_runs:
        return summary
    return f"{summary} The files of other runs are in {', '.join(lost_runs)}."
