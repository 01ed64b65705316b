"""Databases of earlier versions are upgraded; other files are rejected."""

import sqlite3
from contextlib import closing

import pytest

from cryopick.errors import FormatError, InputError
from cryopick.web.storage.database import ProjectDatabase

# As version 2 created it, independent of the present schema.
VERSION_2 = """
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
CREATE TABLE verdict (
    run TEXT NOT NULL, pick INTEGER NOT NULL, author TEXT NOT NULL, answer TEXT NOT NULL,
    sample TEXT NOT NULL, threshold REAL, edge_ang REAL, min_distance_ang REAL, t REAL NOT NULL,
    PRIMARY KEY (run, pick, author));
CREATE TABLE suggested (mid INTEGER PRIMARY KEY REFERENCES micrograph(id), place INTEGER NOT NULL);
INSERT INTO micrograph (id, path, name) VALUES (1, '/m.mrc', 'm.mrc');
INSERT INTO label VALUES ('a', 1, 5, 6, 'pos', 'hand', 'me', NULL, NULL, 1.0);
PRAGMA user_version = 2;
"""
VERSION_1 = f"""
{VERSION_2}
DROP TABLE suggested;
DROP TABLE verdict;
CREATE TABLE verdict (
    run TEXT NOT NULL, pick INTEGER NOT NULL, answer TEXT NOT NULL, sample TEXT NOT NULL,
    threshold REAL, edge_ang REAL, min_distance_ang REAL, t REAL NOT NULL,
    PRIMARY KEY (run, pick));
INSERT INTO verdict VALUES ('r1', 7, 'yes', 'random', 0.5, 0, 0, 1.0);
PRAGMA user_version = 1;
"""


def create_old(folder, script):
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(script)
    return path


def list_columns(database):
    tables = database.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')")
    return {
        table["name"]: {
            (column["name"], column["type"], column["notnull"], column["pk"])
            for column in database.rows(f"PRAGMA table_info({table['name']})")
        }
        for table in tables
    }


@pytest.mark.parametrize("script", [VERSION_1, VERSION_2])
def test_an_upgraded_database_has_the_tables_of_a_new_one(tmp_path, script):
    new = ProjectDatabase(tmp_path / "new.db")
    upgraded = ProjectDatabase(create_old(tmp_path, script))
    expected, found = list_columns(new), list_columns(upgraded)
    new.close()
    upgraded.close()

    assert found == expected


def test_a_database_of_an_earlier_version_is_upgraded(tmp_path):
    path = create_old(tmp_path, VERSION_1)

    with pytest.raises(InputError, match="open it once without --read-only"):
        ProjectDatabase(path, read_only=True)
    database = ProjectDatabase(path)
    verdict = database.row("SELECT run, pick, author, answer, threshold FROM verdict")
    suggested = database.rows("SELECT * FROM suggested")
    database.close()

    assert verdict == {"run": "r1", "pick": 7, "author": "", "answer": "yes", "threshold": 0.5}
    assert suggested == []
    ProjectDatabase(path, read_only=True).close()


def test_labels_survive_the_upgrade_from_version_2(tmp_path):
    path = create_old(tmp_path, VERSION_2)

    database = ProjectDatabase(path)
    label = database.row("SELECT id, x, author, batch FROM label")
    database.close()

    assert label == {"id": "a", "x": 5.0, "author": "me", "batch": None}


def test_a_later_version_and_other_files_are_rejected(tmp_path):
    later = tmp_path / "later.db"
    with sqlite3.connect(later) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    (tmp_path / "text.db").write_text("not a database, but as long as one" * 20)

    for path, message in ((later, "later version"), (tmp_path / "text.db", "not a project")):
        with pytest.raises(FormatError, match=message):
            ProjectDatabase(path)
