"""Search for the sides of elongated particles on score maps of rods and of discs."""

import numpy as np
import pytest

from cryopick.inference.score_map import ScoreMap
from cryopick.pick.elongated import ScoresAlong, measure_along
from cryopick.pick.elongation import measure_regions
from cryopick.pick.elongation_search import LengthSearch, find_elongation
from cryopick.pick.probe import Probe

LENGTH_ANG, WIDTH_ANG, FIELD_ANG = 300.0, 30.0, 4000.0
PIXELS_PER_SIZE = 17.0
OPEN = LengthSearch([130.0, 200.0, 320.0], (60.0, 800.0))


def score_particles(size_ang, length_ang, width_ang, height):
    """Score map at a scale: a constant logit on each of 60 particles, and noise."""
    px_ang = size_ang / PIXELS_PER_SIZE
    side = round(FIELD_ANG / px_ang / 2)  # at a step of two pixels
    y, x = np.mgrid[:side, :side] * 2 * px_ang
    rng = np.random.default_rng(3)
    logits = rng.normal(-4.0, 0.8, (side, side))
    for row in range(8):
        for column in range(8):
            centre = (np.array([row, column]) + 0.5) * FIELD_ANG / 8 + rng.normal(0, 20, 2)
            angle = rng.uniform(0, np.pi)
            dy, dx = y - centre[0], x - centre[1]
            along = dx * np.cos(angle) + dy * np.sin(angle)
            across = dy * np.cos(angle) - dx * np.sin(angle)
            on = (np.abs(along) < length_ang / 2) & (np.abs(across) < width_ang / 2)
            logits[on] += height
    return ScoreMap(logits.astype(np.float32), 2), px_ang


def make_probe(length_ang, width_ang, height):
    def probe(plan):
        found, regions, along = {}, {}, {}
        for size_ang in plan.sizes_ang:
            scores, px_ang = score_particles(size_ang, length_ang, width_ang, height)
            usable = np.ones(tuple(2 * side for side in scores.logits.shape), np.bool_)
            found["dark", size_ang] = np.zeros(0)
            regions["dark", size_ang] = measure_regions(scores, usable) * [px_ang, px_ang, 1.0]
            for tried_ang in plan.lengths_ang:
                along["dark", size_ang, tried_ang] = measure_along(
                    scores, usable, length_px=tried_ang / px_ang
                )
        return Probe(found, regions, dict.fromkeys(plan.sizes_ang, FIELD_ANG**2), 1, along)

    return probe


@pytest.mark.parametrize("height", [6.0, 3.0])
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_the_length_of_rods_is_found_from_a_wrong_one(factor, height):
    probe = make_probe(LENGTH_ANG, WIDTH_ANG, height)

    given_ang = factor * LENGTH_ANG
    search = LengthSearch([given_ang], (0.5 * given_ang, 2 * given_ang), given_ang)

    sides = find_elongation(search, "dark", probe)

    assert sides is not None
    assert LENGTH_ANG / 1.3 < sides.length_ang < LENGTH_ANG * 1.3
    assert sides.width_ang <= sides.length_ang / 5


@pytest.mark.parametrize("height", [6.0, 3.0])
def test_discs_are_not_elongated_at_any_assumed_length(height):
    probe = make_probe(160.0, 160.0, height)

    assert find_elongation(OPEN, "dark", probe) is None


def test_noise_alone_is_not_elongated():
    assert find_elongation(OPEN, "dark", make_probe(100.0, 100.0, 0.0)) is None


def test_the_length_is_found_without_a_given_one_within_the_limits():
    probe = make_probe(LENGTH_ANG, WIDTH_ANG, 6.0)

    free, limited = (
        find_elongation(LengthSearch([200.0], limits_ang), "dark", probe)
        for limits_ang in ((100.0, 800.0), (100.0, 220.0))
    )

    assert free.length_ang > 230 > 220 >= limited.length_ang


def test_particles_that_do_not_look_elongated_at_the_refined_length_are_not():
    """As in rows of touching particles, whose regions are long at some length."""

    def probe(plan):
        along, regions = {}, {}
        for size_ang in plan.sizes_ang:
            is_start = size_ang in (100.0, 200.0 / 3)
            shape = [180.0, 20.0, 40.0] if is_start else [30.0, 20.0, 40.0]
            regions["dark", size_ang] = np.tile(shape, (8, 1))
            values = np.full(30, 1.0 if is_start else 0.55)
            for tried_ang in plan.lengths_ang:
                heights = np.full(30, 4.0 if tried_ang < 170 else 2.0)
                along["dark", size_ang, tried_ang] = ScoresAlong(values, heights)
        return Probe({}, regions, dict.fromkeys(plan.sizes_ang, FIELD_ANG**2), 1, along)

    search = LengthSearch([200.0], (100.0, 400.0), 200.0)

    assert find_elongation(search, "dark", probe) is None
