"""The database of a labelling project: one SQLite file, one writer at a time, nothing lost.

- `Store`: the file, with `read` and `write`.
- `now`: the time as it is stored.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryopick.errors import FormatError, InputError

__all__ = ["Store", "now"]

_VERSION = 2
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE micrograph (
    id INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL, name TEXT NOT NULL,
    width_px INTEGER, height_px INTEGER, pixel_size_ang REAL, problem TEXT,
    state TEXT NOT NULL DEFAULT 'todo', note TEXT NOT NULL DEFAULT '');
CREATE TABLE label (
    id TEXT PRIMARY KEY, mid INTEGER NOT NULL REFERENCES micrograph(id), x REAL NOT NULL,
    y REAL NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, author TEXT NOT NULL,
    run TEXT, score REAL, t REAL NOT NULL);
CREATE INDEX label_mid ON label(mid);
CREATE TABLE region (
    id TEXT PRIMARY KEY, mid INTEGER NOT NULL REFERENCES micrograph(id), kind TEXT NOT NULL,
    points TEXT NOT NULL, author TEXT NOT NULL, t REAL NOT NULL);
CREATE INDEX region_mid ON region(mid);
CREATE TABLE run (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '', config TEXT NOT NULL, pid INTEGER, pid_started REAL,
    queued REAL NOT NULL, started REAL, ended REAL);
CREATE TABLE cut (
    run TEXT PRIMARY KEY REFERENCES run(id), threshold REAL NOT NULL, edge_ang REAL NOT NULL,
    min_distance_ang REAL NOT NULL);
CREATE TABLE pick_count (
    run TEXT NOT NULL, mid INTEGER NOT NULL, n INTEGER NOT NULL, best REAL,
    PRIMARY KEY (run, mid));
CREATE TABLE op (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, cid TEXT UNIQUE NOT NULL, author TEXT NOT NULL,
    t REAL NOT NULL, body TEXT NOT NULL);
"""
_SINCE_2 = """
CREATE TABLE verdict (
    run TEXT NOT NULL, pick INTEGER NOT NULL, author TEXT NOT NULL, answer TEXT NOT NULL,
    sample TEXT NOT NULL, threshold REAL, edge_ang REAL, min_distance_ang REAL, t REAL NOT NULL,
    PRIMARY KEY (run, pick, author));
CREATE TABLE suggested (mid INTEGER PRIMARY KEY REFERENCES micrograph(id), place INTEGER NOT NULL);
"""
_FROM_1 = f"""
ALTER TABLE verdict RENAME TO old; {_SINCE_2}
INSERT INTO verdict SELECT run, pick, '', answer, sample, threshold, edge_ang, min_distance_ang, t
    FROM old;
DROP TABLE old;
"""
_STEPS = {0: _SCHEMA + _SINCE_2, 1: _FROM_1}  # from each version to the last one


def now() -> float:
    """Seconds since 1970."""
    return time.time()


class Store:
    """The database of a project; safe to use from several threads.

    Every `write` is one transaction that is on disk when the block ends.

    Args:
        path: The file; made if it is missing.
        read_only: Change nothing, as where nothing can be changed.

    Raises:
        FormatError: The file is none of ours, or of a later version.
        InputError: It cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._lock = threading.RLock()
        mode = "ro" if read_only else "rwc"
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                check_same_thread=False,
                isolation_level=None,
            )
            self._db.row_factory = sqlite3.Row
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if not read_only:
                self._take(version)
                if version in _STEPS:
                    self._db.executescript(
                        f"BEGIN; {_STEPS[version]} PRAGMA user_version = {_VERSION}; COMMIT"
                    )
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{path}: cannot be opened: {_why(error, read_only=read_only)}"
            ) from error
        except sqlite3.DatabaseError as error:
            raise FormatError(f"{path}: is no project of cryopick's: {error}") from error
        if version > _VERSION:
            raise FormatError(f"{path}: was made by a later version of cryopick; update cryopick")
        if read_only and version < _VERSION:
            raise InputError(
                f"{path}: was made by an earlier version of cryopick; open it once without "
                "--read-only"
            )

    def _take(self, version: int) -> None:
        """Make sure that the file is ours alone, and can be written."""
        # Projects lie on shared file systems, where a write-ahead log does not work; and two
        # servers on one project, perhaps on two machines, would not know of each other.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = TRUNCATE")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(f"PRAGMA user_version = {version}")  # beginning alone tells nothing
        self._db.execute("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The database, for questions."""
        with self._lock:
            yield self._db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The database, for changes that happen all or not at all."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, question: str, *values: object) -> list[dict[str, Any]]:
        """The answer to a question, each row by the names of its columns."""
        with self.read() as db:
            return [dict(row) for row in db.execute(question, values)]

    def row(self, question: str, *values: object) -> dict[str, Any] | None:
        """The first row of an answer, if there is one."""
        found = self.rows(question, *values)
        return found[0] if found else None

    def number(self, question: str, *values: object) -> int:
        """The only number of an answer."""
        with self.read() as db:
            return int(db.execute(question, values).fetchone()[0])

    def meta(self, key: str) -> str | None:
        """A thing to know about the project."""
        found = self.row("SELECT value FROM meta WHERE key = ?", key)
        return found["value"] if found else None

    def set_meta(self, key: str, value: str) -> None:
        """Keep a thing to know about the project."""
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """End; nothing may be asked any more."""
        with self._lock:
            self._db.close()


def _why(error: sqlite3.OperationalError, *, read_only: bool) -> str:
    """What SQLite says of a file that it cannot open, with what to do about it."""
    said = str(error)
    if "locked" in said:
        return "another server has it open"
    if "readonly" in said:
        return "it cannot be written; look at it with --read-only"
    return "there is no project there" if read_only and "unable to open" in said else said
