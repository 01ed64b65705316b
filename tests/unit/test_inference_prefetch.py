import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.inference.prefetch import Prefetcher

items = st.lists(st.integers(0, 5), max_size=8)


@given(items, items, st.integers(1, 4))
def test_results_do_not_depend_on_the_order_of_calls(order, asked, workers):
    square = Prefetcher(lambda item: item**2, order, workers)

    assert [square(item) for item in asked] == [item**2 for item in asked]


def test_the_next_item_is_computed_in_advance():
    begun = {1: threading.Event(), 2: threading.Event(), 3: threading.Event()}
    square = Prefetcher(lambda item: (begun[item].set(), item**2)[1], [1, 2, 3])

    square(1)

    assert begun[2].wait(timeout=10)
    assert not begun[3].is_set()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_item_in_order_is_computed_once(workers):
    worked = []
    ahead = Prefetcher(worked.append, [1, 2, 3], workers)

    for item in (1, 2, 3):
        ahead(item)

    assert sorted(worked) == [1, 2, 3]


def test_each_thread_is_initialized_and_prefetches_one_item():
    together, ready = threading.Barrier(3, timeout=10), threading.local()

    def work(item):
        if item:  # the first is asked for; the next three meet, or the barrier breaks
            together.wait()
        return ready.is_so

    ahead = Prefetcher(work, range(4), 3, on_start=lambda: setattr(ready, "is_so", True))

    assert [ahead(item) for item in range(4)] == [True] * 4


def test_an_unknown_item_is_computed_by_the_calling_thread():
    ahead = Prefetcher(lambda _: threading.get_ident(), [1, 2])

    assert ahead(7) == threading.get_ident()
    assert ahead(1) != threading.get_ident()


def test_an_error_is_raised_by_the_call_for_its_item():
    inverse = Prefetcher(lambda item: 1 / item, [2, 0, 4])

    assert inverse(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        inverse(0)
    assert inverse(4) == 0.25
