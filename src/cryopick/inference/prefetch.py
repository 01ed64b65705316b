"""Compute the results of the next calls in the background.

- `Prefetcher`: a function that is evaluated ahead of time for items in a known order.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["Prefetcher"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Prefetcher(Generic[Item, Result]):
    """A function whose next calls are evaluated early, in background threads.

    At most `workers` results beyond the current one are computed or stored, so memory use does
    not depend on the number of items. Items may be skipped or requested in another order; this
    costs time but does not change the results.

    Args:
        function: The function. It must not depend on earlier calls.
        order: Items in the expected order of the calls. Other items are computed by the caller's
            thread.
        workers: Number of threads.
        on_start: Called once in each thread before its first item.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        order: Sequence[Item] = (),
        workers: int = 1,
        on_start: Callable[[], object] = lambda: None,
    ) -> None:
        self._function, self._order, self._workers = function, order, workers
        self._positions = {item: position for position, item in enumerate(order)}
        self._pool = ThreadPoolExecutor(workers, initializer=on_start)
        self._futures: dict[Item, Future[Result]] = {}

    def __call__(self, item: Item) -> Result:
        """Return the result for an item, or raise the error that the function raised for it."""
        if item not in self._positions:
            return self._function(item)
        position = self._positions[item]
        upcoming = self._order[position : position + 1 + self._workers]
        for stale in self._futures.keys() - set(upcoming):
            self._futures.pop(stale).cancel()
        for next_item in upcoming:
            if next_item not in self._futures:
                self._futures[next_item] = self._pool.submit(self._function, next_item)
        return self._futures.pop(item).result()
