"""Tests that a damaged project opens again with all edits that are sound."""

import json
import random

import numpy as np
import pytest

from cryopick.errors import FormatError
from cryopick.io.images.mrc import write_mrc
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.annotations import AddLabel
from cryopick.web.storage.database import DamagedDatabaseError, ProjectDatabase
from cryopick.web.storage.journal_file import count_damaged_lines, read_journal
from cryopick.web.storage.label_batches import list_batches

COUNT = 40


def label(number: int) -> AddLabel:
    return AddLabel(op="add", cid=f"c{number}", id=f"l{number}", mid=1, x=number, y=2.0)


@pytest.fixture
def folder(tmp_path):
    image = np.random.default_rng(0).normal(size=(64, 64))
    write_mrc(tmp_path / "a.mrc", image, pixel_size_ang=(2.0, 2.0))
    project = AnnotationProject.open(tmp_path / "project")
    project.add_micrographs([str(tmp_path / "a.mrc")])
    project.annotations.apply([label(number) for number in range(COUNT)], "")
    project.close()
    return tmp_path / "project"


def damage(content: bytes, kind: str) -> bytes:
    rng = random.Random(kind)
    if kind.startswith("cut"):
        return content[: len(content) * int(kind[3:]) // 100]
    if kind == "text":
        return b"not a database" * 1000
    data = bytearray(content)
    start = rng.randrange(0, len(data) - 4096, 4096) if kind != "header" else 0
    data[start : start + 4096] = rng.randbytes(4096)
    return bytes(data)


@pytest.mark.parametrize(
    "kind", ["cut0", "cut5", "cut50", "cut99", "text", "header", "page1", "page2", "page3", "page4"]
)
def test_a_damaged_database_is_restored_from_the_journal(folder, kind):
    file = folder / "labels.db"
    damaged = damage(file.read_bytes(), kind)
    file.write_bytes(damaged)

    project = AnnotationProject.open(folder)

    assert project.annotations.count() == COUNT
    assert "40 edits were restored from labels.ops.jsonl" in project.state()["notes"][0]
    project.annotations.apply([label(COUNT)], "")
    project.close()
    assert len(read_journal(folder / "labels.ops.jsonl")) == COUNT + 1
    if damaged:
        assert (folder / "labels.damaged-1.db").read_bytes() == damaged


def test_a_damaged_database_without_a_journal_is_refused_and_kept(folder):
    (folder / "labels.ops.jsonl").unlink()
    (folder / "labels.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(FormatError, match="is damaged"):
        AnnotationProject.open(folder)

    assert (folder / "labels.db").read_bytes() == b"not a database" * 1000


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        "[" * 5000,
        '{"seq": "x"}',
        '{"seq": 1e400}',
        '{"seq": 99999999999999999999999}',
        '{"seq": true}',
        '{"seq": 900, "micrograph": "b.mrc"}',
        '{"seq": 900, "mid": [], "micrograph": "b.mrc"}',
        '{"seq": 900, "mid": 1e5, "micrograph": 3}',
        '{"seq": 900, "mid": 5, "micrograph": "a\\u0000b"}',
        '{"seq": 900, "mid": 5, "micrograph": "\\ud800"}',
        '{"seq": 900, "mid": 18446744073709551616, "micrograph": "b.mrc"}',
        '{"seq": 900, "op": "add", "cid": "z", "id": "z", "mid": 18446744073709551616,'
        ' "x": 1, "y": 1}',
        '{"seq": 900, "op": "add", "cid": "z", "id": "z", "mid": 1, "x": 1, "y": 1, "t": []}',
        '{"seq": 900, "op": "add", "cid": "z", "id": "z", "mid": 1, "x": NaN, "y": 1}',
        '{"seq": 900, "op": "add", "cid": "z", "id": "z", "mid": 77, "x": 1, "y": 1}',
        '{"seq": 900, "op": "delete", "cid": "z", "author": "\\ud800", "id": "z"}',
    ],
)
def test_an_odd_line_of_the_journal_costs_that_line_only(folder, line):
    journal = folder / "labels.ops.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:7], line, *lines[7:]]) + "\n")
    (folder / "labels.db").unlink()

    project = AnnotationProject.open(folder)

    assert project.annotations.count() == COUNT
    project.annotations.apply([label(COUNT)], "")
    assert project.annotations.count() == COUNT + 1
    assert json.dumps(project.state())
    project.close()


def test_damaged_lines_are_counted(tmp_path):
    (tmp_path / "j").write_text('{"seq": 1}\nx\n\n{"seq": 2\n{"seq": 3}\n')

    assert count_damaged_lines(tmp_path / "j") == 2


def test_a_database_without_tables_is_damaged(tmp_path):
    database = ProjectDatabase(tmp_path / "labels.db")
    with database.write() as db:
        db.execute("DROP TABLE op")
    database.close()

    with pytest.raises(DamagedDatabaseError, match="tables are missing"):
        ProjectDatabase(tmp_path / "labels.db")


def add_runs_and_reviews(folder, count=30):
    project = AnnotationProject.open(folder)
    with project.database.write() as db:
        for number in range(1, count + 1):
            config = json.dumps({"note": "x" * 900, "number": number})
            db.execute(
                "INSERT INTO run (id, kind, title, state, config, queued)"
                " VALUES (?, 'pick', 'Picks', 'done', ?, 0)",
                (f"r{number}", config),
            )
            db.execute(
                "INSERT INTO verdict VALUES (?, 0, '', 'yes', 'random', 0, 0, 0, 0)",
                (f"r{number}",),
            )
            (folder / "runs" / f"r{number}").mkdir()
        db.execute("UPDATE micrograph SET state = 'done', note = 'good ice'")
        db.execute("INSERT INTO batch VALUES ('b', 'a.star', 'me', 0)")
    project.close()


def test_runs_reviews_and_states_are_read_from_a_damaged_database(folder):
    add_runs_and_reviews(folder)
    file = folder / "labels.db"
    data = bytearray(file.read_bytes())
    start = next(i for i in range(0, len(data), 4096) if b'"number": 15' in data[i : i + 4096])
    data[start : start + 4096] = bytes(4096)
    file.write_bytes(data)

    project = AnnotationProject.open(folder)

    runs = {row["id"]: json.loads(row["config"])["number"] for row in project.runs.list_all()}
    assert 20 <= len(runs) < 30
    assert all(name == f"r{number}" for name, number in runs.items())
    assert {"r1", "r30"} <= set(runs)  # before and behind the damaged page
    assert project.annotations.count() == COUNT
    note = project.state()["notes"][0]
    assert f"runs, reviews and states of micrographs, {len(runs)}, 30 and 1 could be read" in note
    lost = [f"runs/r{number}" for number in range(1, 31) if f"r{number}" not in runs]
    assert set(note.split(" are in ")[1].removesuffix(".").split(", ")) == set(lost)
    row = project.database.row("SELECT state, note FROM micrograph")
    assert row == {"state": "done", "note": "good ice"}
    assert [batch["name"] for batch in list_batches(project.database)] == ["a.star"]
    project.close()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_page_is_damaged_the_project_opens_with_all_edits(folder, seed):
    add_runs_and_reviews(folder, 12)
    file = folder / "labels.db"
    file.write_bytes(damage(file.read_bytes(), f"page{seed}"))

    project = AnnotationProject.open(folder)

    assert project.annotations.count() == COUNT
    assert all(row["kind"] == "pick" for row in project.runs.list_all())
    project.close()
