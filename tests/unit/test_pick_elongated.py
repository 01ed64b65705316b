import numpy as np
import pytest

from cryopick.inference.score_map import ScoreMap
from cryopick.pick.elongated import (
    filter_elongated,
    filter_if_elongated,
    find_axes,
    measure_along,
)
from cryopick.pick.settings import is_elongated


def rod_map(shape, centre_yx, length, width, angle_rad):
    """Make a map with a logit of 2 on a rod and -5 elsewhere."""
    y, x = np.indices(shape)
    along = (x - centre_yx[1]) * np.cos(angle_rad) + (y - centre_yx[0]) * np.sin(angle_rad)
    across = (y - centre_yx[0]) * np.cos(angle_rad) - (x - centre_yx[1]) * np.sin(angle_rad)
    inside = (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)
    return np.where(inside, 2.0, -5.0).astype(np.float32)


@pytest.mark.parametrize("angle_rad", [0.0, 0.4, 1.1, np.pi / 2, 2.5])
@pytest.mark.parametrize("length", [24, 40])  # the second is as long as the filter expects
def test_the_maximum_lies_at_the_centre_of_a_rod(angle_rad, length):
    scores = ScoreMap(rod_map((90, 80), (41, 37), length, 4, angle_rad), 2)

    filtered = filter_elongated(scores, length_px=80.0, width_px=8.0).logits

    row, column = np.unravel_index(filtered.argmax(), filtered.shape)
    assert np.hypot(row - 41, column - 37) <= 2
    assert filtered.shape == scores.logits.shape


def test_a_dot_scores_less_than_a_rod():
    def best(length):
        scores = ScoreMap(rod_map((90, 80), (41, 37), length, 4, 0.7), 2)
        return filter_elongated(scores, length_px=80.0, width_px=8.0).logits.max()

    assert best(40) > best(20) + 0.5 > best(4) + 1


def test_a_constant_map_stays_constant():
    scores = ScoreMap(np.full((30, 20), -2.5, np.float32), 2)

    filtered = filter_elongated(scores, length_px=60.0, width_px=6.0)

    np.testing.assert_allclose(filtered.logits, -2.5, atol=1e-4)
    assert filtered.step_px == 2


def test_sides_decide_about_the_filter():
    assert is_elongated(300.0, 30.0)
    assert not is_elongated(300.0, 150.0)
    assert not is_elongated(300.0, None)


def test_a_map_stays_as_it_is_if_particles_are_not_elongated():
    scores = ScoreMap(rod_map((30, 20), (15, 10), 10, 4, 0.3), 2)

    assert filter_if_elongated(scores, None) is scores
    filtered = filter_if_elongated(scores, (20.0, 4.0)).logits
    means = filter_elongated(scores, length_px=20.0, width_px=4.0).logits
    order = np.argsort(means, axis=None)
    assert (np.diff(filtered.ravel()[order]) >= 0).all()


@pytest.mark.parametrize(("mean", "score"), [(-4.1, -6.0), (-1.7, 0.0), (0.3, 5.0)])
def test_scores_of_elongated_particles_have_the_scale_of_compact_ones(mean, score):
    scores = ScoreMap(np.full((30, 20), mean, np.float32), 2)

    filtered = filter_if_elongated(scores, (60.0, 6.0)).logits

    np.testing.assert_allclose(filtered, score, atol=1e-3)


@pytest.mark.parametrize("angle_rad", [0.1, 0.9, 1.6, 2.8])
def test_the_axis_of_a_rod_is_found_from_a_point_beside_its_centre(angle_rad):
    scores = ScoreMap(rod_map((90, 80), (41, 37), 40, 4, angle_rad), 2)
    axis = np.array([np.cos(angle_rad), np.sin(angle_rad)])
    beside = np.array([[74.0, 82.0]]) + 4 * np.array([-axis[1], axis[0]])

    centre, direction = find_axes(scores, beside, length_px=80.0, width_px=8.0)

    assert abs(direction[0] @ axis) > np.cos(np.deg2rad(8))
    assert abs((centre[0] - (74, 82)) @ (-axis[1], axis[0])) <= 4


@pytest.mark.parametrize("lift", [0.0, -1.5])  # also where no score is positive
def test_scores_of_rods_depend_on_the_direction_and_those_of_discs_do_not(lift):
    rng = np.random.default_rng(1)
    rods, discs = (np.full((240, 240), -5.0) for _ in range(2))
    y, x = np.indices(rods.shape)
    for row in range(40, 240, 80):
        for column in range(40, 240, 80):
            rods = np.maximum(
                rods, rod_map(rods.shape, (row, column), 40, 4, rng.uniform(0, np.pi))
            )
            discs[np.hypot(y - row, x - column) < 8] = 2.0
    usable = np.ones((480, 480), bool)
    noise = rng.normal(0, 1, rods.shape)

    of_rods, of_discs = (
        measure_along(
            ScoreMap((logits + noise + lift).astype(np.float32), 2), usable, length_px=80.0
        ).directionality.mean()
        for logits in (rods, discs)
    )

    assert of_rods > 1.5 * of_discs
