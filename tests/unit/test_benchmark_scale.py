"""The simulation of many workers, where its result is known without it."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def simulation(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import scale_simulation

    yield scale_simulation
    sys.modules.pop("scale_simulation")


@pytest.fixture
def calm(simulation):
    """A site where nothing fails and nobody is slow."""
    return simulation.Site(
        micrographs=4000, group=10, alive_s=math.inf, slow_frac=0.0, long_frac=0.0, dispatch_s=0.0
    )


@pytest.mark.parametrize("workers", [1, 4, 20])
def test_without_faults_the_work_is_divided(simulation, calm, workers):
    run = simulation.simulate(calm, workers)
    expected = calm.start_s + 4000 * calm.seconds * math.exp(0.02) / workers  # mean of lognormal
    assert run.groups == 400
    assert run.seconds == pytest.approx(expected, rel=0.1)


def test_a_shared_store_is_a_floor_under_the_time(simulation, calm):
    slow = replace(calm, store_bytes_s=1e9)
    run = simulation.simulate(slow, 200)
    assert run.seconds >= 4000 * calm.file_bytes / 1e9
    assert run.store_busy > 0.95


def test_one_scheduler_is_a_floor_too(simulation, calm):
    run = simulation.simulate(replace(calm, dispatch_s=0.5), 200)
    assert run.seconds >= 400 * 0.5
    assert run.scheduler_busy > 0.95


@pytest.mark.parametrize("workers", [1, 30])
def test_every_group_is_finished_however_often_workers_die(simulation, calm, workers):
    run = simulation.simulate(replace(calm, alive_s=20.0), workers)
    assert run.deaths > 10
    assert run.groups == 400
    assert run.seconds > simulation.simulate(calm, workers).seconds


def test_a_table_of_picks_is_small_beside_a_micrograph(simulation):
    assert simulation.bytes_out(400) < 40_000
