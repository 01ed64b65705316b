"""Labels are what the journal of edits leads to, however often an edit is sent."""

import errno
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests import tiny

from cryopick.web.project.annotations import Marks, Operation
from cryopick.web.project.database import Store
from cryopick.web.project.journal_file import OpsFile, read_ops
from cryopick.web.project.project import Desk
from cryopick.web.project.restore import restore

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
def test_any_edits_however_often_they_come_are_those_of_the_journal(ops, data):
    named = [{**op, "cid": f"c{number}"} for number, op in enumerate(ops)]
    known = TypeAdapter(list[Operation]).validate_python(named)
    with tempfile.TemporaryDirectory() as folder:
        store, file = Store(Path(folder) / "labels.db"), Path(folder) / "labels.ops.jsonl"
        with store.write() as db:
            db.execute("INSERT INTO micrograph (id, path, name) VALUES (1, 'a', 'a')")
        marks, sent = Marks(store, OpsFile(file, store)), 0
        while sent < len(known):
            upto = data.draw(st.integers(sent + 1, len(known)))
            back = data.draw(st.integers(0, sent))
            marks.apply(known[back:upto], "")  # what was not acknowledged comes again
            sent = upto
        journal, found = marks.since(0), marks.on(1)["labels"]
        store.close()
        again = Store(Path(folder) / "again.db")
        restored = restore(again, read_ops(file))
        anew = Marks(again, OpsFile(file, again))
        same = (anew.since(0), anew.on(1)["labels"]) == (journal, found)
        again.close()

    expected = {}
    for op in journal:
        if op["op"] == "add":
            expected[op["id"]] = (op["x"], op["y"], op["kind"])
        elif op["op"] == "move" and op["id"] in expected:
            expected[op["id"]] = (op["x"], op["y"], expected[op["id"]][2])
        elif op["op"] == "delete":
            expected.pop(op["id"], None)
    assert {one["id"]: (one["x"], one["y"], one["kind"]) for one in found} == expected
    assert [op["cid"] for op in journal] == [op["cid"] for op in named]
    assert restored == len(ops)
    assert same


def added(name):
    return TypeAdapter(Operation).validate_python(
        {"op": "add", "cid": f"c{name}", "id": f"l{name}", "mid": 1, "x": 1, "y": 2}
    )


@pytest.fixture
def project(tmp_path):
    tiny.micrographs(tmp_path / "mics", 1)
    folder = tmp_path / "p.cryopick"
    desk = Desk.open(folder)
    desk.micrographs.add([str(tmp_path / "mics")])
    desk.marks.apply([added(1), added(2)], "me")
    desk.close()
    return folder


def test_labels_are_still_there_when_the_database_is_lost(project):
    (project / "labels.db").unlink()

    desk = Desk.open(project)
    told = desk.state()
    names = [label["id"] for label in desk.marks.on(1)["labels"]]
    desk.marks.apply([added(3)], "me")
    desk.close()

    assert names == ["l1", "l2"]
    assert "2 edits were read from labels.ops.jsonl" in told["notes"][0]
    assert told["n_micrographs"] == 1
    assert [line["seq"] for line in read_ops(project / "labels.ops.jsonl")] == [1, 2, 3]


def test_a_line_that_was_cut_off_is_written_again(project):
    file = project / "labels.ops.jsonl"
    file.write_bytes(file.read_bytes()[:-20])

    desk = Desk.open(project)
    desk.marks.apply([added(3)], "me")
    desk.close()

    assert [line["cid"] for line in read_ops(file)] == ["c1", "c2", "c3"]


def test_an_edit_is_kept_where_its_copy_in_text_cannot_be_written(project, monkeypatch):
    file, desk = project / "labels.ops.jsonl", Desk.open(project)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert len(desk.marks.apply([added(3)], "me")) == 1
    desk.marks.apply([added(4)], "me")
    desk.close()

    assert [line["cid"] for line in read_ops(file)] == ["c1", "c2", "c3", "c4"]
