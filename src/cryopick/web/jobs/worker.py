"""Do the commands of a run one after the other, whatever becomes of the server.

    python -m cryopick.web.jobs.worker RUN_FOLDER

The folder's plan.json lists them as `commands`, as `begin` how many are done already, and as
`on_stop` what is to be done when one was stopped; what they say goes to log.txt, and how it
ended to status.json.

- `main`: all of it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

__all__ = ["main"]

_PYTHON = (sys.executable, "-c", "from cryopick.cli import main; main()")
_STOPPED = 130
_PATIENCE_S = 30


def main(folder: Path) -> int:
    """Carry out the plan; the exit status of the command that failed, or 0."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    os.nice(5)  # the page comes first
    told_to_stop = False

    def stop(*_: int | FrameType | None) -> None:
        nonlocal told_to_stop
        told_to_stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    status = 0
    with (folder / "log.txt").open("ab") as log:

        def do(words: list[str], may_stop: Callable[[], bool]) -> int:
            with subprocess.Popen([*_PYTHON, *words], stdout=log, stderr=log) as process:
                return _ended(process, may_stop)

        for number, words in enumerate(plan["commands"]):
            if number < plan.get("begin", 0):
                continue
            _tell(folder, "running", number, 0)
            status = do(words, lambda: told_to_stop)
            if status or told_to_stop:
                break
        if told_to_stop and status == _STOPPED and plan["on_stop"]:
            status = do(plan["on_stop"], lambda: False)
    ended = "stopped" if told_to_stop else "failed" if status else "done"
    _tell(folder, ended, len(plan["commands"]), status)
    return status


def _ended(process: subprocess.Popen[bytes], is_told_to_stop: Callable[[], bool]) -> int:
    """Wait for the end of a command; to one that is just starting the signal may be lost."""
    waited_s = 0
    while True:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if is_told_to_stop():
                if waited_s % _PATIENCE_S == 0:
                    process.send_signal(signal.SIGINT)
                waited_s += 1


def _tell(folder: Path, state: str, number: int, status: int) -> None:
    temporary = folder / ".status.json"
    temporary.write_text(json.dumps({"state": state, "command": number, "status": status}))
    temporary.rename(folder / "status.json")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
