import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.inference.prefetch import Ahead

items = st.lists(st.integers(0, 5), max_size=8)


@given(items, items, st.integers(1, 4))
def test_every_result_is_that_of_its_own_item_in_whatever_order(order, asked, workers):
    square = Ahead(lambda item: item**2, order, workers)

    assert [square(item) for item in asked] == [item**2 for item in asked]


def test_the_next_item_is_worked_on_before_it_is_asked_for():
    begun = {1: threading.Event(), 2: threading.Event(), 3: threading.Event()}
    square = Ahead(lambda item: (begun[item].set(), item**2)[1], [1, 2, 3])

    square(1)

    assert begun[2].wait(timeout=10)
    assert not begun[3].is_set()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_item_in_order_is_worked_on_once(workers):
    worked = []
    ahead = Ahead(worked.append, [1, 2, 3], workers)

    for item in (1, 2, 3):
        ahead(item)

    assert sorted(worked) == [1, 2, 3]


def test_as_many_items_are_ahead_as_there_are_threads_each_of_which_was_made_ready():
    together, ready = threading.Barrier(3, timeout=10), threading.local()

    def work(item):
        if item:  # the first is asked for; the next three meet, or the barrier breaks
            together.wait()
        return ready.is_so

    ahead = Ahead(work, range(4), 3, on_start=lambda: setattr(ready, "is_so", True))

    assert [ahead(item) for item in range(4)] == [True] * 4


def test_an_item_out_of_order_is_worked_on_by_the_thread_that_asks():
    ahead = Ahead(lambda _: threading.get_ident(), [1, 2])

    assert ahead(7) == threading.get_ident()
    assert ahead(1) != threading.get_ident()


def test_an_error_comes_when_its_own_item_is_asked_for():
    inverse = Ahead(lambda item: 1 / item, [2, 0, 4])

    assert inverse(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        inverse(0)
    assert inverse(4) == 0.25
