"""Annotations follow from the journal of edits, however often an edit is sent."""

import errno
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests import tiny

from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.annotations import Annotations, Operation
from cryopick.web.storage.database import ProjectDatabase
from cryopick.web.storage.journal_file import JournalFile, read_journal
from cryopick.web.storage.restore import restore_annotations

OPS = st.one_of(
    st.builds(
        lambda i, x, kind: {"op": "add", "id": f"l{i}", "mid": 1, "x": x, "y": x, "kind": kind},
        st.integers(0, 4),
        st.floats(0, 90),
        st.sampled_from(["pos", "neg"]),
    ),
    st.builds(
        lambda i, x: {"op": "move", "id": f"l{i}", "x": x, "y": 0},
        st.integers(0, 4),
        st.floats(0, 9),
    ),
    st.builds(lambda i: {"op": "delete", "id": f"l{i}"}, st.integers(0, 4)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(OPS, max_size=12), st.data())
def test_repeated_edits_are_applied_once_and_can_be_restored_from_the_journal(ops, data):
    named = [{**op, "cid": f"c{number}"} for number, op in enumerate(ops)]
    operations = TypeAdapter(list[Operation]).validate_python(named)
    with tempfile.TemporaryDirectory() as folder:
        database, file = (
            ProjectDatabase(Path(folder) / "labels.db"),
            Path(folder) / "labels.ops.jsonl",
        )
        with database.write() as db:
            db.execute("INSERT INTO micrograph (id, path, name) VALUES (1, 'a', 'a')")
        annotations, sent = Annotations(database, JournalFile(file, database)), 0
        while sent < len(operations):
            upto = data.draw(st.integers(sent + 1, len(operations)))
            back = data.draw(st.integers(0, sent))
            annotations.apply(operations[back:upto], "")  # unacknowledged edits are sent again
            sent = upto
        journal, labels = annotations.list_since(0), annotations.list_on(1)["labels"]
        database.close()
        new_database = ProjectDatabase(Path(folder) / "new.db")
        restored = restore_annotations(new_database, read_journal(file))
        copy = Annotations(new_database, JournalFile(file, new_database))
        is_same = (copy.list_since(0), copy.list_on(1)["labels"]) == (journal, labels)
        new_database.close()

    expected = {}
    for op in journal:
        if op["op"] == "add":
            expected[op["id"]] = (op["x"], op["y"], op["kind"])
        elif op["op"] == "move" and op["id"] in expected:
            expected[op["id"]] = (op["x"], op["y"], expected[op["id"]][2])
        elif op["op"] == "delete":
            expected.pop(op["id"], None)
    assert {one["id"]: (one["x"], one["y"], one["kind"]) for one in labels} == expected
    assert [op["cid"] for op in journal] == [op["cid"] for op in named]
    assert restored == len(ops)
    assert is_same


def add_label(name):
    return TypeAdapter(Operation).validate_python(
        {"op": "add", "cid": f"c{name}", "id": f"l{name}", "mid": 1, "x": 1, "y": 2}
    )


@pytest.fixture
def project_folder(tmp_path):
    tiny.micrographs(tmp_path / "mics", 1)
    folder = tmp_path / "p.cryopick"
    project = AnnotationProject.open(folder)
    project.micrographs.add([str(tmp_path / "mics")])
    project.annotations.apply([add_label(1), add_label(2)], "me")
    project.close()
    return folder


def test_labels_are_restored_if_the_database_is_lost(project_folder):
    (project_folder / "labels.db").unlink()

    project = AnnotationProject.open(project_folder)
    state = project.state()
    names = [label["id"] for label in project.annotations.list_on(1)["labels"]]
    project.annotations.apply([add_label(3)], "me")
    project.close()

    assert names == ["l1", "l2"]
    assert "2 edits were restored from labels.ops.jsonl" in state["notes"][0]
    assert state["n_micrographs"] == 1
    assert [line["seq"] for line in read_journal(project_folder / "labels.ops.jsonl")] == [1, 2, 3]


def test_a_truncated_line_is_written_again(project_folder):
    file = project_folder / "labels.ops.jsonl"
    file.write_bytes(file.read_bytes()[:-20])

    project = AnnotationProject.open(project_folder)
    project.annotations.apply([add_label(3)], "me")
    project.close()

    assert [line["cid"] for line in read_journal(file)] == ["c1", "c2", "c3"]


def test_an_edit_is_saved_if_the_journal_file_cannot_be_written(project_folder, monkeypatch):
    file = project_folder / "labels.ops.jsonl"
    project = AnnotationProject.open(project_folder)

    def raise_full_disk(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", raise_full_disk)
        assert len(project.annotations.apply([add_label(3)], "me")) == 1
    project.annotations.apply([add_label(4)], "me")
    project.close()

    assert [line["cid"] for line in read_journal(file)] == ["c1", "c2", "c3", "c4"]
