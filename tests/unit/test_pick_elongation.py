import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from cryopick.inference.score_map import ScoreMap
from cryopick.pick.elongation import are_compact, estimate_width, guess_width, measure_regions


def rods(count, length, width):
    """Make a map with horizontal rods of positive logits, in pixels of a grid with a step of 2."""
    logits = np.full((20 * count, 120), -5.0, np.float32)
    for number in range(count):
        top, left = 20 * number + 5, 10
        logits[top : top + width // 2, left : left + length // 2] = 2.0
    return ScoreMap(logits, 2), np.ones((40 * count, 240), np.bool_)


def test_regions_have_the_sides_of_rods():
    regions = measure_regions(*rods(3, length=120, width=12))

    assert regions.shape == (3, 3)
    np.testing.assert_allclose(regions, [[120, 12, 360]] * 3, rtol=1e-6)


@settings(deadline=None)
@given(st.integers(0, 1000), st.tuples(st.integers(1, 24), st.integers(1, 24)))
def test_regions_are_connected_points_with_the_eigenvalues_of_their_covariance(seed, shape):
    rng = np.random.default_rng(seed)
    logits = rng.normal(rng.uniform(-1, 0.5), 1, shape).astype(np.float32)

    regions = measure_regions(ScoreMap(logits, 1), np.ones(shape, np.bool_))

    numbers, count = label(logits > 0, np.ones((3, 3)))
    points = [np.argwhere(numbers == number) for number in range(1, count + 1)]
    points = [region for region in points if len(region) >= 12]
    sides = [np.linalg.eigvalsh(np.cov(region.T, bias=True))[::-1] for region in points]
    expected = [
        [*np.sqrt(12 * side + 1), len(region)] for side, region in zip(sides, points, strict=True)
    ]
    np.testing.assert_allclose(regions, np.reshape(expected, (-1, 3)), rtol=1e-6, atol=1e-6)


def test_regions_on_unusable_pixels_do_not_count():
    scores, usable = rods(3, length=120, width=12)
    usable[:40] = False

    assert len(measure_regions(scores, usable)) == 2


def test_long_regions_give_the_width():
    regions = measure_regions(*rods(6, length=120, width=12))

    width_ang = estimate_width([np.zeros((0, 3)), regions])

    assert width_ang == pytest.approx(12)


def test_few_or_compact_regions_say_nothing():
    few = measure_regions(*rods(4, length=120, width=12))
    compact = measure_regions(*rods(8, length=24, width=20))

    assert estimate_width([few]) is None
    assert estimate_width([compact]) is None
    assert estimate_width([np.concatenate([rods_regions(6), compact, compact, compact])]) is None


def test_many_compact_regions_show_that_particles_are_not_elongated():
    compact, long = measure_regions(*rods(8, length=24, width=20)), rods_regions(8)

    assert are_compact(np.concatenate([compact, compact]))
    assert not are_compact(compact)  # too few
    assert not are_compact(np.concatenate([compact, long, long]))


def rods_regions(count):
    return measure_regions(*rods(count, length=40, width=8))


@pytest.mark.parametrize(
    ("half", "third", "width_ang"),
    [(0.4, 0.5, None), (0.9, 0.57, None), (0.7, 1.1, 300 / 11), (0.9, 0.7, 300 / 7)],
)
def test_the_width_follows_from_the_scale_that_shows_the_direction_best(half, third, width_ang):
    values = {150.0: np.full(9, half), 100.0: np.full(9, third)}

    assert guess_width(values, 300.0) == width_ang
    assert guess_width({}, 300.0) is None
