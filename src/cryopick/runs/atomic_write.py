"""Write files atomically: a file is complete or not there at all.

- `atomic_write`: write to a temporary file and rename it.
- `observe_writes`: learn of each file before it gets its final name.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryopick.errors import OutputExistsError

__all__ = ["atomic_write", "observe_writes"]

Observer = Callable[[Path, Path], None]
_OBSERVERS: list[Observer] = []


@contextmanager
def observe_writes(observer: Observer) -> Iterator[None]:
    """Call a function before each rename of this process while the block runs.

    Args:
        observer: Receives the final path and the complete temporary file.
    """
    _OBSERVERS.append(observer)
    try:
        yield
    finally:
        _OBSERVERS.remove(observer)


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` when the block succeeds.

    Missing parent folders are created. The temporary file is in the same folder and has the same
    suffixes; after a failure it is removed and `path` is unchanged. A replaced file keeps its
    permissions.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false, `path` is a folder, a device or
            a pipe, or one of its parent folders is a file.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.is_dir():
        raise OutputExistsError(f"{path}: is a folder; give the path of a file inside it")
    exists = path.exists()
    if exists and not stat.S_ISREG(path.stat().st_mode):
        raise OutputExistsError(f"{path}: is a device or a pipe; give the path of a plain file")
    if exists and not overwrite:
        raise OutputExistsError(
            f"{path}: already exists; overwrite it with --force or choose another name"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputExistsError(
            f"{path}: its parent folder is a file; choose another path"
        ) from None
    suffix = "".join(path.suffixes[-2:])
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}{suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if path.is_file():
            shutil.copymode(path, temporary)
        for observer in tuple(_OBSERVERS):
            observer(path, temporary)
        temporary.replace(path)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename = str(path)  # the error of a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Flush the renamed entry to disk, on systems that allow opening a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
