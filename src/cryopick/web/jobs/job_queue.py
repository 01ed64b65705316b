"""Queue of training and picking runs; one runs at a time, in a child process.

The child process (`worker`) continues when the server stops; a new server finds it by its process
number and start time, and follows it again.

- `JobQueue`: starts, follows, stops and describes runs.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, InputError
from cryopick.web.jobs.commands import preset_steps, write_plan
from cryopick.web.jobs.run_estimate import estimate_run, list_stages
from cryopick.web.jobs.run_progress import (
    RunProgress,
    has_calibrated_scores,
    progress_size,
    read_last_lines,
    read_run_progress,
)
from cryopick.web.storage.candidates import take_partial_picks
from cryopick.web.storage.database import current_time
from cryopick.web.storage.run_records import ProjectRuns

__all__ = ["JobQueue"]

_POLL_S = 0.5
_ANNOUNCE_S = 3.0  # so that the time left goes down while a stage does not report


class JobQueue:
    """The queue of a project's runs.

    Args:
        runs: Runs of the project.
        on_change: Called with the description of a run whenever the run changes.
        enabled: Start and follow runs; false for a project that is open read-only.
    """

    def __init__(
        self,
        runs: ProjectRuns,
        on_change: Callable[[dict[str, Any]], None],
        *,
        enabled: bool = True,
    ) -> None:
        self._runs, self._on_change = runs, on_change
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run_queue, daemon=True, name="jobs")
        if enabled:
            self._thread.start()

    def enqueue(self, run: str) -> dict[str, Any]:
        """Start a run as soon as the runs before it have ended; return its description."""
        self._wake.set()
        return self.describe(self._runs.find(run))

    def stop(self, run: str) -> dict[str, Any]:
        """Stop a run; a training run keeps its best model."""
        row = self._runs.find(run)
        if row["state"] == "queued":
            self._runs.change(run, state="stopped", ended=current_time())
        elif row["state"] == "running" and _is_alive(row):
            os.kill(row["pid"], signal.SIGTERM)
        return self._announce(run)

    def resume(self, run: str) -> dict[str, Any]:
        """Resume a run that was stopped or failed; picking does not repeat the training.

        Raises:
            InputError: The run is complete, or cannot be resumed.
        """
        row, folder = self._runs.find(run), self._runs.folder(run)
        commands = self.commands(run)
        begin = int((folder / "model.safetensors").exists())
        if not _can_resume(row) or begin >= len(commands):
            raise InputError(f"{row['title']}: there is nothing left to resume")
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        write_plan(folder, {**plan, "begin": begin})
        self._runs.change(run, state="queued", message="", ended=None)
        self._wake.set()
        return self._announce(run)

    def commands(self, run: str) -> list[list[str]]:
        """Return the commands of a run; none before its plan is written."""
        file = self._runs.folder(run) / "plan.json"
        return json.loads(file.read_text(encoding="utf-8"))["commands"] if file.exists() else []

    def is_calibrated(self, run: str) -> bool:
        """Return false if the scores of a run only rank its picks."""
        return has_calibrated_scores(self._runs.find(run)["kind"], self._runs.folder(run))

    def describe(self, row: dict[str, Any]) -> dict[str, Any]:
        """Describe a run for the page."""
        run, config = row["id"], json.loads(row["config"])
        folder = self._runs.folder(run)
        progress = read_run_progress(folder)
        average_precisions = progress.curves["average_precision"]
        has_picks = self._runs.has_picks(run)
        end = row["ended"] or current_time()
        return {
            "id": run,
            "kind": row["kind"],
            "title": row["title"],
            "state": row["state"],
            "message": row["message"],
            "has_picks": has_picks,
            "can_resume": _can_resume(row) and not has_picks,
            "labels": config.get("labels"),
            "average_precision": average_precisions[-1] if average_precisions else None,
            "n_picks": len(self._runs.picks(run).score) if has_picks else None,
            "seconds": max(0.0, end - row["started"]) if row["started"] else None,
            "progress": progress.current,
            "overall": self._estimate(row, progress),
            "notices": progress.notices,
            "warm_up_steps": _read_warm_up_steps(folder),
            "curves": progress.curves,
            "log": read_last_lines(folder),
        }

    def _estimate(self, row: dict[str, Any], progress: RunProgress) -> dict[str, float] | None:
        if row["state"] != "running" or not row["started"]:
            return None
        folder = self._runs.folder(row["id"])
        preset = json.loads(row["config"]).get("preset", "")
        planned = list_stages(folder, self.commands(row["id"]), preset_steps(preset))
        elapsed_s = max(0.0, current_time() - row["started"])
        return asdict(estimate_run(planned, progress.stages, elapsed_s))

    def close(self) -> None:
        """Stop following runs; a run in progress continues."""
        self._closed.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _announce(self, run: str) -> dict[str, Any]:
        description = self.describe(self._runs.find(run))
        self._on_change(description)
        return description

    def _run_queue(self) -> None:
        for row in reversed(self._runs.list_all()):
            if row["state"] == "running":
                self._follow(row["id"])
            elif row["state"] == "queued" and not self.commands(row["id"]):
                message = "the server stopped before the run was created completely"
                self._runs.change(row["id"], state="failed", message=message)
        while not self._closed.is_set():
            row = self._runs.next_queued()
            if row is None or not self.commands(row["id"]):  # its plan is being written
                self._wake.wait(_POLL_S)
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
        threading.Thread(target=child.wait, daemon=True).start()  # so that no zombie remains
        start_ticks = _start_ticks(child.pid)
        self._runs.change(
            run,
            state="running",
            pid=child.pid,
            pid_started=start_ticks,
            started=current_time(),
        )

    def _follow(self, run: str) -> None:
        """Announce the progress of a run until it has ended."""
        last_size, announced, n_picked = -1, 0.0, 0
        while not self._closed.is_set():
            row = self._runs.find(run)
            is_alive = _is_alive(row)
            size = progress_size(self._runs.folder(run))
            if size != last_size and is_alive and row["kind"] == "pick":
                n_picked = take_partial_picks(self._runs, run, n_picked)
            if size != last_size or current_time() - announced > _ANNOUNCE_S:
                last_size, announced = size, current_time()
                self._on_change(self.describe(row))
            if not is_alive:
                self._finish(run)
                return
            self._closed.wait(_POLL_S)

    def _finish(self, run: str) -> None:
        """Store the state of a run that has ended, its picks and its suggestions."""
        folder, row = self._runs.folder(run), self._runs.find(run)
        try:
            status = json.loads((folder / "status.json").read_text())
        except (OSError, ValueError):
            status = {"state": "running"}
        state, message = status["state"], ""
        if state == "running":
            state = "failed"
            message = "the run was killed; the machine may have run out of memory"
        elif state == "failed":
            lines = [line for line in read_last_lines(folder) if line.strip()]
            message = lines[-1] if lines else f"exit status {status['status']}"
        if (folder / "picks.json").exists():
            try:
                self._runs.take_picks(run)
            except CryopickError as error:
                state, message = "failed", str(error)
        if state == "done" and row["kind"] == "suggest":
            self._runs.take_suggested_order(run)
        if state == "done" and row["kind"] == "size":
            self._runs.take_size(run)
        self._runs.change(run, state=state, message=message, ended=current_time())
        self._announce(run)


def _read_warm_up_steps(folder: Path) -> int:
    """Return the number of steps before the loss is that of the labels; 0 if unknown."""
    try:
        settings = tomllib.loads((folder / "model.run" / "settings.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return 0
    steps = settings.get("warm_up_steps", 0)
    return steps if isinstance(steps, int) else 0


def _can_resume(row: dict[str, Any]) -> bool:
    return row["state"] in ("stopped", "failed")


def _start_ticks(pid: int) -> float | None:
    """Return the start time of a process in clock ticks since boot; None without /proc."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _is_alive(row: dict[str, Any]) -> bool:
    """Check that the process of a run exists, and that its number was not reused."""
    if row["pid"] is None:
        return False
    try:
        os.kill(row["pid"], 0)
    except OSError:
        return False
    start_ticks = _start_ticks(row["pid"])
    if start_ticks is None:
        return row["pid_started"] is None
    state = Path(f"/proc/{row['pid']}/stat").read_text().rpartition(")")[2].split()[0]
    return start_ticks == row["pid_started"] and state != "Z"
