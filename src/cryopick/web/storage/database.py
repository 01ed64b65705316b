"""Database of a labelling project: one SQLite file with one writer at a time.

- `ProjectDatabase`: the file, with `read` and `write`.
- `DamagedDatabaseError`: the file is damaged, or is no project.
- `is_open_elsewhere`: check whether a server has a project open.
- `current_time`: the time as it is stored.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from cryopick.errors import FormatError, InputError

__all__ = ["DamagedDatabaseError", "ProjectDatabase", "current_time", "is_open_elsewhere"]

_VERSION = 3
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
_ADDED_IN_2 = """
CREATE TABLE verdict (
    run TEXT NOT NULL, pick INTEGER NOT NULL, author TEXT NOT NULL, answer TEXT NOT NULL,
    sample TEXT NOT NULL, threshold REAL, edge_ang REAL, min_distance_ang REAL, t REAL NOT NULL,
    PRIMARY KEY (run, pick, author));
CREATE TABLE suggested (mid INTEGER PRIMARY KEY REFERENCES micrograph(id), place INTEGER NOT NULL);
"""
_FROM_1 = f"""
ALTER TABLE verdict RENAME TO old; {_ADDED_IN_2}
INSERT INTO verdict SELECT run, pick, '', answer, sample, threshold, edge_ang, min_distance_ang, t
    FROM old;
DROP TABLE old;
"""
# `deleted`: time at which a run was deleted; it can be restored. `batch`: import of a label.
_ADDED_IN_3 = """
ALTER TABLE run ADD COLUMN deleted REAL;
ALTER TABLE label ADD COLUMN batch TEXT;
CREATE INDEX label_batch ON label(batch);
CREATE TABLE batch (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, author TEXT NOT NULL, t REAL NOT NULL);
CREATE TABLE removed_label (
    id TEXT PRIMARY KEY, mid INTEGER NOT NULL, x REAL NOT NULL, y REAL NOT NULL, kind TEXT NOT NULL,
    source TEXT NOT NULL, author TEXT NOT NULL, run TEXT, score REAL, t REAL NOT NULL, batch TEXT);
CREATE TABLE person (author TEXT PRIMARY KEY, name TEXT NOT NULL);
ALTER TABLE micrograph ADD COLUMN listed_pixel_size_ang REAL;
CREATE TABLE listed_value (
    mid INTEGER NOT NULL REFERENCES micrograph(id), name TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (mid, name));
CREATE TABLE micrograph_verdict (
    run TEXT NOT NULL, mid INTEGER NOT NULL, verdict TEXT NOT NULL, PRIMARY KEY (run, mid));
"""
_DAMAGE_CODES = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UPGRADES = {  # from each version to the latest
    0: _SCHEMA + _ADDED_IN_2 + _ADDED_IN_3,
    1: _FROM_1 + _ADDED_IN_3,
    2: _ADDED_IN_3,
}


class DamagedDatabaseError(FormatError):
    """A database is damaged, or is not a project of cryopick."""


def current_time() -> float:
    """Return the seconds since 1970."""
    return time.time()


def is_open_elsewhere(path: Path) -> bool:
    """Return true if another server holds the lock of a database.

    The lock ends with its process, unlike a file with a process number, which another process may
    have after a crash or in a restarted container.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
        ) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        primary_code = error.sqlite_errorcode & 0xFF
        return primary_code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    except sqlite3.DatabaseError:
        return False
    return False


class ProjectDatabase:
    """The database of a project; safe to use from several threads.

    Every `write` is one transaction that is on disk when the block ends.

    Args:
        path: The file; created if it does not exist.
        read_only: Open the file without write access.

    Raises:
        DamagedDatabaseError: The file is damaged, or is not a project of cryopick.
        FormatError: The file was written by a later version.
        InputError: The file cannot be opened.
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
                self._lock_for_writing(version)
                if version in _UPGRADES:
                    self._db.executescript(
                        f"BEGIN; {_UPGRADES[version]} PRAGMA user_version = {_VERSION}; COMMIT"
                    )
            if version in (_VERSION, *_UPGRADES):
                self._require_sound(is_complete=version == _VERSION or not read_only)
        except sqlite3.OperationalError as error:
            self._close_quietly()
            if error.sqlite_errorcode & 0xFF in _DAMAGE_CODES:
                raise DamagedDatabaseError(f"{path}: is damaged: {error}") from error
            raise InputError(
                f"{path}: cannot be opened: {_explain(error, read_only=read_only)}"
            ) from error
        except sqlite3.DatabaseError as error:
            self._close_quietly()
            raise DamagedDatabaseError(
                f"{path}: is damaged, or is not a project of cryopick: {error}"
            ) from error
        if version > _VERSION:
            raise FormatError(
                f"{path}: was written by a later version of cryopick; update cryopick"
            )
        if read_only and version < _VERSION:
            raise InputError(
                f"{path}: was written by an earlier version of cryopick; open it once without "
                "--read-only"
            )

    def _require_sound(self, *, is_complete: bool) -> None:
        """Check all pages of the file, and that the tables exist.

        Args:
            is_complete: The file has the tables of the latest version.

        Raises:
            sqlite3.DatabaseError: The file is damaged.
        """
        result = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if result != "ok":
            raise sqlite3.DatabaseError(str(result))
        names = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master")}
        if is_complete and not names >= {"meta", "micrograph", "label", "region", "run", "op"}:
            raise sqlite3.DatabaseError("tables are missing")

    def _close_quietly(self) -> None:
        with suppress(AttributeError, sqlite3.Error):
            self._db.close()

    def _lock_for_writing(self, version: int) -> None:
        """Lock the file against other servers, and check that it can be written."""
        # Projects may be on shared file systems, where a write-ahead log does not work, and two
        # servers of one project, perhaps on two machines, would overwrite each other's edits.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = TRUNCATE")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(f"PRAGMA user_version = {version}")  # BEGIN alone does not write
        self._db.execute("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yield the database for queries."""
        with self._lock:
            yield self._db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield the database for one transaction; an exception undoes all changes."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended the transaction already
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries by column name."""
        with self.read() as db:
            return [dict(row) for row in db.execute(query, values)]

    def row(self, query: str, *values: object) -> dict[str, Any] | None:
        """Return the first row of a query, or None."""
        rows = self.rows(query, *values)
        return rows[0] if rows else None

    def number(self, query: str, *values: object) -> int:
        """Return the integer that a query gives."""
        with self.read() as db:
            return int(db.execute(query, values).fetchone()[0])

    def meta(self, key: str) -> str | None:
        """Return a setting of the project, or None."""
        row = self.row("SELECT value FROM meta WHERE key = ?", key)
        return row["value"] if row else None

    def set_meta(self, key: str, value: str) -> None:
        """Store a setting of the project."""
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _explain(error: sqlite3.OperationalError, *, read_only: bool) -> str:
    """Explain why SQLite cannot open a file, and how to fix it."""
    primary_code = error.sqlite_errorcode & 0xFF
    if primary_code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another server has it open"
    if primary_code == sqlite3.SQLITE_READONLY:
        return "it cannot be written; open it with --read-only"
    if read_only and primary_code == sqlite3.SQLITE_CANTOPEN:
        return "there is no project there"
    return str(error)
