"""Live picking: detection of complete micrographs, their tables, and the status."""

import errno
import json
import os
import signal
import time
from itertools import count, pairwise
from pathlib import Path

import pytest
from tests import tiny

from cryopick.distributed import live_picking
from cryopick.distributed.status import WatchStatus, write_status
from cryopick.distributed.watch_folder import FolderWatcher, find_present_micrographs
from cryopick.errors import format_count
from cryopick.io.tables.pick_tables import read_picks
from cryopick.runs.ledger import Ledger

WATCH = "watch mics --model m.safetensors --threshold -100 -o out --every-s 0.05"


def grow(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_a_file_is_complete_when_it_stops_growing(tmp_path):
    watcher = FolderWatcher(lambda: sorted(tmp_path.iterdir()))
    path = tmp_path / "a"
    grow(path, b"1")
    assert watcher.find_complete() == []
    grow(path, b"2")
    assert watcher.find_complete() == []
    assert watcher.find_complete() == [path]
    watcher.record_success(path)
    assert watcher.find_complete() == []
    assert watcher.waiting == 0

    grow(path, b"3")
    assert watcher.find_complete() == []
    assert watcher.find_complete() == [path]


def test_empty_and_removed_files_are_not_complete(tmp_path):
    names = [tmp_path / "gone", tmp_path / "empty"]
    (tmp_path / "empty").touch()
    watcher = FolderWatcher(lambda: names)

    assert [watcher.find_complete() for _ in range(3)] == [[], [], []]


def test_a_failed_file_is_skipped_until_it_changes(tmp_path):
    path = tmp_path / "a"
    grow(path, b"1")
    watcher = FolderWatcher(lambda: [path], max_failures=2)
    watcher.find_complete()
    for _ in range(2):
        assert watcher.find_complete() == [path]
        watcher.record_failure(path)
    assert watcher.find_complete() == []

    grow(path, b"2")
    watcher.find_complete()
    assert watcher.find_complete() == [path]


def test_a_missing_folder_contains_no_micrographs_yet():
    assert find_present_micrographs(["no-such-folder", "no*.mrc"]) == []


def test_a_missing_folder_does_not_hide_other_folders(tmp_path):
    (tmp_path / "a.mrc").touch()

    assert find_present_micrographs(["gone", str(tmp_path), str(tmp_path / "*.mrc")]) == [
        tmp_path / "a.mrc"
    ]


def read_tables():
    """Return the contents and the modification time of each table, by name."""
    paths = Path("out").glob("*_autopick.star")
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def read_status():
    return json.loads(Path("out/status.json").read_text())


def test_each_new_micrograph_is_picked_once(run_with_model):
    messages = run_with_model(f"{WATCH} --until-idle-s 0.3").stderr
    assert messages.count("particles;") == 5
    assert "picked 5 new micrographs, 5 in total" in messages
    first = read_tables()
    assert len(first) == 5

    Path("mics/mic_8.mrc").write_bytes(Path("mics/mic_0.mrc").read_bytes())
    Path("mics/mic_9.mrc").write_bytes(b"cut short")
    messages = run_with_model(f"{WATCH} --until-idle-s 0.5", status=1).stderr

    assert "picked 1 new micrograph, 6 in total" in messages
    assert "could not use 1 micrograph: mics/mic_9.mrc" in messages
    tables = read_tables()
    assert {name: tables[name] for name in first} == first
    status = read_status()
    assert (status["picked"], status["failed"], status["waiting"], status["running"]) == (
        6,
        1,
        0,
        False,
    )
    assert status["particles"] == len(read_picks(Path("out/autopick.star")))
    page = Path("out/status.html").read_text()
    assert "<h2>Failed micrographs</h2>" in page
    assert page.count("<li>") == 1


def test_the_status_page_escapes_names_and_messages(tmp_path):
    name = 'a"><script>alert(1)</script>.mrc'
    status = WatchStatus(last=name).with_failure(name, f"{name}: unreadable")

    write_status(status, tmp_path)

    page = (tmp_path / "status.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 2
    assert "default-src 'none'" in page


def test_a_removed_table_is_written_again(run_with_model):
    run_with_model(f"{WATCH} --until-idle-s 0.2")
    first = read_tables()
    Path("out/mic_3_autopick.star").unlink()

    messages = run_with_model(f"{WATCH} --until-idle-s 0.2").stderr

    assert "picked 0 new micrographs, 5 in total" in messages
    assert {name: data for name, (data, _) in read_tables().items()} == {
        name: data for name, (data, _) in first.items()
    }


def test_live_picking_waits_for_a_full_disk(run_with_model, monkeypatch):
    full = iter([True] * 8)
    real = live_picking.write_picks_per_micrograph

    def write(*words, **options):
        if next(full, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*words, **options)

    monkeypatch.setattr(live_picking, "write_picks_per_micrograph", write)
    messages = run_with_model(f"{WATCH} --until-idle-s 0.5").stderr

    assert "No space left on device; retrying until the disk is available" in messages
    assert len(read_tables()) == 5
    assert read_status()["failed"] == 0


def test_a_failing_micrograph_does_not_stop_live_picking(run_with_model, monkeypatch):
    from cryopick.pick.picker import Picker

    pick = Picker._pick

    def fail(self, path):
        if path.name == "mic_1.mrc":
            raise RuntimeError("an error of torch")
        return pick(self, path)

    monkeypatch.setattr(Picker, "_pick", fail)
    messages = run_with_model(f"{WATCH} --until-idle-s 0.5", status=1).stderr

    assert "failed, will be retried when the file changes: an error of torch" in messages
    assert len(read_tables()) == 4


def test_two_watches_of_one_output_folder_are_refused(run_with_model):
    ledger = Ledger.for_output(Path("out"), ["another"])
    with ledger.start([], overwrite=True):
        messages = run_with_model(f"{WATCH} --until-idle-s 0.2", status=1).stderr

    assert "is working on it" in messages


def test_two_micrographs_with_one_stem_are_distinguished_or_refused(run_with_model):
    Path("more").mkdir()
    Path("more/mic_1.mrc").write_bytes(Path("mics/mic_2.mrc").read_bytes())

    messages = run_with_model(f"{WATCH} more --until-idle-s 0.5", status=1).stderr
    assert "more/mic_1.mrc: its table would replace that of mics/mic_1.mrc; rename it" in messages
    assert len(read_tables()) == 5

    both = tiny.LINE.replace("mics", "mics more", 1)
    assert "would both be written to" in run_with_model(f"{both} -o each/", status=1).stderr
    run_with_model(f"{both} -o picks.star")
    tables = dict(read_picks(Path("picks.star")).split_by_micrograph())
    assert len(tables) == 6
    assert (tables["more/mic_1.mrc"].xy_px == tables["mics/mic_2.mrc"].xy_px).all()


def write_in_pieces(path, pieces, monkeypatch):
    """Write a file while it is watched, one piece before each check, regardless of their speed."""
    path.touch()
    remaining_pieces = iter(pieces)
    sizes = []

    def list_files(arguments):
        grow(path, next(remaining_pieces, b""))
        sizes.append((path.stat().st_size, f"{path.stem}_autopick.star" in read_tables()))
        return find_present_micrographs(arguments)

    monkeypatch.setattr("cryopick.distributed.watch_folder.find_present_micrographs", list_files)
    return sizes


PIECES = {
    "without a pause": (0, 100, 1024, 3000, 20_000, 30_000, None),
    "with a pause": (0, 1024, *[20_000] * 4, 30_000, None),
}


@pytest.mark.parametrize("ends", PIECES.values(), ids=PIECES)
def test_a_slowly_written_micrograph_is_picked_when_it_is_complete(
    run_with_model, monkeypatch, ends
):
    run_with_model(f"{tiny.LINE} -o picks.star")
    path = Path("mics/mic_3.mrc")
    data = path.read_bytes()
    path.unlink()
    pieces = [data[end:after] for end, after in pairwise(ends)]
    checks = write_in_pieces(path, pieces, monkeypatch)

    messages = run_with_model(f"{WATCH} --until-idle-s 0.5").stderr

    assert messages.count("mic_3.mrc: ") - messages.count("failed, will") == 1
    assert ("failed, will be retried when the file changes: mics/mic_3.mrc" in messages) == (
        len(ends) > 7
    )
    assert {size for size, is_picked in checks if is_picked} == {len(data)}
    assert (read_status()["picked"], read_status()["failed"]) == (5, 0)
    expected = dict(read_picks(Path("picks.star")).split_by_micrograph())["mics/mic_3.mrc"]
    picks = read_picks(Path("out/mic_3_autopick.star"))
    assert (picks.xy_px == expected.xy_px).all()


def test_a_micrograph_that_changes_is_picked_again_and_counted_once(run_with_model, monkeypatch):
    check_numbers = count()

    def list_files(arguments):
        if next(check_numbers) == 2:  # after the check that returned all files
            Path("mics/mic_0.mrc").write_bytes(Path("mics/mic_1.mrc").read_bytes())
        return find_present_micrographs(arguments)

    monkeypatch.setattr("cryopick.distributed.watch_folder.find_present_micrographs", list_files)
    messages = run_with_model(f"{WATCH} --until-idle-s 0.3").stderr

    assert messages.count("mics/mic_0.mrc: ") == 2
    assert "picked 5 new micrographs, 5 in total" in messages
    assert read_status()["particles"] == len(read_picks(Path("out/autopick.star")))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stopped_watch_resumes_without_repeating_work(run_with_model, number):
    from tests.commands import start

    for extra in range(5, 25):
        os.link(f"mics/mic_{extra % 5}.mrc", f"mics/mic_{extra}.mrc")
    running = start(WATCH)
    while not read_tables():
        assert not running.has_ended, running.finish()[1]
        time.sleep(0.01)
    running.send_signal(number)
    exit_status, messages = running.finish()
    before = read_tables()
    assert exit_status == (-number if number == signal.SIGKILL else 0), messages
    if not exit_status:
        words = format_count(len(before), "new micrograph")
        assert f"picked {words}, {len(before)} in total" in messages
        assert (read_status()["picked"], read_status()["running"]) == (len(before), False)

    messages = run_with_model(f"{WATCH} --until-idle-s 0.3").stderr

    tables = read_tables()
    assert len(tables) == 25
    assert {name: tables[name] for name in before} == before
    assert messages.count("particles;") == 25 - len(before)
    assert (read_status()["picked"], read_status()["failed"]) == (25, 0)
