"""Limits of time and memory for one input.

- `Limits`: raises `Escape` when an input takes too much of either.
- `MOST_BYTES`, `TIMEOUT_S`: memory that a process may reserve, and time of one input.
"""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.guard import Escape

__all__ = ["MOST_BYTES", "TIMEOUT_S", "Limits"]

MOST_BYTES = 2 << 30  # reserved at once; a parser that asks for more gets a MemoryError
_MOST_USED_BYTES = 500 * 10**6  # touched while one input is read
TIMEOUT_S = 5.0  # of the processor, for one input
_MEMORY_FILES = (("statm", os.O_RDONLY), ("clear_refs", os.O_WRONLY))
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Limits:
    """Time and memory of one input after another; made before a process is guarded."""

    def __init__(self) -> None:
        self._status, self._clear = (
            os.open(f"/proc/self/{name}", mode) for name, mode in _MEMORY_FILES
        )
        signal.signal(signal.SIGPROF, self._stop)

    @contextmanager
    def bound(self, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
        """Bound the block, which reads one input.

        Raises:
            Escape: The block takes too much processor time or memory.
        """
        before = int(os.pread(self._status, 200, 0).split()[1]) * _PAGE_BYTES
        os.pwrite(self._clear, b"5", 0)  # forget the peak of the inputs before
        signal.setitimer(signal.ITIMER_PROF, timeout_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
        if used > _MOST_USED_BYTES:
            raise Escape(f"{used >> 20} MiB of memory for one input")

    @staticmethod
    def _stop(*_: object) -> None:
        raise Escape("too much time of the processor for one input")
