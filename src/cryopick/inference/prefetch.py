"""Do the next pieces of work in the background while the one before is being used.

- `Ahead`: results for items that are asked for in a known order.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["Ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Ahead(Generic[Item, Result]):
    """A function whose next calls are made early, in threads of their own.

    Beside the result asked for, at most as many as there are threads are at work or wait,
    so memory does not grow with the number of items. Items may be left out or come in
    another order: that costs time and changes nothing.

    Args:
        work: The function. It must not depend on earlier calls.
        order: Items in the order in which they will most likely be asked for; one that is
            not among them is worked on by the thread that asks.
        workers: Threads.
        on_start: Called once in each of these threads before its first work.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        order: Sequence[Item] = (),
        workers: int = 1,
        on_start: Callable[[], object] = lambda: None,
    ) -> None:
        self._work, self._order, self._workers = work, order, workers
        self._places = {item: place for place, item in enumerate(order)}
        self._pool = ThreadPoolExecutor(workers, initializer=on_start)
        self._begun: dict[Item, Future[Result]] = {}

    def __call__(self, item: Item) -> Result:
        """The result for an item; what the function raises for it is raised here."""
        if item not in self._places:
            return self._work(item)
        place = self._places[item]
        wanted = self._order[place : place + 1 + self._workers]
        for stale in self._begun.keys() - set(wanted):
            self._begun.pop(stale).cancel()
        for each in wanted:
            if each not in self._begun:
                self._begun[each] = self._pool.submit(self._work, each)
        return self._begun.pop(item).result()
