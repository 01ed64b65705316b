import threading
import time

import pytest

from cryopick.runs.parallel import available_cores, map_in_order


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers):
    def slow_at_first(item):
        time.sleep(0.02 / (1 + item))
        return item**2

    assert list(map_in_order(slow_at_first, range(30), workers)) == [i**2 for i in range(30)]


def test_no_more_items_are_at_work_than_there_are_workers():
    at_work, most, lock = set(), [], threading.Lock()

    def work(item):
        with lock:
            at_work.add(item)
            most.append(len(at_work))
        time.sleep(0.002)
        with lock:
            at_work.remove(item)

    list(map_in_order(work, range(40), 3))

    assert max(most) == 3


def test_items_are_not_taken_far_ahead_of_results_that_nobody_has_asked_for():
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    results = map_in_order(lambda item: item, items(), 2)
    next(results)

    assert len(taken) < 20
    results.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_comes_in_the_place_of_its_item_and_ends_the_rest(workers):
    results = map_in_order(lambda item: 1 / (2 - item), range(1000), workers)

    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_omp_num_threads_says_how_many_cores_at_most(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert available_cores() == 1
    for nonsense in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert available_cores() >= 1
