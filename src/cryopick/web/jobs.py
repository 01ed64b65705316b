"""Training and picking in a child process: one at a time, the others wait.

The child (`work`) outlives the server; a server that starts again finds it by its number and the
time it was born, and goes on telling of it.

- `Jobs`: the queue, and what is known of each run.
- `TrainForm`: what the page asks for.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, InputError
from cryopick.io import write_picks
from cryopick.io.regions import write_regions
from cryopick.web.log import read_log
from cryopick.web.marks import Marks
from cryopick.web.micrographs import Micrographs
from cryopick.web.runs import Runs
from cryopick.web.store import now

__all__ = ["PRESETS", "Jobs", "TrainForm"]

_LOOK_S = 0.5
_FLOOR = "-6"
PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "usual": ("The usual way, under a minute", ()),
    "quick": ("A quick look", ("--steps", "100")),
    "long": ("Longer, for many labels", ("--steps", "900")),
}


@dataclass(frozen=True)
class TrainForm:
    """What a training is asked to do.

    Attributes:
        diameter_ang: Particle diameter.
        particles_per_micrograph: How many are expected.
        preset: One of `PRESETS`.
        pick: Whether to pick all micrographs afterwards.
        held_out: Numbers of fully labelled micrographs to judge by.
    """

    diameter_ang: float
    particles_per_micrograph: float
    preset: str = "usual"
    pick: bool = True
    held_out: tuple[int, ...] = ()


class Jobs:
    """What is at work.

    Args:
        runs: The project's runs.
        micrographs: Its micrographs.
        marks: Its labels.
        tell: Called with a run, as the page knows it, whenever something happened to it.
    """

    def __init__(
        self,
        runs: Runs,
        micrographs: Micrographs,
        marks: Marks,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._runs, self._micrographs, self._marks, self._tell = runs, micrographs, marks, tell
        self._ends = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="jobs")
        self._thread.start()

    def train(self, form: TrainForm) -> dict[str, Any]:
        """Queue a training, with the labels as they are now.

        Raises:
            InputError: There is no label, or no micrograph to pick.
        """
        labels, usable = self._marks.table("pos"), self._micrographs.usable()
        if not len(labels):
            raise InputError("mark some particles first")
        config = {"labels": len(labels), "held_out": form.held_out, **_fields(form)}
        run = self._runs.create("train", "Training", config)
        folder = self._runs.folder(run)
        write_picks(labels, folder / "labels.json")
        held = [usable[mid] for mid in form.held_out if mid in usable]
        learnt = [path for path in usable.values() if path not in held]
        named = set(labels.micrographs)
        ours = [path for path in learnt if str(path) in named] or learnt
        _listed(folder / "train.lst", ours)
        words = ["train", "-m", f"@{folder / 'train.lst'}", "-p", str(folder / "labels.json")]
        words += ["-o", str(folder / "model.safetensors"), *self._of(form)]
        if held:
            _listed(folder / "held_out.lst", held)
            words += ["--held-out-micrographs", f"@{folder / 'held_out.lst'}"]
            words += ["--held-out-picks", str(folder / "labels.json")]
        negatives = self._marks.table("neg").restrict([str(path) for path in ours])
        if len(negatives):
            write_picks(negatives, folder / "negatives.json")
            words += ["--negatives", str(folder / "negatives.json")]
        ignored = self._ignored(folder)
        commands = [[*words, *ignored]]
        if form.pick:
            commands.append(self._picking(folder, usable, folder / "model.safetensors", ignored))
        self._plan(folder, commands, on_stop=[*words, *ignored, "--finish"])
        self._wake.set()
        return self.shown(self._runs.one(run))

    def pick(self, diameter_ang: float) -> dict[str, Any]:
        """Queue a picking of all micrographs by the general model."""
        usable = self._micrographs.usable()
        if not usable:
            raise InputError("bring micrographs first")
        run = self._runs.create("pick", "General model", {"diameter_ang": diameter_ang})
        folder = self._runs.folder(run)
        words = self._picking(folder, usable, None, self._ignored(folder))
        self._plan(folder, [[*words, "--diameter-ang", f"{diameter_ang:g}"]], on_stop=[])
        self._wake.set()
        return self.shown(self._runs.one(run))

    def _of(self, form: TrainForm) -> list[str]:
        return [
            *("--diameter-ang", f"{form.diameter_ang:g}"),
            *("--particles-per-micrograph", f"{form.particles_per_micrograph:g}"),
            *PRESETS[form.preset][1],
            *self._pixel_size(),
        ]

    def _pixel_size(self) -> list[str]:
        stated = self._micrographs.stated_pixel_size_ang
        return ["--pixel-size-ang", f"{stated:g}"] if stated else []

    def _ignored(self, folder: Path) -> list[str]:
        regions = self._marks.regions()
        if not regions.polygons:
            return []
        write_regions(regions, folder / "ignore.json")
        return ["--ignore", str(folder / "ignore.json")]

    def _picking(
        self, folder: Path, usable: dict[int, Path], model: Path | None, ignored: list[str]
    ) -> list[str]:
        _listed(folder / "pick.lst", list(usable.values()))
        words = ["pick", f"@{folder / 'pick.lst'}", "-o", str(folder / "picks.json"), "--force"]
        words += ["--threshold", _FLOOR, *self._pixel_size(), *ignored]
        return words if model is None else [*words, "--model", str(model)]

    def _plan(self, folder: Path, commands: list[list[str]], *, on_stop: list[str]) -> None:
        _planned(folder, {"commands": commands, "on_stop": on_stop, "begin": 0})

    def stop(self, run: str) -> dict[str, Any]:
        """Stop a run: a training keeps its best network."""
        row = self._runs.one(run)
        if row["state"] == "queued":
            self._runs.change(run, state="stopped", ended=now())
        elif row["state"] == "running" and _is_alive(row):
            os.kill(row["pid"], signal.SIGTERM)
        self._tell(self.shown(self._runs.one(run)))
        return self.shown(self._runs.one(run))

    def resume(self, run: str) -> dict[str, Any]:
        """Go on with a run that was stopped or failed: learn on, or pick with what it learned.

        Raises:
            InputError: Nothing of it is left to do.
        """
        row, folder = self._runs.one(run), self._runs.folder(run)
        commands = self.commands(run)
        begin = int((folder / "model.safetensors").exists())
        if not _can_resume(row) or begin >= len(commands):
            raise InputError("nothing of this run is left to do")
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        _planned(folder, {**plan, "begin": begin})
        self._runs.change(run, state="queued", message="", ended=None)
        self._wake.set()
        self._tell(self.shown(self._runs.one(run)))
        return self.shown(self._runs.one(run))

    def commands(self, run: str) -> list[list[str]]:
        """What a run typed."""
        file = self._runs.folder(run) / "plan.json"
        return json.loads(file.read_text(encoding="utf-8"))["commands"] if file.exists() else []

    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        """A run as the page knows it."""
        run, config = row["id"], json.loads(row["config"])
        log, curves, progress = read_log(self._runs.folder(run) / "log.txt")
        has_picks = self._runs.has_picks(run)
        ends = row["ended"] or now()
        return {
            "id": run,
            "kind": row["kind"],
            "title": row["title"],
            "state": row["state"],
            "message": row["message"],
            "has_picks": has_picks,
            "can_resume": _can_resume(row) and not has_picks,
            "labels": config.get("labels"),
            "recall": curves["recall"][-1] if curves["recall"] else None,
            "n_picks": len(self._runs.found(run).score) if has_picks else None,
            "seconds": ends - row["started"] if row["started"] else None,
            "progress": progress,
            "curves": curves,
            "log": log,
        }

    def close(self) -> None:
        """Stop looking; what is at work goes on, and is found again."""
        self._ends.set()
        self._wake.set()
        self._thread.join(5)

    def _watch(self) -> None:
        for row in reversed(self._runs.all()):
            if row["state"] == "running":
                self._follow(row["id"])
            elif row["state"] == "queued" and not self.commands(row["id"]):
                self._runs.change(
                    row["id"], state="failed", message="the server ended before it began"
                )
        while not self._ends.is_set():
            row = self._runs.next_queued()
            if row is None or not self.commands(row["id"]):  # it is being planned
                self._wake.wait(_LOOK_S)
                self._wake.clear()
                continue
            self._start(row["id"])
            self._follow(row["id"])

    def _start(self, run: str) -> None:
        folder = self._runs.folder(run)
        child = subprocess.Popen(
            [sys.executable, "-m", "cryopick.web.work", str(folder)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=child.wait, daemon=True).start()  # so that no zombie stays
        born = _born(child.pid)
        self._runs.change(run, state="running", pid=child.pid, pid_started=born, started=now())

    def _follow(self, run: str) -> None:
        """Tell of a run until it has ended."""
        size = -1
        while not self._ends.is_set():
            row = self._runs.one(run)
            alive = _is_alive(row)
            file = self._runs.folder(run) / "log.txt"
            grown = file.stat().st_size if file.exists() else 0
            if grown != size:
                size = grown
                self._tell(self.shown(row))
            if not alive:
                self._end(run)
                return
            self._ends.wait(_LOOK_S)

    def _end(self, run: str) -> None:
        folder = self._runs.folder(run)
        try:
            status = json.loads((folder / "status.json").read_text())
        except (OSError, ValueError):
            status = {"state": "running"}
        state, message = status["state"], ""
        if state == "running":
            state, message = (
                "failed",
                "it ended without a word; the machine may have run out of memory",
            )
        elif state == "failed":
            log, _, _ = read_log(folder / "log.txt")
            message = next((line for line in reversed(log) if "error:" in line), "see what it said")
            message = message.removeprefix("cryopick: error: ")
        if (folder / "picks.json").exists():
            try:
                self._runs.take_picks(run)
            except CryopickError as error:
                state, message = "failed", str(error)
        self._runs.change(run, state=state, message=message, ended=now())
        self._tell(self.shown(self._runs.one(run)))


def _can_resume(row: dict[str, Any]) -> bool:
    return row["state"] in ("stopped", "failed")


def _fields(form: TrainForm) -> dict[str, Any]:
    return {
        "diameter_ang": form.diameter_ang,
        "particles_per_micrograph": form.particles_per_micrograph,
        "preset": form.preset,
    }


def _planned(folder: Path, plan: dict[str, Any]) -> None:
    """Write the plan whole: with it the run may begin."""
    (folder / ".plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (folder / ".plan.json").rename(folder / "plan.json")


def _listed(file: Path, paths: list[Path]) -> None:
    file.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")


def _born(pid: int) -> float | None:
    """When a process began, in ticks since the machine did; None where that cannot be told."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _is_alive(row: dict[str, Any]) -> bool:
    if row["pid"] is None:
        return False
    try:
        os.kill(row["pid"], 0)
    except OSError:
        return False
    born = _born(row["pid"])
    if born is None:
        return row["pid_started"] is None
    state = Path(f"/proc/{row['pid']}/stat").read_text().rpartition(")")[2].split()[0]
    return born == row["pid_started"] and state != "Z"
