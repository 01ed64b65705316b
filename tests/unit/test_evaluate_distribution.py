"""Test of uniformity: uniform picks pass, clustered ones do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.evaluate.distribution import compute_density, compute_edge_density, find_outliers


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.randoms())
def test_outliers_do_not_depend_on_the_order(counts, random):
    order = list(range(len(counts)))
    random.shuffle(order)

    found = find_outliers(np.array(counts))

    assert (find_outliers(np.array(counts)[order]) == found[order]).all()
    assert found.mean() <= 0.5


def test_chance_alone_makes_hardly_any_outlier():
    counts = np.random.default_rng(0).poisson(60, 2000)

    assert find_outliers(counts).mean() < 0.005
    assert find_outliers(np.append(counts, [0, 8, 240]))[-3:].all()


def test_equal_counts_are_no_outliers():
    assert not find_outliers(np.full(5, 7)).any()
    assert not find_outliers(np.zeros(0, int)).any()


def even(count=40_000, shape=(300, 500)):
    xy = np.random.default_rng(0).uniform(-0.5, np.array(shape[::-1]) - 0.5, (count, 2))
    return xy, np.tile(shape, (count, 1))


def test_even_picks_have_the_same_density_everywhere():
    xy, shapes = even()

    assert compute_density(xy, shapes, 8) == pytest.approx(np.ones((8, 8)), abs=0.2)
    near = compute_edge_density(xy, np.zeros(len(xy), int), shapes[:1], 20.0)
    assert near.density == pytest.approx(np.ones(16), abs=0.12)


def test_a_cell_is_found_by_row_and_column():
    grid = compute_density(np.array([[480.0, 10.0]]), np.array([[300, 500]]), 4)

    assert grid[0, 3] == 16
    assert grid.sum() == 16


def test_picks_that_shun_the_edges_are_missed_there():
    xy, shapes = even()
    inner = ((xy > 20) & (xy < shapes[:, ::-1] - 20)).all(axis=1)

    near = compute_edge_density(xy[inner], np.zeros(inner.sum(), int), shapes[:1], 20.0)

    assert near.density[:3] == pytest.approx(np.zeros(3))
    assert (near.density[5:] > 1).all()


def test_a_band_that_no_micrograph_has_is_undefined():
    near = compute_edge_density(np.array([[5.0, 5.0]]), np.array([0]), np.array([[11, 11]]), 4.0)

    assert np.isnan(near.density[-1])
    assert near.density[5] > 0  # the centre lies 5.5 pixels, 1.4 diameters, from the edge
