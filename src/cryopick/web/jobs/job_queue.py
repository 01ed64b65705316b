"""Training and picking in a child process: one at a time, the others wait.

The child (`work`) outlives the server; a server that starts again finds it by its number and the
time it was born, and goes on telling of it.

- `Jobs`: the queue, and what is known of each run.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, InputError
from cryopick.web.jobs.commands import write_plan
from cryopick.web.jobs.run_records import Runs
from cryopick.web.project.database import now
from cryopick.web.run_log import read_log

__all__ = ["Jobs"]

_LOOK_S = 0.5


class Jobs:
    """What is at work.

    Args:
        runs: The project's runs.
        tell: Called with a run, as the page knows it, whenever something happened to it.
        idle: Begin nothing and follow nothing: the project is only looked at.
    """

    def __init__(
        self, runs: Runs, tell: Callable[[dict[str, Any]], None], *, idle: bool = False
    ) -> None:
        self._runs, self._tell = runs, tell
        self._ends = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="jobs")
        if not idle:
            self._thread.start()

    def queue(self, run: str) -> dict[str, Any]:
        """Let a run begin when those before it have ended."""
        self._wake.set()
        return self.shown(self._runs.one(run))

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
        write_plan(folder, {**plan, "begin": begin})
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
            "seconds": max(0.0, ends - row["started"]) if row["started"] else None,
            "progress": progress,
            "curves": curves,
            "log": log,
        }

    def close(self) -> None:
        """Stop looking; what is at work goes on, and is found again."""
        self._ends.set()
        self._wake.set()
        if self._thread.is_alive():
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
            [sys.executable, "-m", "cryopick.web.jobs.worker", str(folder)],
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
        folder, row = self._runs.folder(run), self._runs.one(run)
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
        if state == "done" and row["kind"] == "suggest":
            self._runs.take_order(run)
        self._runs.change(run, state=state, message=message, ended=now())
        self._tell(self.shown(self._runs.one(run)))


def _can_resume(row: dict[str, Any]) -> bool:
    return row["state"] in ("stopped", "failed")


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
