"""Pictures: marks and scores lie over what they mark."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cryopick.report.pictures import Marks, View, crop_uris, marked_svg, scored_svg, stretched

points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8).map(
    lambda pairs: np.array(pairs, float).reshape(-1, 2)
)


def dark_spot(x, y, shape=(300, 400), width=6.0):
    """A micrograph with one dark spot on faint noise."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))
    noise = np.random.default_rng(5).normal(0, 0.01, shape)
    return (100 + noise - 20 * spot).astype(np.float32)


def decoded(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


def elements(svg, name):
    return [e for e in ET.fromstring(svg).iter() if e.tag == name]


@settings(deadline=None, max_examples=60)
@given(points, points, st.sampled_from([0.5, 2.0]))
def test_every_pick_is_right_or_wrong_and_every_particle_found_or_missed(picks, truth, radius_px):
    marks = Marks.of(picks, np.arange(len(picks), dtype=float), truth, radius_px)

    assert len(marks.right) + len(marks.wrong) == len(picks)
    assert len(marks.right) + len(marks.missed) == len(truth)
    for x, y in marks.right:
        assert np.hypot(*(truth - [x, y]).T).min() <= radius_px


@settings(deadline=None, max_examples=40)
@given(arrays(float, (5, 7), elements=st.floats(-1e4, 1e4)))
def test_stretching_keeps_the_order_of_intensities(image):
    grey = stretched(image)

    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_a_constant_image_can_be_looked_at():
    assert (stretched(np.full((4, 4), 3.0)) == 0).all()


@pytest.mark.parametrize(("x", "y"), [(120, 80), (300, 250)])
def test_a_view_shows_a_spot_where_it_is(x, y):
    view = View.of(dark_spot(x, y), diameter_px=100.0)

    rows, columns = np.nonzero(view.grey == view.grey.min())
    found = np.array([columns.mean(), rows.mean()]) * view.raw_per_px
    assert view.grey.shape[1] < 400
    assert np.abs(found - [x, y]).max() <= view.raw_per_px[0]  # one shown pixel


def test_particles_larger_than_shown_are_not_enlarged():
    assert View.of(dark_spot(50, 50), diameter_px=5.0).grey.shape == (300, 400)


def test_marks_lie_at_their_particles_and_are_as_wide():
    view = View.of(dark_spot(120, 80), diameter_px=100.0)
    spot = np.array([[120.0, 80.0]])
    marks = Marks(right=spot, wrong=spot + 40, missed=spot + np.array([100, 0]))

    svg = marked_svg(view, marks, 100.0, "a picture")

    circles = {e.get("class"): e for e in elements(svg, "circle")}
    (square,) = elements(svg, "rect")
    scale = view.raw_per_px[0]
    assert float(circles["right"].get("cx")) * scale == pytest.approx(120, abs=0.2)  # 0.1 printed
    assert float(circles["right"].get("cy")) * scale == pytest.approx(80, abs=0.2)
    assert float(circles["missed"].get("cx")) * scale == pytest.approx(220, abs=0.2)
    assert float(circles["right"].get("r")) * scale == pytest.approx(50, abs=0.2)
    middle = float(square.get("x")) + float(square.get("width")) / 2
    assert middle * scale == pytest.approx(160, abs=0.4)


def test_scores_lie_over_their_places():
    view = View.of(dark_spot(120, 80), diameter_px=100.0)
    logits = np.full((30, 40), -8.0, np.float32)
    logits[8, 12] = 4.0  # 10 raw pixels between places: the place (120, 80)

    svg = scored_svg(view, logits, 10.0, "scores")

    _, layer = elements(svg, "image")
    column, row = (12 + 0.5) / 40, (8 + 0.5) / 30  # middle of the cell, as a share of the layer
    x = float(layer.get("x")) + column * float(layer.get("width"))
    y = float(layer.get("y")) + row * float(layer.get("height"))
    assert (x * view.raw_per_px[0], y * view.raw_per_px[1]) == pytest.approx((120, 80), abs=0.2)


def test_the_surer_the_brighter_and_the_less_clear():
    view = View.of(dark_spot(120, 80), diameter_px=100.0)
    logits = np.linspace(-9, 7, 33, dtype=np.float32)[None]

    _, layer = elements(scored_svg(view, logits, 10.0, "scores"), "image")

    rgba = decoded(layer.get("href")).astype(int)
    assert (rgba[0, logits[0] <= -6, 3] == 0).all()
    assert (np.diff(rgba[0, :, 3]) >= 0).all()
    assert (np.diff(rgba[0, :, :3].sum(axis=1)) >= -3).all()  # rounding of three channels
    assert rgba[0, -1, 3] > 200


@pytest.mark.parametrize(("x", "y"), [(120, 80), (2, 150), (398, 298)])
def test_crops_are_centred_also_at_the_edge(x, y):
    (address,) = crop_uris(dark_spot(x, y), np.array([[x, y]], float), diameter_px=60.0)

    crop = decoded(address).astype(int)
    assert crop.shape == (42, 42)
    assert crop[19:24, 19:24].min() < crop.min() + 40
    assert abs(crop[21, 21] - crop.min()) < 60
