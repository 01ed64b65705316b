"""Databases of earlier versions are upgraded; other files are rejected."""

import sqlite3

import pytest

from cryopick.errors import FormatError, InputError
from cryopick.web.storage.database import ProjectDatabase

VERSION_2 = """
DROP TABLE person; DROP TABLE removed_label; DROP TABLE batch; DROP INDEX label_batch;
ALTER TABLE label DROP COLUMN batch; ALTER TABLE run DROP COLUMN deleted;
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


def test_a_database_of_an_earlier_version_is_upgraded(tmp_path):
    path = tmp_path / "labels.db"
    ProjectDatabase(path).close()
    with sqlite3.connect(path) as old:
        old.executescript(VERSION_1)
    old.close()

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
    path = tmp_path / "labels.db"
    ProjectDatabase(path).close()
    with sqlite3.connect(path) as old:
        old.executescript(VERSION_2)
    old.close()

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
