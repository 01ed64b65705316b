"""Commands of cryopick's in processes of their own, to be killed, limited or run at once.

They are forked from a process that has loaded what they load, so that they begin at once.

- `start`: begin a command.
- `Running`: one that was begun.
"""

import multiprocessing
import os
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from cryopick.cli import main

__all__ = ["Running", "start"]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["cryopick.cli", "cryopick.train", "cryopick.pick.batch"])


def start(line: str, *, folder: Path | None = None, most_bytes: int | None = None) -> "Running":
    """Begin a command.

    Args:
        line: What would be typed after `cryopick`; words have no spaces.
        folder: Where it works; where this process does if None.
        most_bytes: Files that it writes grow no longer than that.
    """
    heard, told = _FORKS.Pipe(duplex=False)
    words = (line.split(), folder or Path.cwd(), most_bytes, told)
    process = _FORKS.Process(target=_command, args=words)
    process.start()
    told.close()
    return Running(process, heard)


class Running:
    """A command at work."""

    def __init__(self, process: multiprocessing.process.BaseProcess, heard: Connection) -> None:
        self._process, self._heard = process, heard

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.exitcode is not None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self.ended and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def finish(self, *, timeout_s: float = 600) -> tuple[int, str]:
        """Wait for its end; return its exit status, below 0 for a signal, and its words."""
        deadline = time.monotonic() + timeout_s
        said = b""
        while self._heard.poll(max(0.0, deadline - time.monotonic())):
            more = os.read(self._heard.fileno(), 1 << 16)
            if not more:
                break
            said += more
        self._heard.close()
        self._process.join(max(1.0, deadline - time.monotonic()))
        status = self._process.exitcode
        if status is None:
            self._process.kill()
            raise TimeoutError(f"it did not end in {timeout_s:g} s: {said.decode()}")
        return status, said.decode()


def _command(words: list[str], folder: Path, most_bytes: int | None, told: Connection) -> None:
    """Be the command, in a process made for it."""
    import torch

    torch.set_num_threads(1)
    os.dup2(told.fileno(), 2)
    told.close()
    os.chdir(folder)
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.argv = ["cryopick", *words]
    main()
