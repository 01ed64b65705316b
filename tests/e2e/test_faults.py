"""Full disks, deleted files and concurrent runs lose nothing and leave no partial files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests import tiny

if os.name != "posix":
    pytest.skip("signals and limits are others there", allow_module_level=True)

from tests.commands import start

pytestmark = pytest.mark.slow
_ROOM_BYTES = 6 * 4096  # pages: records of the run and one or two of six results
PICK = "pick mics --model m.safetensors --threshold -100 --device cpu"


@pytest.fixture(autouse=True)
def inputs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    tiny.micrographs("mics", 6)
    tiny.model("m.safetensors")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room; root may make one, others skip."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_full_costs_nothing_but_time(small_disk):
    assert start(f"{PICK} -o whole.json").finish()[0] == 0
    ballast = small_disk / "ballast"
    room = shutil.disk_usage(small_disk).free
    ballast.write_bytes(bytes(room - _ROOM_BYTES))

    status, told = start(f"{PICK} -o {small_disk}/picks.json").finish()

    assert status == 1
    assert "No space left on device" in told
    assert str(small_disk) in told
    assert "Traceback" not in told
    assert not (small_disk / "picks.json").exists()
    kept = [path for path in small_disk.glob(".*/*/*") if path.suffix == ".npz"]
    assert kept
    assert not [path for path in kept if path.name.startswith(".")]

    ballast.unlink()
    status, told = start(f"{PICK} -o {small_disk}/picks.json").finish()
    assert (status, "resuming from the unfinished batch" in told) == (0, True), told
    assert (small_disk / "picks.json").read_bytes() == Path("whole.json").read_bytes()


def test_two_runs_at_once_make_one_table_and_tell_who_was_late():
    assert start(f"{PICK} -o whole.json").finish()[0] == 0

    told = [run.finish() for run in [start(f"{PICK} -o picks.json") for _ in range(3)]]

    assert any(status == 0 for status, _ in told)
    for status, text in told:
        assert status == 0 or "is working on it; wait until it ends" in text
    assert Path("picks.json").read_bytes() == Path("whole.json").read_bytes()
    assert not list(Path().glob(".*.parts"))


def test_two_runs_with_other_settings_do_not_mix():
    both = [start(f"{PICK} -o picks.json --margin-ang {margin}") for margin in (0, 300)]
    told = [run.finish() for run in both]

    statuses = sorted(status for status, _ in told)
    assert statuses[0] == 0
    if statuses[1]:
        assert any("working on it" in text or "already exists" in text for _, text in told)
    margin = 0 if told[0][0] == 0 else 300
    assert f"margin_ang = {float(margin)}" in Path("picks.settings.toml").read_text()


def test_a_micrograph_that_vanished_is_asked_about_and_the_table_stays():
    assert start(f"{PICK} -o picks.json").finish()[0] == 0
    before = Path("picks.json").read_bytes()
    Path("mics/mic_2.mrc").unlink()

    status, told = start(f"{PICK} -o picks.json").finish()

    assert status == 1
    assert "mic_2.mrc; add them, overwrite it with --force or choose another name" in told
    assert Path("picks.json").read_bytes() == before
