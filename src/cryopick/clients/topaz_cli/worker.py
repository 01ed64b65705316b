"""Background worker that keeps the model loaded between calls.

Clients start the program once per micrograph, and loading a model takes longer than picking one.
The first call starts a worker in the background, which processes this and the following calls one
by one, and exits after a minute without a call. A client that connects and sends no complete call
holds up no other. It listens on a socket in a folder that only the
user can access. Calls with different resources (cores, GPUs, job of a queue) use different workers.
If the worker fails, the call does the work itself. CRYOPICK_WORKER=0 in the environment turns the
worker off; CRYOPICK_WORKER_IDLE_S sets the idle time in seconds.

Only the standard library is imported before a request arrives.

- `ask`: send a call to the worker.
- `serve`: run the worker.
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
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from queue import Empty, Queue
from threading import BoundedSemaphore, Thread
from typing import Any

__all__ = ["ask", "serve"]

_IDLE_S = 60.0
_START_S = 10.0  # slower machines do the work in the call itself
_POLL_S = 0.02
_REQUEST_S = 10.0  # from the connection to the end of the request
_MAX_REQUEST_BYTES = 1 << 24  # tens of thousands of file names
_MAX_WAITING = 128
_SHARED = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID", "PBS_JOBID", "PYTHONPATH")


def ask(values: Namespace) -> int | None:
    """Send a call to the worker, and forward its output.

    Args:
        values: Options of `extract`.

    Returns:
        The exit status; None if there is no worker and the call must do the work.
    """
    if os.environ.get("CRYOPICK_WORKER") == "0" or os.environ.get("CRYOPICK_DEBUG") == "1":
        return None
    request = _encode_request(values)
    if request is None:
        return None
    output: list[str] = []  # written at the end: a call that is repeated here must not write twice
    try:
        connection = _connect_or_start()
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            stream.write(request)
            stream.flush()
            for line in stream:
                message = json.loads(line)
                if "status" in message:
                    sys.stdout.write("".join(output))
                    return int(message["status"])
                output.append(message.get("out", ""))
                sys.stderr.write(message.get("err", ""))
    except (OSError, ValueError):
        return None
    return None


def _encode_request(values: Namespace) -> str | None:
    """Encode a call as one line; None if it would not arrive as it was sent."""
    options = {name: value for name, value in vars(values).items() if name != "parser"}
    umask = os.umask(0)
    os.umask(umask)
    request = {"folder": os.getcwd(), "umask": umask, "options": options}  # noqa: PTH109  # as text
    try:
        line = json.dumps(request)
    except (TypeError, ValueError):
        return None
    return f"{line}\n" if json.loads(line) == request else None


def _connect_or_start() -> socket.socket:
    """Connect to the worker; start it if necessary.

    Raises:
        OSError: The worker cannot be started, or others can access its folder.
    """
    path = _socket_path()
    connection = _connect(path)
    if connection is None:
        words = f"from cryopick.clients.topaz_cli.worker import serve; serve({str(path)!r})"
        subprocess.Popen(
            [sys.executable, "-P", "-c", words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a client may wait until these are closed
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    until = time.monotonic() + _START_S
    while connection is None:
        if time.monotonic() > until:
            raise TimeoutError("the worker did not start")
        time.sleep(_POLL_S)
        connection = _connect(path)
    return connection


def _connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _socket_path() -> Path:
    """Return the socket for calls with the resources of this one, in a private folder.

    Raises:
        OSError: The folder cannot be created, or others can access it.
    """
    home = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    home = home if home.is_absolute() and home.is_dir() else Path(tempfile.gettempdir())
    folder = home / f"cryopick-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise PermissionError(f"{folder} can be accessed by other users")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    resources = [sys.executable, __file__, *(os.environ.get(name, "") for name in _SHARED), cores]
    key = hashlib.sha256(json.dumps(resources).encode()).hexdigest()[:16]
    return folder / f"{key}.socket"


def serve(socket_path: str) -> None:
    """Process calls from a socket until none arrives; only one worker serves a socket."""
    path, idle_s = Path(socket_path), float(os.environ.get("CRYOPICK_WORKER_IDLE_S", _IDLE_S))
    os.umask(0o077)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another worker serves this socket
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(_MAX_WAITING)
            calls: Queue[_Call] = Queue()
            Thread(target=_accept, args=(listener, calls), daemon=True).start()
            try:
                while True:
                    call = calls.get(timeout=idle_s)
                    call.connection.settimeout(idle_s)
                    with call.connection:
                        _answer(call)
            except Empty:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Call:
    """A client, and its complete request."""

    connection: socket.socket
    request: str


def _accept(listener: socket.socket, calls: "Queue[_Call]") -> None:
    """Accept clients, and read the request of each in a thread of its own."""
    slots = BoundedSemaphore(_MAX_WAITING)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed at the end, or out of descriptors
            if listener.fileno() < 0:
                return
            time.sleep(_POLL_S)
            continue
        slots.acquire()
        Thread(target=_receive, args=(connection, calls, slots), daemon=True).start()


def _receive(connection: socket.socket, calls: "Queue[_Call]", slots: BoundedSemaphore) -> None:
    """Read a request in limited time and memory; close the connection without a complete one."""
    received, until = bytearray(), time.monotonic() + _REQUEST_S
    try:
        while not received.endswith(b"\n"):
            connection.settimeout(max(_POLL_S, until - time.monotonic()))
            part = connection.recv(1 << 16)
            if not part or len(received) > _MAX_REQUEST_BYTES or time.monotonic() > until:
                raise ConnectionAbortedError
            received += part
        calls.put(_Call(connection, received.decode("utf-8")))
    except (OSError, ValueError):
        connection.close()
    finally:
        slots.release()


def _answer(call: _Call) -> None:
    """Process one call; neither an odd request nor a client that disconnects stops the worker."""
    from cryopick.clients.topaz_cli.exit_status import run_with_status
    from cryopick.clients.topaz_cli.picking import extract_here

    with suppress(Exception), call.connection.makefile("w", encoding="utf-8") as stream:

        def send(name: str, value: str | int) -> None:
            stream.write(json.dumps({name: value}) + "\n")
            stream.flush()

        try:
            request = json.loads(call.request)
            values = Namespace(**request["options"])
            os.umask(int(request["umask"]) & 0o777)
            os.chdir(request["folder"])
            with redirect_stdout(_Forwarder(send, "out")), redirect_stderr(_Forwarder(send, "err")):
                status = run_with_status(lambda: extract_here(values), values.program)
            send("status", status)
        finally:
            os.chdir("/")
            os.umask(0o077)


class _Forwarder(TextIOBase):
    """Stream that forwards its text to the client."""

    def __init__(self, send: Callable[[str, str], Any], name: str) -> None:
        self._send, self._name = send, name

    def write(self, text: str) -> int:
        self._send(self._name, text)
        return len(text)
