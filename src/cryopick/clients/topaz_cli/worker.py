"""A worker that stays warm between calls: clients start the program anew for each micrograph.

Loading torch takes longer than a micrograph does. So the first call starts a worker in the
background, which does what this and the following calls ask for, one after the other, and ends by
itself when nothing has come for a minute. It listens on a socket in a folder that only the user can
enter. Calls that differ in what they may use (cores, GPUs, a queue's job) have workers of their
own. Where anything about this fails, a call does its own work. CRYOPICK_WORKER=0 in the
environment turns it off, CRYOPICK_WORKER_IDLE_S sets its patience.

Only the standard library is imported before a request comes.

- `ask`: have the worker do a call.
- `serve`: be the worker.
"""

import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path
from typing import Any

__all__ = ["ask", "serve"]

_IDLE_S = 60.0
_START_S = 10.0  # a machine that takes longer to start Python has no time to spare either
_POLL_S = 0.02
_SHARED = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID", "PBS_JOBID", "PYTHONPATH")


def ask(values: Namespace) -> int | None:
    """Have the worker do a call, and pass on what it says.

    Args:
        values: Options of `extract`.

    Returns:
        The exit status; None if there is no worker, and the call is still to be done.
    """
    if os.environ.get("CRYOPICK_WORKER") == "0" or os.environ.get("CRYOPICK_DEBUG") == "1":
        return None
    try:
        connection = _connected()
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            options = {name: value for name, value in vars(values).items() if name != "parser"}
            stream.write(json.dumps({"folder": os.getcwd(), "options": options}) + "\n")  # noqa: PTH109  # as text
            stream.flush()
            for line in stream:
                message = json.loads(line)
                if "status" in message:
                    return int(message["status"])
                for name, text in message.items():
                    (sys.stdout if name == "out" else sys.stderr).write(text)
    except (OSError, ValueError):
        return None
    return None


def _connected() -> socket.socket:
    """A connection to the worker, which is started if need be.

    Raises:
        OSError: There is none and none can be started, or its folder is not the user's alone.
    """
    path = _place()
    found = _connection(path)
    if found is None:
        words = f"from cryopick.clients.topaz_cli.worker import serve; serve({str(path)!r})"
        subprocess.Popen(
            [sys.executable, "-P", "-c", words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a client may wait for the end of these
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    until = time.monotonic() + _START_S
    while found is None:
        if time.monotonic() > until:
            raise TimeoutError("the worker does not start")
        time.sleep(_POLL_S)
        found = _connection(path)
    return found


def _connection(path: Path) -> socket.socket | None:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        found.close()
        return None
    return found


def _place() -> Path:
    """The socket for calls like this one, in a folder that is the user's alone.

    Raises:
        OSError: The folder cannot be made, or others can enter it.
    """
    home = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    home = home if home.is_absolute() and home.is_dir() else Path(tempfile.gettempdir())
    folder = home / f"cryopick-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise PermissionError(f"{folder} is not this user's alone")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    likeness = [sys.executable, __file__, *(os.environ.get(name, "") for name in _SHARED), cores]
    key = hashlib.sha256(json.dumps(likeness).encode()).hexdigest()[:16]
    return folder / f"{key}.socket"


def serve(place: str) -> None:
    """Do what comes through a socket until nothing does; only one worker serves a socket."""
    path, idle_s = Path(place), float(os.environ.get("CRYOPICK_WORKER_IDLE_S", _IDLE_S))
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another one serves
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(128)
            listener.settimeout(idle_s)
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(idle_s)
                    with connection:
                        _answer(connection)
            except TimeoutError:
                path.unlink(missing_ok=True)


def _answer(connection: socket.socket) -> None:
    """Do one call; a client that has gone is no reason to stop."""
    from cryopick.clients.topaz_cli.app import status_of
    from cryopick.clients.topaz_cli.extraction import extract_here

    with connection.makefile("rw", encoding="utf-8") as stream:

        def send(name: str, value: str | int) -> None:
            stream.write(json.dumps({name: value}) + "\n")
            stream.flush()

        try:
            request = json.loads(stream.readline())
            values = Namespace(**request["options"])
            os.chdir(request["folder"])
            with redirect_stdout(_Sent(send, "out")), redirect_stderr(_Sent(send, "err")):
                status = status_of(lambda: extract_here(values), values.program)
            send("status", status)
        except (OSError, ValueError, KeyError, TypeError):
            return
        finally:
            os.chdir("/")


class _Sent(TextIOBase):
    """What is written goes to the client."""

    def __init__(self, send: Callable[[str, str], Any], name: str) -> None:
        self._send, self._name = send, name

    def write(self, text: str) -> int:
        self._send(self._name, text)
        return len(text)
