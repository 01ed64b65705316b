import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.pick.ahead import Ahead

items = st.lists(st.integers(0, 5), max_size=8)


@given(items, items)
def test_every_result_is_that_of_its_own_item_in_whatever_order(order, asked):
    square = Ahead(lambda item: item**2, order)

    assert [square(item) for item in asked] == [item**2 for item in asked]


def test_the_next_item_is_worked_on_before_it_is_asked_for():
    begun = {1: threading.Event(), 2: threading.Event(), 3: threading.Event()}
    square = Ahead(lambda item: (begun[item].set(), item**2)[1], [1, 2, 3])

    square(1)

    assert begun[2].wait(timeout=10)
    assert not begun[3].is_set()


def test_an_item_in_order_is_worked_on_once():
    worked = []
    ahead = Ahead(worked.append, [1, 2, 3])

    for item in (1, 2, 3):
        ahead(item)

    assert worked == [1, 2, 3]


def test_an_error_comes_when_its_own_item_is_asked_for():
    inverse = Ahead(lambda item: 1 / item, [2, 0, 4])

    assert inverse(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        inverse(0)
    assert inverse(4) == 0.25
