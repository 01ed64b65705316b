"""The ledger of long work: what is done is done once, kept, and never mistaken for other work."""

import contextlib
import os
import zipfile

import numpy as np
import pytest

from cryopick.errors import BusyError, InputError, MicrographError, OutputExistsError
from cryopick.runs.ledger import Ledger, identify_file


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.tsv"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_text("pixels")
    return path


def never():
    pytest.fail("it was made twice")


def begun(parts, outputs=(), overwrite=False, **options):
    return parts.start(outputs, overwrite=overwrite, **options)


class CutOffError(Exception):
    pass


def cut_off(parts, *items, **options):
    """Do some items, and be interrupted."""
    with contextlib.suppress(CutOffError), begun(parts, **options):
        for item in items:
            parts.compute_once(item, dict)
        raise CutOffError


def test_an_item_is_made_once_and_comes_back_as_it_was(out):
    parts = Ledger.for_output(out, ["work"])
    made = {"xy": np.array([[0.1, 1e-17]]), "name": np.array(["é"])}

    with begun(parts, [out]):
        first = parts.compute_once("item", lambda: made)
        again = parts.compute_once("item", never)
    with begun(parts, [out]):
        later = parts.compute_once("item", never)

    for result in (first, again, later):
        assert set(result) == {"xy", "name"}
        assert result["xy"].tobytes() == made["xy"].tobytes()
        assert result["name"].tolist() == ["é"]


def test_an_item_that_fails_leaves_nothing(out):
    parts = Ledger.for_output(out, ["work"])

    with begun(parts):
        with pytest.raises(ZeroDivisionError):
            parts.compute_once("item", lambda: 1 / 0)
        assert parts.compute_once("item", dict) == {}


def test_other_items_and_other_work_have_results_of_their_own(out):
    for number, work in enumerate(("one", "other")):
        parts = Ledger.for_output(out, [work])
        with begun(parts) as goes_on:
            assert not goes_on
            for item in ("a", "b"):
                made = np.array([number, ord(item)])
                assert (
                    parts.compute_once(item, lambda made=made: {"is": made})["is"] == made
                ).all()


def test_what_exists_is_refused_unless_this_very_work_made_it_or_was_cut_off(out):
    out.write_text("old")
    work, other = Ledger.for_output(out, ["work"]), Ledger.for_output(out, ["other work"])
    with pytest.raises(OutputExistsError, match=r"out\.tsv: already exists; overwrite it"):
        begun(work, [out]).__enter__()
    assert not work.folder.exists()

    cut_off(work, "item", outputs=[out], overwrite=True)

    with pytest.raises(OutputExistsError):
        begun(other, [out]).__enter__()
    with begun(work, [out]) as goes_on:
        assert "unfinished batch" in goes_on
        out.write_text("new")
    with begun(work, [out]) as goes_on:
        assert "finished results" in goes_on
    out.write_text("changed by the user")
    with pytest.raises(OutputExistsError):
        begun(work, [out]).__enter__()


def test_more_files_may_come_but_none_may_be_left_out(out, tmp_path):
    files = [tmp_path / name for name in "abc"]
    for path in files:
        path.touch()
    parts = Ledger.for_output(out, ["work"])

    def do(paths, **options):
        with begun(parts, [out], inputs=paths, **options):
            made = [p.name for p in parts.list_missing(paths, "it")]
            for path in paths:
                parts.compute_once("it", dict, reads=path)
            out.write_text(str(len(paths)))
        return made

    assert do(files[:2]) == ["a", "b"]
    assert do(files) == ["c"]
    with pytest.raises(OutputExistsError, match=r"made from 1 files that are missing now.*/b;"):
        do([files[0], files[2]])
    assert do(files[:1], overwrite=True) == []
    assert out.read_text() == "1"


def test_one_hidden_file_is_left_or_none(out):
    for work, keep in (("one", True), ("other", True), ("other", False)):
        parts = Ledger.for_output(out, [work])
        with begun(parts, keep=keep):
            parts.compute_once("item", dict)

        assert [path.name for path in out.parent.iterdir()] == [".out.tsv.done"]


def test_work_that_did_nothing_leaves_nothing(out):
    cut_off(Ledger.for_output(out, ["work"]))

    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"PK", b"\0" * 300, None])
def test_damaged_parts_are_made_again(out, damage):
    parts = Ledger.for_output(out, ["work"])
    cut_off(parts, "a", "b")
    part = sorted(parts.folder.glob("*/*.npz"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    again = []

    with begun(parts):
        for item in "ab":
            parts.compute_once(item, lambda item=item: again.append(item) or {})

    assert len(again) == 1


@pytest.mark.parametrize("cut", [0, 10, 60])
def test_a_damaged_ledger_is_none_and_what_exists_is_asked_about(out, cut):
    parts = Ledger.for_output(out, ["work"])
    with begun(parts, [out]):
        parts.compute_once("item", lambda: {"a": np.zeros(9)})
        out.write_text("table")
    data = bytearray(parts.archive.read_bytes())
    data[cut : cut + 40] = b"\xff" * 40
    parts.archive.write_bytes(data)

    with pytest.raises(OutputExistsError):
        begun(parts, [out]).__enter__()
    made = []
    with begun(parts, [out], overwrite=True):
        parts.compute_once("item", lambda: made.append(1) or {})
    assert made
    assert zipfile.ZipFile(parts.archive).testzip() is None


def test_what_an_item_wrote_is_written_again_where_it_is_gone_or_changed(out, tmp_path):
    parts, map_file, made = Ledger.for_output(out, ["work"]), tmp_path / "map", []

    def write():
        made.append(1)
        map_file.write_text("map")
        return {}

    with begun(parts, [map_file]):
        for _ in range(2):
            parts.compute_once("item", write, writes=map_file)
        assert len(made) == 1
        map_file.write_text("half")
        parts.compute_once("item", write, writes=map_file)
        map_file.unlink()
        parts.compute_once("item", write, writes=map_file)

    assert len(made) == 3


def test_a_file_that_changes_while_it_is_used_is_not_taken_for_done(out, source):
    parts = Ledger.for_output(out, ["work"])
    with begun(parts, inputs=[source]):
        source.write_text("other pixels")
        with pytest.raises(MicrographError, match="changed since this run began; run it again"):
            parts.compute_once("item", dict, reads=source)
        assert parts.list_missing([source], "item") == [source]
    with begun(parts, inputs=[source]):
        parts.compute_once("item", dict, reads=source)
        assert parts.list_missing([source], "item") == []


def test_a_file_that_vanishes_is_reported(out, source):
    parts = Ledger.for_output(out, ["work"])
    source.unlink()

    with (
        begun(parts, inputs=[source]),
        pytest.raises(InputError, match=r"a\.mrc: cannot be read: No such file"),
    ):
        parts.compute_once("item", dict, reads=source)


def test_one_at_a_time(out):
    pytest.importorskip("fcntl")
    parts = Ledger.for_output(out, ["work"])

    with begun(parts):
        with pytest.raises(BusyError, match=rf"process {os.getpid()} on .* is working on it"):
            begun(Ledger.for_output(out, ["other"]), overwrite=True).__enter__()
        parts.compute_once("item", dict)

    with begun(parts) as goes_on:
        assert goes_on


def test_without_locks_work_is_done_all_the_same(out, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with begun(Ledger.for_output(out, ["work"])) as goes_on:
        assert not goes_on


def test_a_file_that_changes_is_another_file(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(b"1234")
    os.utime(path, ns=(0, 0))
    seen = {identify_file(path)}

    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 0))
    seen.add(identify_file(path))
    os.utime(path, ns=(0, 1))
    seen.add(identify_file(path))

    assert len(seen) == 3
    assert identify_file(tmp_path / "." / "a.mrc") in seen
