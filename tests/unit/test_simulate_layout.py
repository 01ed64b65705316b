import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.simulate.layout import Canvas, DiscPacking

CANVAS = Canvas.with_margin((300, 200), 2.0, 60.0)


def everywhere(xy_px):
    return np.ones(len(xy_px), np.bool_)


def test_the_margin_has_the_requested_width_on_all_sides():
    height, width = CANVAS.shape

    assert CANVAS.margin_px == 30
    assert height >= 360
    assert width >= 260
    assert CANVAS.crop(np.zeros(CANVAS.shape)).shape == (300, 200)


def test_cropping_is_consistent_with_coordinates():
    image = np.zeros(CANVAS.shape)
    image[100, 50] = 1.0

    x, y = CANVAS.to_micrograph(np.array([[50.0, 100.0]]))[0]

    assert CANVAS.crop(image)[int(y), int(x)] == 1.0


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.floats(0, 40), max_size=60),
    st.booleans(),
)
def test_discs_do_not_overlap_and_respect_the_border(seed, radii, inside):
    ground = DiscPacking(canvas=CANVAS, is_free=lambda xy: xy[:, 0] > 60)
    ground.add(np.array([[120.0, 150.0]]), np.array([45.0]))

    centres = ground.scatter(np.random.default_rng(seed), np.array(radii), inside=inside)

    assert len(centres) <= len(radii)
    assert (centres[:, 0] > 60).all()
    assert (CANVAS.is_inside(centres) == inside).all()
    gaps = np.linalg.norm(ground.xy_px[:, None] - ground.xy_px, axis=2)
    least = ground.radius_px[:, None] + ground.radius_px
    apart = gaps - least
    assert (apart[~np.eye(len(gaps), dtype=bool)] >= 0).all()


def test_all_discs_are_placed_if_there_is_room():
    ground = DiscPacking(canvas=CANVAS, is_free=everywhere)

    centres = ground.scatter(np.random.default_rng(1), np.full(60, 10.0), inside=True)

    assert len(centres) == 60  # they take a third of the area


def test_placement_stops_if_there_is_no_room():
    ground = DiscPacking(canvas=CANVAS, is_free=everywhere)

    centres = ground.scatter(np.random.default_rng(1), np.full(500, 15.0), inside=True)

    # random placing jams near 0.55 of the area and never passes the densest packing, 0.91
    assert 0.35 < len(centres) * np.pi * 15**2 / (300 * 200) < 0.91


def test_no_disc_is_placed_if_no_position_is_allowed():
    ground = DiscPacking(canvas=CANVAS, is_free=lambda xy: np.zeros(len(xy), np.bool_))

    assert ground.scatter(np.random.default_rng(1), np.ones(5), inside=True).shape == (0, 2)
    assert ground.radius_px.sum() == pytest.approx(0)
