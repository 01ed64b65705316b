"""Micrographs that are still to come: which are complete, and what becomes of them."""

import errno
import json
import os
import signal
import time
from itertools import count, pairwise
from pathlib import Path

import pytest
from tests import tiny

from cryopick.distributed import live_picking as station
from cryopick.distributed.watch_folder import Watcher, there_now
from cryopick.io.tables.pick_tables import read_picks
from cryopick.runs.ledger import Ledger

WATCH = "watch mics --model m.safetensors --threshold -100 -o out --every-s 0.05"


def grow(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_a_file_is_given_out_when_it_has_stopped_growing(tmp_path):
    watcher = Watcher(lambda: sorted(tmp_path.iterdir()))
    path = tmp_path / "a"
    grow(path, b"1")
    assert watcher.complete() == []
    grow(path, b"2")
    assert watcher.complete() == []
    assert watcher.complete() == [path]
    watcher.done(path)
    assert watcher.complete() == []
    assert watcher.waiting == 0

    grow(path, b"3")
    assert watcher.complete() == []
    assert watcher.complete() == [path]


def test_an_empty_file_and_one_that_vanishes_are_waited_for(tmp_path):
    names = [tmp_path / "gone", tmp_path / "empty"]
    (tmp_path / "empty").touch()
    watcher = Watcher(lambda: names)

    assert [watcher.complete() for _ in range(3)] == [[], [], []]


def test_a_file_that_fails_is_given_up_until_it_changes(tmp_path):
    path = tmp_path / "a"
    grow(path, b"1")
    watcher = Watcher(lambda: [path], most_failures=2)
    watcher.complete()
    for _ in range(2):
        assert watcher.complete() == [path]
        watcher.failed(path)
    assert watcher.complete() == []

    grow(path, b"2")
    watcher.complete()
    assert watcher.complete() == [path]


def test_a_folder_that_is_not_there_yet_is_waited_for():
    assert there_now(["no-such-folder", "no*.mrc"]) == []


def test_a_folder_that_is_missing_does_not_hold_the_others_back(tmp_path):
    (tmp_path / "a.mrc").touch()

    assert there_now(["gone", str(tmp_path), str(tmp_path / "*.mrc")]) == [tmp_path / "a.mrc"]


def tables():
    """What each table holds, and when it was written."""
    found = Path("out").glob("*_autopick.star")
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def status():
    return json.loads(Path("out/status.json").read_text())


def test_watching_picks_what_comes_and_never_twice(project):
    said = project(f"{WATCH} --until-idle-s 0.3").stderr
    assert said.count("particles;") == 5
    assert "picked 5 micrographs, 5 in all" in said
    first = tables()
    assert len(first) == 5

    Path("mics/mic_8.mrc").write_bytes(Path("mics/mic_0.mrc").read_bytes())
    Path("mics/mic_9.mrc").write_bytes(b"cut short")
    said = project(f"{WATCH} --until-idle-s 0.5", status=1).stderr

    assert "picked 1 micrographs, 6 in all" in said
    assert "1 micrographs could not be used: mics/mic_9.mrc" in said
    now = tables()
    assert {name: now[name] for name in first} == first
    told = status()
    assert (told["picked"], told["failed"], told["waiting"], told["running"]) == (6, 1, 0, False)
    assert told["particles"] == len(read_picks(Path("out/autopick.star")))
    assert "given up" in Path("out/status.html").read_text()


def test_a_table_that_is_gone_is_written_again(project):
    project(f"{WATCH} --until-idle-s 0.2")
    first = tables()
    Path("out/mic_3_autopick.star").unlink()

    said = project(f"{WATCH} --until-idle-s 0.2").stderr

    assert "picked 0 micrographs, 5 in all" in said
    assert {name: data for name, (data, _) in tables().items()} == {
        name: data for name, (data, _) in first.items()
    }


def test_a_full_disk_is_waited_out(project, monkeypatch):
    full = iter([True] * 8)
    real = station.write_picks_per_micrograph

    def write(*words, **options):
        if next(full, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*words, **options)

    monkeypatch.setattr(station, "write_picks_per_micrograph", write)
    said = project(f"{WATCH} --until-idle-s 0.5").stderr

    assert "No space left on device; it is tried again" in said
    assert len(tables()) == 5
    assert status()["failed"] == 0


def test_one_bad_micrograph_never_stops_a_watch(project, monkeypatch):
    from cryopick.pick.picker import Picker

    pick = Picker._pick

    def fail(self, path):
        if path.name == "mic_1.mrc":
            raise RuntimeError("what torch would say")
        return pick(self, path)

    monkeypatch.setattr(Picker, "_pick", fail)
    said = project(f"{WATCH} --until-idle-s 0.5", status=1).stderr

    assert "given up, until it changes: what torch would say" in said
    assert len(tables()) == 4


def test_two_watches_do_not_share_a_folder(project):
    parts = Ledger.for_output(Path("out"), ["another"])
    with parts.start([], overwrite=True):
        said = project(f"{WATCH} --until-idle-s 0.2", status=1).stderr

    assert "is working on it" in said


def test_two_micrographs_of_one_stem_are_told_apart_or_refused(project):
    Path("more").mkdir()
    Path("more/mic_1.mrc").write_bytes(Path("mics/mic_2.mrc").read_bytes())

    said = project(f"{WATCH} more --until-idle-s 0.5", status=1).stderr
    assert "more/mic_1.mrc: its table would replace that of mics/mic_1.mrc; rename it" in said
    assert len(tables()) == 5

    both = tiny.LINE.replace("mics", "mics more", 1)
    assert "would both be written to" in project(f"{both} -o each/", status=1).stderr
    project(f"{both} -o picks.star")
    found = dict(read_picks(Path("picks.star")).split_by_micrograph())
    assert len(found) == 6
    assert (found["more/mic_1.mrc"].xy_px == found["mics/mic_2.mrc"].xy_px).all()


def in_pieces(path, pieces, monkeypatch):
    """Write a file while it is watched: a piece before every look, however fast those are."""
    path.touch()
    left = iter(pieces)
    sizes = []

    def look(arguments):
        grow(path, next(left, b""))
        sizes.append((path.stat().st_size, f"{path.stem}_autopick.star" in tables()))
        return there_now(arguments)

    monkeypatch.setattr("cryopick.distributed.watch_folder.there_now", look)
    return sizes


PIECES = {
    "steadily": (0, 100, 1024, 3000, 20_000, 30_000, None),
    "with a rest": (0, 1024, *[20_000] * 4, 30_000, None),
}


@pytest.mark.parametrize("ends", PIECES.values(), ids=PIECES)
def test_a_micrograph_that_is_written_slowly_is_picked_when_it_is_whole(project, monkeypatch, ends):
    project(f"{tiny.LINE} -o picks.star")
    path = Path("mics/mic_3.mrc")
    data = path.read_bytes()
    path.unlink()
    pieces = [data[end:after] for end, after in pairwise(ends)]
    looks = in_pieces(path, pieces, monkeypatch)

    said = project(f"{WATCH} --until-idle-s 0.5").stderr

    assert said.count("mic_3.mrc: ") - said.count("given up") == 1
    assert ("given up, until it changes: mics/mic_3.mrc" in said) == (len(ends) > 7)
    assert {size for size, is_picked in looks if is_picked} == {len(data)}
    assert (status()["picked"], status()["failed"]) == (5, 0)
    expected = dict(read_picks(Path("picks.star")).split_by_micrograph())["mics/mic_3.mrc"]
    found = read_picks(Path("out/mic_3_autopick.star"))
    assert (found.xy_px == expected.xy_px).all()


def test_a_micrograph_that_changes_is_picked_again_and_counted_once(project, monkeypatch):
    looks = count()

    def look(arguments):
        if next(looks) == 2:  # after the one that gave out all
            Path("mics/mic_0.mrc").write_bytes(Path("mics/mic_1.mrc").read_bytes())
        return there_now(arguments)

    monkeypatch.setattr("cryopick.distributed.watch_folder.there_now", look)
    said = project(f"{WATCH} --until-idle-s 0.3").stderr

    assert said.count("mics/mic_0.mrc: ") == 2
    assert "picked 5 micrographs, 5 in all" in said
    assert status()["particles"] == len(read_picks(Path("out/autopick.star")))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are others there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_watch_that_was_stopped_goes_on_and_repeats_nothing(project, number):
    from tests.commands import start

    for more in range(5, 25):
        os.link(f"mics/mic_{more % 5}.mrc", f"mics/mic_{more}.mrc")
    running = start(WATCH)
    while not tables():
        assert not running.has_ended, running.finish()[1]
        time.sleep(0.01)
    running.send_signal(number)
    ended, said = running.finish()
    before = tables()
    assert ended == (-number if number == signal.SIGKILL else 0), said
    if not ended:
        assert f"picked {len(before)} micrographs, {len(before)} in all" in said
        assert (status()["picked"], status()["running"]) == (len(before), False)

    said = project(f"{WATCH} --until-idle-s 0.3").stderr

    now = tables()
    assert len(now) == 25
    assert {name: now[name] for name in before} == before
    assert said.count("particles;") == 25 - len(before)
    assert (status()["picked"], status()["failed"]) == (25, 0)
