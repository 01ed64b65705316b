"""Process many micrographs in parallel threads.

Threads suffice, as NumPy and SciPy release the interpreter lock during nearly all of the work.

- `available_cores`: number of threads to use.
- `map_in_order`: apply a function in parallel and yield results in the order of the items.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["available_cores", "map_in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_WORKERS = 16  # each thread holds part of a micrograph; more do not read faster
_QUEUED_PER_WORKER = 4  # finished results that may wait for an earlier one


def available_cores() -> int:
    """Return the number of cores this process may use, limited by OMP_NUM_THREADS if set."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # only Linux reports the cores that a scheduler assigned
        cores = len(os.sched_getaffinity(0))
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Apply `work` to each item in parallel and yield the results in order.

    An exception is raised at its item's position and stops the iteration.

    Args:
        work: Function of one item; calls must be independent of each other.
        items: Items to process.
        workers: Number of threads; None uses one per core, at most 16.
    """
    workers = workers or min(available_cores(), _MAX_WORKERS)
    if workers == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > _QUEUED_PER_WORKER * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
