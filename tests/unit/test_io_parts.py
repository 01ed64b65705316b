"""Parts of long work: made once, kept until the end, never mistaken for others."""

import os

import numpy as np
import pytest

from cryopick.errors import OutputExistsError
from cryopick.io.parts import Parts, file_identity


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.tsv"


def test_an_item_is_made_once_and_comes_back_as_it_was(out):
    parts = Parts.beside(out, ["work"])
    parts.begin([out], overwrite=False)
    made = {"xy": np.array([[0.1, 1e-17]]), "name": np.array(["é"])}

    first = parts.once("item", lambda: made)
    again = parts.once("item", lambda: pytest.fail("it was made twice"))

    for result in (first, again):
        assert set(result) == {"xy", "name"}
        assert result["xy"].tobytes() == made["xy"].tobytes()
        assert result["name"].tolist() == ["é"]


def test_an_item_that_fails_leaves_nothing(out):
    parts = Parts.beside(out, ["work"])
    parts.begin([], overwrite=False)

    with pytest.raises(ZeroDivisionError):
        parts.once("item", lambda: 1 / 0)

    assert parts.once("item", dict) == {}


def test_other_items_and_other_work_have_results_of_their_own(out):
    one, other = Parts.beside(out, ["one"]), Parts.beside(out, ["other"])
    for number, parts in enumerate((one, other)):
        assert not parts.begin([], overwrite=False)
        for item in ("a", "b"):
            made = np.array([number, ord(item)])
            assert (parts.once(item, lambda made=made: {"is": made})["is"] == made).all()


def test_what_exists_is_refused_unless_this_very_work_was_cut_off(out):
    out.write_text("old")
    with pytest.raises(OutputExistsError, match=r"out\.tsv: exists already; replace it with"):
        Parts.beside(out, ["work"]).begin([out], overwrite=False)

    assert Parts.beside(out, ["work"]).begin([out], overwrite=True) is False
    assert Parts.beside(out, ["work"]).begin([out], overwrite=False) is True
    with pytest.raises(OutputExistsError):
        Parts.beside(out, ["other work"]).begin([out], overwrite=False)


def test_nothing_is_left_at_the_end(out):
    for work in ("one", "other"):
        parts = Parts.beside(out, [work])
        parts.begin([], overwrite=False)
        parts.once("item", dict)

    parts.remove()

    assert list(out.parent.iterdir()) == []


def test_a_file_that_changes_is_another_file(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(b"1234")
    os.utime(path, ns=(0, 0))
    seen = {file_identity(path)}

    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 0))
    seen.add(file_identity(path))
    os.utime(path, ns=(0, 1))
    seen.add(file_identity(path))

    assert len(seen) == 3
    assert file_identity(tmp_path / "." / "a.mrc") in seen
