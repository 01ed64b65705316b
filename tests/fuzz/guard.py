"""Sandbox that forbids parsers to start programs or to access other files.

- `guarded`: from then on, this process starts nothing, talks to nobody, runs no text as code,
  touches no file outside of one folder, and takes no more memory than it was granted.
- `Escape`: what an attempt raises; no parser catches it.

Modules that a library loads late are no attempt: Python's own folders may be read.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Any

__all__ = ["Escape", "guarded"]

_NEVER = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
          "subprocess.Popen", "socket.connect", "socket.bind", "pickle.find_class",
          "os.symlink", "os.link", "os.truncate")  # fmt: skip
_INSIDE = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "shutil.rmtree")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Escape(BaseException):
    """A parser tried what reading a file does not need."""


def guarded(folder: Path, *, most_bytes: int | None = None) -> None:
    """Enforce the rules for the rest of this process.

    Args:
        folder: The only place to read from and to write to.
        most_bytes: Memory that this process may take beyond what it holds now.
    """
    home = str(folder.resolve())
    libraries = (sys.prefix, sys.base_prefix, *(entry for entry in sys.path if entry), "/proc/self")
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (_held_bytes() + most_bytes,) * 2)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and _is_path(arguments[0]):
            reads = not (isinstance(arguments[2], int) and arguments[2] & _WRITES)
            is_bad = not _full(arguments[0]).startswith((home, *libraries) if reads else home)
        elif event in _INSIDE:
            is_bad = not all(_full(a).startswith(home) for a in arguments if _is_path(a))
        else:
            is_bad = event in _NEVER or (event == "exec" and not _is_importing())
        if is_bad:
            raise Escape(f"{event} {arguments}")

    sys.addaudithook(hook)


def _is_path(argument: object) -> bool:
    return isinstance(argument, str | bytes | os.PathLike)


def _full(path: Any) -> str:  # whatever the event came with
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # links are not to be followed


def _is_importing() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        if "importlib" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _held_bytes() -> int:
    """Memory of this process that counts towards RLIMIT_DATA."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    held = next(line for line in lines if line.startswith("VmData:"))
    return int(held.split()[1]) << 10
