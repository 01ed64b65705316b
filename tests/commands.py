"""Commands of cryopick in separate processes, to be killed, limited or run concurrently.

The processes are forked from a server that has already imported torch and the pipeline, so that
they start at once.

- `start`: start a command.
- `RunningCommand`: a command that was started.
"""

import multiprocessing
import os
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from cryopick.cli import main

__all__ = ["RunningCommand", "start"]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["cryopick.cli", "cryopick.workflows.training", "cryopick.workflows.picking"]
)


def start(
    line: str, *, folder: Path | None = None, max_file_bytes: int | None = None
) -> "RunningCommand":
    """Start a command.

    Args:
        line: Command line after `cryopick`; its words contain no spaces.
        folder: Working directory (default: that of this process).
        max_file_bytes: Limit on the size of the files that it writes.
    """
    receiver, sender = _FORKS.Pipe(duplex=False)
    arguments = (line.split(), folder or Path.cwd(), max_file_bytes, sender)
    process = _FORKS.Process(target=_run_command, args=arguments)
    process.start()
    sender.close()
    return RunningCommand(process, receiver)


class RunningCommand:
    """A command in a separate process."""

    def __init__(self, process: multiprocessing.process.BaseProcess, receiver: Connection) -> None:
        self._process, self._receiver = process, receiver

    @property
    def has_ended(self) -> bool:
        """Return True once the process has exited."""
        return self._process.exitcode is not None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has exited."""
        if not self.has_ended and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def finish(self, *, timeout_s: float = 600) -> tuple[int, str]:
        """Wait for the end; return the exit status, below 0 for a signal, and stderr."""
        deadline = time.monotonic() + timeout_s
        messages = b""
        while self._receiver.poll(max(0.0, deadline - time.monotonic())):
            block = os.read(self._receiver.fileno(), 1 << 16)
            if not block:
                break
            messages += block
        self._receiver.close()
        self._process.join(max(1.0, deadline - time.monotonic()))
        status = self._process.exitcode
        if status is None:
            self._process.kill()
            raise TimeoutError(f"still running after {timeout_s:g} s: {messages.decode()}")
        return status, messages.decode()


def _run_command(
    words: list[str], folder: Path, max_file_bytes: int | None, sender: Connection
) -> None:
    """Run the command in the forked process."""
    import torch

    torch.set_num_threads(1)
    os.dup2(sender.fileno(), 2)
    sender.close()
    os.chdir(folder)
    if max_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    sys.argv = ["cryopick", *words]
    main()
