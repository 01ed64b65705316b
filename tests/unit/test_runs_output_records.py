"""Tests that no command replaces what the user wrote or changed."""

import os
from pathlib import Path

import pytest

from cryopick.errors import OutputExistsError
from cryopick.io.inputs import find_micrographs
from cryopick.runs import output_records
from cryopick.runs.atomic_write import atomic_write, observe_writes
from cryopick.runs.ledger import Ledger
from cryopick.runs.output_records import OutputRecords, file_state


def write(path: Path, text: str) -> None:
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text)


def interrupt(ledger: Ledger, output: Path, *, text: str | None = None, overwrite=False) -> None:
    """Run a batch that is killed after one item, and possibly after writing its output."""

    def run() -> None:
        with ledger.start([output], overwrite=overwrite):
            ledger.compute_once("item", dict)
            if text is not None:
                write(output, text)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()


def write_output(output: Path, text: str, *, is_finished: bool) -> Ledger:
    """Run a batch that writes its output, and is then finished or killed."""
    ledger = Ledger.for_output(output, ["work"])
    if not is_finished:
        interrupt(ledger, output, text=text)
        return ledger
    with ledger.start([output], overwrite=False):
        ledger.compute_once("first", dict)
        write(output, text)
    return ledger


@pytest.mark.parametrize("written", [None, "picks"])
@pytest.mark.parametrize("earlier", [None, "finished"])
def test_an_output_changed_by_the_user_is_not_replaced_on_resuming(tmp_path, written, earlier):
    output = tmp_path / "p.tsv"
    ledger = Ledger.for_output(output, ["work"])
    if earlier:
        write_output(output, earlier, is_finished=True)
    interrupt(ledger, output, text=written)
    output.write_text("edited by hand")

    with (
        pytest.raises(OutputExistsError, match="already exists"),
        ledger.start([output], overwrite=False),
    ):
        raise AssertionError("the batch must not start")
    assert output.read_text() == "edited by hand"
    with ledger.start([output], overwrite=True):
        write(output, "new")
    assert output.read_text() == "new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_written_before_the_interruption_is_replaced_on_resuming(tmp_path, overwrite):
    output = tmp_path / "p.tsv"
    if overwrite:
        output.write_text("of the user, who allows to replace it")
    ledger = Ledger.for_output(output, ["work"])
    interrupt(ledger, output, text="picks" if not overwrite else None, overwrite=overwrite)

    with ledger.start([output], overwrite=False) as source:
        write(output, "complete")

    assert "unfinished" in source
    assert output.read_text() == "complete"


@pytest.mark.parametrize("content", [b"", b"\xff", b"[", b"[" * 10_000, b"3", b'{"a": 1}'])
def test_damaged_records_protect_the_output(tmp_path, content):
    output = tmp_path / "p.tsv"
    records = OutputRecords(tmp_path / "records")
    records.accept([])
    with records.record_writes([output]):
        write(output, "picks")
    assert records.list_changed([output]) == []

    for path in records.folder.iterdir():
        path.write_bytes(content)

    assert records.list_changed([output]) == [output]


def test_only_plain_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OutputExistsError, match="device or a pipe"):
            write(path, "x")

    assert (tmp_path / "pipe").is_fifo()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)

    write(path, "new")

    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "new"


def test_an_observer_sees_the_complete_file_before_it_has_its_name(tmp_path):
    seen = []

    def observe(path, temporary):
        seen.append((path.name, path.exists(), temporary.read_text()))

    with observe_writes(observe):
        write(tmp_path / "a", "text")
    write(tmp_path / "b", "text")

    assert seen == [("a", False, "text")]


def test_a_link_into_a_closed_folder_stays_in_the_list_of_a_folder(tmp_path, monkeypatch):
    for name in ("a.mrc", "z.mrc"):
        (tmp_path / name).write_bytes(b"x")
    is_file = Path.is_file

    def refuse(path):
        if path.name == "z.mrc":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)

    assert [path.name for path in find_micrographs([str(tmp_path)])] == ["a.mrc", "z.mrc"]


@pytest.mark.parametrize("is_finished", [False, True])
def test_an_edit_of_the_same_size_and_time_is_the_users(tmp_path, is_finished):
    output = tmp_path / "p.tsv"
    ledger = write_output(output, "score 1.25", is_finished=is_finished)
    times_ns = output.stat().st_atime_ns, output.stat().st_mtime_ns
    output.write_text("score 1.35")
    os.utime(output, ns=times_ns)

    with (
        pytest.raises(OutputExistsError, match="already exists"),
        ledger.start([output], overwrite=False),
    ):
        raise AssertionError("the batch must not start")


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_copy_of_an_output_is_still_that_output(tmp_path, is_finished):
    output = tmp_path / "p.tsv"
    ledger = write_output(output, "score 1.25", is_finished=is_finished)
    os.utime(output, (1, 1))

    with ledger.start([output], overwrite=False):
        write(output, "score 2")
    assert output.read_text() == "score 2"


def test_large_outputs_are_recognized_by_size_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(output_records, "_MAX_CHECKED_BYTES", 4)
    path = tmp_path / "a.mrcs"
    path.write_bytes(b"12345")
    state = file_state(path)

    os.utime(path, (1, 1))

    assert file_state(path) != state
    path.write_bytes(b"1234")
    short = file_state(path)
    os.utime(path, (1, 1))
    assert file_state(path) == short
