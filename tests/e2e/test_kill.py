"""A command that was killed at any moment gives the same result when it runs again.

The signal is SIGKILL, which cannot be caught. Its time is random in
each run of the tests; the message of a failure contains it.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests import tiny

if os.name != "posix":
    pytest.skip("there is no SIGKILL", allow_module_level=True)

from tests.commands import start

TRAIN = (
    f"train --init random -m mics -p labels.tsv --diameter-ang {tiny.DIAMETER_ANG:g} "
    f"--working-pixel-size-ang {tiny.PIXEL_ANG:g} --particles-per-micrograph 12 --seed 3 "
    "--steps 24 --checkpoint-every 3 --width 2 --unlabelled-patches 1 --positive-patches 1 "
    "--dropout 0.1 --autoencoder 10/N --held-out-frac 0.3 --device cpu"
)
PICK = "pick many --model m.safetensors --step-px 1 --device cpu"


@pytest.fixture(autouse=True)
def inputs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    tiny.micrographs("mics")


def finish(line):
    status, told = start(line).finish()
    assert status == 0, told
    return told


def kill_once(line, results, count):
    """Start a command, and kill it soon after `count` results of that pattern were written."""
    running, seen = start(line), set()
    deadline = time.monotonic() + 600
    while len(seen) < count:
        assert not running.has_ended, running.finish()[1]
        assert time.monotonic() < deadline
        seen |= {(path, path.stat().st_mtime_ns) for path in Path().glob(results)}
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.02))
    running.send_signal(signal.SIGKILL)
    assert running.finish()[0] == -signal.SIGKILL, f"it was done after {count} results"


def test_a_killed_training_goes_on_to_the_same_model():
    finish(f"{TRAIN} -o whole.safetensors")
    count = random.randint(1, 5)
    kill_once(f"{TRAIN} -o killed.safetensors", "killed.run/checkpoint.safetensors", count)
    assert not Path("killed.safetensors").exists()

    told = finish(f"{TRAIN} -o killed.safetensors")

    assert "resuming at step" in told
    whole, killed = Path("whole.safetensors"), Path("killed.safetensors")
    assert whole.read_bytes() == killed.read_bytes(), f"killed after {count} results"
    curves = [Path(f"{name}.run/curves.tsv").read_text() for name in ("whole", "killed")]
    assert curves[0] == curves[1]


def test_a_killed_picking_goes_on_to_the_same_table():
    tiny.model("m.safetensors")
    Path("many").mkdir()
    for number in range(20):
        os.link(f"mics/mic_{number % 3}.mrc", f"many/mic_{number:02}.mrc")
    finish(f"{PICK} -o whole.tsv")
    count = random.randint(1, 12)
    kill_once(f"{PICK} -o killed.tsv", ".killed.tsv.parts/*/[!.]*.npz", count)
    assert not Path("killed.tsv").exists()

    told = finish(f"{PICK} -o killed.tsv")

    assert "resuming from the unfinished batch" in told
    whole, killed = Path("whole.tsv"), Path("killed.tsv")
    assert whole.read_bytes() == killed.read_bytes(), f"killed after {count} results"
    assert sorted(path.name for path in Path().glob(".*")) == [
        ".killed.tsv.done",
        ".whole.tsv.done",
    ]
