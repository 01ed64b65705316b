"""The same work on many micrographs, on all cores at once.

Threads do: nearly all of the time is spent where NumPy and SciPy let other threads run.

- `cores`: how many threads are worth while.
- `in_order`: results in the order of the items, whichever was ready first.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["cores", "in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 16  # each thread holds some of a micrograph, and the disk serves no more at once
_AHEAD = 4  # results a thread that may wait for the one before them


def cores() -> int:
    """Cores that this process may use, or fewer where OMP_NUM_THREADS says so."""
    here = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux alone tells what a scheduler has allotted
        here = len(os.sched_getaffinity(0))
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(asked)) if asked.isdecimal() and int(asked) else here


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yield what `work` makes of each item, in order.

    What it raises for an item is raised in that item's place, and ends the rest.

    Args:
        work: Must not depend on what it did for other items.
        items: The items.
        workers: Threads; None takes one a core, at most 16.
    """
    workers = workers or min(cores(), _MOST)
    if workers == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers)
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > _AHEAD * workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
