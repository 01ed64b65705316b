"""Do the next piece of work in the background while the one before is being used.

- `Ahead`: results for items that are asked for in a known order.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Generic, TypeVar

__all__ = ["Ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Ahead(Generic[Item, Result]):
    """A function whose next call is made early, in a thread of its own.

    At most one result waits, so memory does not grow with the number of items. Items may
    be left out or come in another order: that costs time and changes nothing.

    Args:
        work: The function. It must not depend on earlier calls.
        order: Items in the order in which they will most likely be asked for.
    """

    def __init__(self, work: Callable[[Item], Result], order: Sequence[Item] = ()) -> None:
        self._work, self._followers = work, dict(pairwise(order))
        self._pool = ThreadPoolExecutor(1)
        self._waiting: dict[Item, Future[Result]] = {}

    def __call__(self, item: Item) -> Result:
        """The result for an item; what the function raises for it is raised here."""
        begun = self._waiting.pop(item, None)
        self._waiting.clear()
        result = begun.result() if begun else self._work(item)
        if item in self._followers:
            follower = self._followers[item]
            self._waiting[follower] = self._pool.submit(self._work, follower)
        return result
