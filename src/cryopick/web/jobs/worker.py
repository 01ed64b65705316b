"""Run the commands of a run one after the other, independently of the server.

    python -m cryopick.web.jobs.worker RUN_FOLDER

The folder's plan.json lists the commands as `commands`, the number of completed ones as `begin`,
and the command to run after an interruption as `on_stop`. Output goes to log.txt, the result to
status.json.

- `main`: runs the plan.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from cryopick.web.jobs.run_progress import EVENTS_FILE, LOG_FILE

__all__ = ["main"]

_PYTHON = (sys.executable, "-c", "from cryopick.cli import main; main()")
PROGRESS_VARIABLE = "CRYOPICK_PROGRESS_FILE"  # file to which commands append their events
_INTERRUPTED = 130
_RESEND_S = 30


def main(folder: Path) -> int:
    """Run the plan; return the exit status of the command that failed, or 0."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    os.nice(5)  # the page has priority
    is_stopped = False

    def stop(*_: int | FrameType | None) -> None:
        nonlocal is_stopped
        is_stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    status = 0
    with (folder / LOG_FILE).open("ab") as log:
        environment = {**os.environ, PROGRESS_VARIABLE: str(folder / EVENTS_FILE)}

        def run(words: list[str], should_stop: Callable[[], bool]) -> int:
            with subprocess.Popen(
                [*_PYTHON, *words], stdout=log, stderr=log, env=environment
            ) as process:
                return _wait(process, should_stop)

        for number, words in enumerate(plan["commands"]):
            if number < plan.get("begin", 0):
                continue
            _write_status(folder, "running", number, 0)
            status = run(words, lambda: is_stopped)
            if status or is_stopped:
                break
        if is_stopped and status == _INTERRUPTED and plan["on_stop"]:
            status = run(plan["on_stop"], lambda: False)
    state = "stopped" if is_stopped else "failed" if status else "done"
    _write_status(folder, state, len(plan["commands"]), status)
    return status


def _wait(process: subprocess.Popen[bytes], should_stop: Callable[[], bool]) -> int:
    """Wait for a command, and interrupt it; a command that is starting may miss the signal."""
    waited_s = 0
    while True:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if should_stop():
                if waited_s % _RESEND_S == 0:
                    process.send_signal(signal.SIGINT)
                waited_s += 1


def _write_status(folder: Path, state: str, number: int, status: int) -> None:
    temporary = folder / ".status.json"
    temporary.write_text(json.dumps({"state": state, "command": number, "status": status}))
    temporary.rename(folder / "status.json")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
