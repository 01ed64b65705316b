"""Soak test: pick many micrographs under injected faults, and compare with an undisturbed run.

    python -m tests.e2e.soak [--micrographs 2000] [--rounds 30] [--seed 1] [--folder runs/soak]

In each round micrographs are added, the same command runs again, and a random fault is injected:
the process is killed, file sizes are limited as on a full disk, micrographs are deleted, truncated
or modified during the run, stored results are damaged, or the command runs twice concurrently.
After each round the table is complete or unchanged, and the exit status is correct; the final
table equals that of the undisturbed run, byte by byte.

- `soak`: run the test.
"""

import argparse
import json
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tests import tiny
from tests.commands import RunningCommand, start

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks

__all__ = ["FAULTS", "soak"]

_PICK = "pick mics --model m.safetensors -o picks.json --threshold -100 --device cpu"
FAULTS = ("kill", "disk", "vanish", "cut", "touch", "damage", "twice", "none")
_FEW_BYTES, _SOME_BYTES = 400, 30_000  # less than a part takes, and less than a table does
_TIMEOUT_S = 1800


def soak(folder: Path, micrographs: int, rounds: int, seed: int) -> dict[str, object]:
    """Run the test, and return a summary.

    Raises:
        AssertionError: Something was lost, written partially, or reported wrongly.
    """
    clean, faulty = folder / "clean", folder / "faulty"
    shutil.rmtree(folder, ignore_errors=True)
    _write_micrographs(clean / "mics", micrographs)
    tiny.model(clean / "m.safetensors")
    began = time.monotonic()
    assert start(_PICK, folder=clean).finish(timeout_s=_TIMEOUT_S)[0] == 0
    clean_s = time.monotonic() - began
    (faulty / "mics").mkdir(parents=True)
    shutil.copy(clean / "m.safetensors", faulty)
    trial = _Trial(clean / "mics", faulty, random.Random(seed), rounds)
    began = time.monotonic()
    for number in range(rounds):
        trial.round(number)
    trial.end()
    assert (faulty / "picks.json").read_bytes() == (clean / "picks.json").read_bytes()
    assert not list(faulty.glob(".*.parts"))
    return {
        "micrographs": micrographs,
        "rounds": rounds,
        "seed": seed,
        "faults": dict(trial.faults),
        "statuses": {str(status): count for status, count in trial.statuses.items()},
        "clean_run_s": round(clean_s),
        "faulty_runs_s": round(time.monotonic() - began),
    }


def _write_micrographs(folder: Path, count: int) -> None:
    """Write small, different micrographs, without waiting for the disk."""
    folder.mkdir(parents=True)
    image, _ = tiny.blobs(0, shape=(64, 72))
    write_mrc(folder / "model.mrc", image, pixel_size_ang=(tiny.PIXEL_ANG, tiny.PIXEL_ANG))
    header = (folder / "model.mrc").read_bytes()[: -image.nbytes]
    (folder / "model.mrc").unlink()
    rng = np.random.default_rng(0)
    for number in range(count):
        own = np.roll(image, number, axis=(0, 1)) + rng.normal(0, 3, image.shape)
        data = header + own.astype("<f4").tobytes()
        (folder / f"mic_{number:05}.mrc").write_bytes(data)


class _Trial:
    """The faulty runs."""

    def __init__(self, source: Path, folder: Path, rng: random.Random, rounds: int) -> None:
        self._folder, self._rng = folder, rng
        self._mics, self._table = folder / "mics", folder / "picks.json"
        self._to_come = sorted(source.iterdir())
        self._a_round = -(-len(self._to_come) // max(1, rounds - 2))
        self._whole: dict[Path, bytes] = {}  # of micrographs that are cut short or away
        self.faults: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def round(self, number: int) -> None:
        """Add micrographs and inject a fault."""
        for path in self._to_come[: self._a_round]:
            shutil.copy2(path, self._mics)
        del self._to_come[: self._a_round]
        fault = FAULTS[number % len(FAULTS)] if number < len(FAULTS) else self._rng.choice(FAULTS)
        self.faults[fault] += 1
        getattr(self, f"_{fault}")()
        self._mend()

    def end(self) -> None:
        """Add and restore all micrographs; the command must pick the rest."""
        for path in self._to_come:
            shutil.copy2(path, self._mics)
        status = self._judge(*self._finish(self._start()))
        assert status == 0

    def _kill(self) -> None:
        running, parts = self._start(), self._folder / ".picks.json.parts"
        last = len(list(parts.glob("*/[!.]*.npz"))) + self._rng.randint(0, self._a_round)
        while not running.has_ended and len(list(parts.glob("*/[!.]*.npz"))) < last:
            time.sleep(0.01)
        time.sleep(self._rng.uniform(0, 0.2))
        running.send_signal(signal.SIGKILL)
        self._judge(*self._finish(running))

    def _disk(self) -> None:
        limit = self._rng.choice((_FEW_BYTES, _SOME_BYTES))
        self._judge(*self._finish(self._start(limit)))

    def _vanish(self) -> None:
        running = self._start()
        for path in self._some():
            self._whole[path] = path.read_bytes()
            path.unlink()
            time.sleep(self._rng.uniform(0, 0.05))
        self._judge(*self._finish(running))

    def _cut(self) -> None:
        for path in self._some():
            self._whole[path] = path.read_bytes()
            path.write_bytes(self._whole[path][: self._rng.randrange(5000)])
        self._judge(*self._finish(self._start()))

    def _touch(self) -> None:
        running = self._start()
        for path in self._some():
            path.touch()
            time.sleep(self._rng.uniform(0, 0.2))
        self._judge(*self._finish(running))

    def _damage(self) -> None:
        self._kill()
        parts = sorted(self._folder.glob(".picks.json.parts/*/*"))
        for path in self._rng.sample(parts, min(len(parts), 5)):
            path.write_bytes(path.read_bytes()[: self._rng.randrange(200)] + b"\0" * 9)

    def _twice(self) -> None:
        both = [self._start() for _ in range(2)]
        told = [self._finish(running) for running in both]
        for status, text in told:
            assert status == 0 or "is working on it" in text or "skipped" in text, text
            self._judge(status, text)

    def _none(self) -> None:
        self._judge(*self._finish(self._start()))

    def _start(self, max_file_bytes: int | None = None) -> RunningCommand:
        return start(_PICK, folder=self._folder, max_file_bytes=max_file_bytes)

    def _finish(self, running: RunningCommand) -> tuple[int, str]:
        return running.finish(timeout_s=_TIMEOUT_S)

    def _some(self) -> list[Path]:
        there = sorted(self._mics.iterdir())
        return self._rng.sample(there, min(len(there), 1 + len(there) // 50))

    def _mend(self) -> None:
        for path, data in self._whole.items():
            path.write_bytes(data)
        self._whole.clear()

    def _judge(self, status: int, told: str) -> int:
        """Check that the table is complete and the exit status correct."""
        self.statuses[status] += 1
        assert status in (0, 1, -signal.SIGKILL), told
        assert "Traceback" not in told, told
        if self._table.exists():
            names = set(read_picks(self._table).micrographs)
            assert names, "the table is empty"
            if status == 0:
                there = {f"mics/{path.name}" for path in self._mics.iterdir()}
                away = {f"mics/{path.name}" for path in self._whole}
                assert there <= names <= there | away, "0 means that all are in the table"
        else:
            assert status != 0, told
        return status


def main() -> None:
    """Run it, and print what happened as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micrographs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/soak"))
    given = parser.parse_args()
    print(json.dumps(soak(given.folder.resolve(), given.micrographs, given.rounds, given.seed)))  # noqa: T201


if __name__ == "__main__":
    main()
