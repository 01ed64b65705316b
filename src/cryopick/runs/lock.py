"""One process at a time, where the file system can tell.

- `alone`: hold a file, so that no other process holds it.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cryopick.errors import BusyError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def alone(path: Path, doing: str) -> Iterator[None]:
    """Hold a file for as long as the block runs.

    The kernel lets go of it when the process ends, however it ends, so that nothing has to be
    tidied up after a crash. A file system without locks, as some networks have, holds nobody
    back: what the block does must be sound then too, if done twice.

    Args:
        path: The file; it is made, and says who holds it. It stays.
        doing: What the block writes, for the message.

    Raises:
        BusyError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path, doing) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _held(path: Path, doing: str) -> IO[str]:
    """The file, open and held; another try where it was removed in between."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read(200) or "another process"
            file.close()
            raise BusyError(
                f"{doing}: {who} is at work on it; wait until that ends, or write elsewhere"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()
        path.parent.mkdir(parents=True, exist_ok=True)
