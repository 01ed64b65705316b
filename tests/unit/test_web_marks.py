"""Labels are what the journal of edits leads to, however often an edit is sent."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cryopick.web.marks import Marks, Operation
from cryopick.web.store import Store

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
        store = Store(Path(folder) / "labels.db")
        with store.write() as db:
            db.execute("INSERT INTO micrograph (id, path, name) VALUES (1, 'a', 'a')")
        marks, sent = Marks(store), 0
        while sent < len(known):
            upto = data.draw(st.integers(sent + 1, len(known)))
            back = data.draw(st.integers(0, sent))
            marks.apply(known[back:upto], "")  # what was not acknowledged comes again
            sent = upto
        journal, found = marks.since(0), marks.on(1)["labels"]
        store.close()

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
