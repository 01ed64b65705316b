"""The project's database: taken over from an earlier version, refused where it is none of ours."""

import sqlite3

import pytest

from cryopick.errors import FormatError, InputError
from cryopick.web.project.database import Store

VERSION_1 = """
DROP TABLE suggested;
DROP TABLE verdict;
CREATE TABLE verdict (
    run TEXT NOT NULL, pick INTEGER NOT NULL, answer TEXT NOT NULL, sample TEXT NOT NULL,
    threshold REAL, edge_ang REAL, min_distance_ang REAL, t REAL NOT NULL,
    PRIMARY KEY (run, pick));
INSERT INTO verdict VALUES ('r1', 7, 'yes', 'random', 0.5, 0, 0, 1.0);
PRAGMA user_version = 1;
"""


def test_what_an_earlier_version_kept_is_taken_over(tmp_path):
    path = tmp_path / "labels.db"
    Store(path).close()
    with sqlite3.connect(path) as old:
        old.executescript(VERSION_1)
    old.close()

    with pytest.raises(InputError, match="open it once without --read-only"):
        Store(path, read_only=True)
    store = Store(path)
    found = store.row("SELECT run, pick, author, answer, threshold FROM verdict")
    empty = store.rows("SELECT * FROM suggested")
    store.close()

    assert found == {"run": "r1", "pick": 7, "author": "", "answer": "yes", "threshold": 0.5}
    assert empty == []
    Store(path, read_only=True).close()


def test_a_later_version_and_other_files_are_refused(tmp_path):
    later = tmp_path / "later.db"
    with sqlite3.connect(later) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at" * 20)

    for path, why in ((later, "later version"), (tmp_path / "text.db", "no project")):
        with pytest.raises(FormatError, match=why):
            Store(path)
