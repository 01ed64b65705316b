"""Let one process at a time work on an output, where the file system supports locks.

- `exclusive_lock`: hold a lock file while a block runs.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryopick.errors import BusyError

__all__ = ["exclusive_lock"]

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def exclusive_lock(path: Path, output: str) -> Iterator[None]:
    """Hold a lock file while the block runs.

    The operating system releases the lock when the process ends, even after a crash, so there
    is nothing to clean up. A file system without locks, such as some network file systems,
    lets every process pass: running the block twice at once must be harmless.

    Args:
        path: The lock file; it is created and stays. A file beside it names the holder.
        output: What the block writes, for the message.

    Raises:
        BusyError: Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        error.filename = output  # and not the hidden folder beside it
        raise
    holder_file = path.with_name(f"{path.name}.holder")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        holder = "another process"
        with suppress(OSError):
            holder = holder_file.read_text(encoding="utf-8")[:200] or holder
        raise BusyError(
            f"{output}: {holder} is working on it; wait until it ends, or choose another output"
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    try:
        holder_file.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        lock.release()
