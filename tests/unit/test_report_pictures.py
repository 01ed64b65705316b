"""Pictures of micrographs: positions of marks, score maps and crops."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cryopick.report.pictures import (
    MicrographView,
    PickMarks,
    crop_uris,
    marked_svg,
    score_map_svg,
    stretch_contrast,
)

points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8).map(
    lambda pairs: np.array(pairs, float).reshape(-1, 2)
)


def dark_spot(x, y, shape=(300, 400), width=6.0):
    """Simulate a micrograph with one dark spot on weak noise."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))
    noise = np.random.default_rng(5).normal(0, 0.01, shape)
    return (100 + noise - 20 * spot).astype(np.float32)


def decode_uri(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def find_elements(svg, name):
    return [e for e in ET.fromstring(svg).iter() if e.tag == name]


@settings(deadline=None, max_examples=60)
@given(points, points, st.sampled_from([0.5, 2.0]))
def test_each_pick_is_correct_or_false_and_each_particle_matched_or_missed(picks, truth, radius_px):
    marks = PickMarks.from_matching(picks, np.arange(len(picks), dtype=float), truth, radius_px)

    assert len(marks.right) + len(marks.wrong) == len(picks)
    assert len(marks.right) + len(marks.missed) == len(truth)
    for x, y in marks.right:
        assert np.hypot(*(truth - [x, y]).T).min() <= radius_px


@settings(deadline=None, max_examples=40)
@given(arrays(float, (5, 7), elements=st.floats(-1e4, 1e4)))
def test_contrast_stretching_preserves_the_order_of_intensities(image):
    grey = stretch_contrast(image)

    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_the_contrast_of_a_constant_image_can_be_stretched():
    assert (stretch_contrast(np.full((4, 4), 3.0)) == 0).all()


@pytest.mark.parametrize(("x", "y"), [(120, 80), (300, 250)])
def test_a_spot_keeps_its_position_in_the_displayed_micrograph(x, y):
    view = MicrographView.from_pixels(dark_spot(x, y), diameter_px=100.0)

    rows, columns = np.nonzero(view.grey == view.grey.min())
    position = np.array([columns.mean(), rows.mean()]) * view.raw_per_px
    assert view.grey.shape[1] < 400
    assert np.abs(position - [x, y]).max() <= view.raw_per_px[0]  # one displayed pixel


def test_micrographs_of_small_particles_are_not_upscaled():
    assert MicrographView.from_pixels(dark_spot(50, 50), diameter_px=5.0).grey.shape == (300, 400)


def test_marks_have_the_position_and_diameter_of_their_particles():
    view = MicrographView.from_pixels(dark_spot(120, 80), diameter_px=100.0)
    spot = np.array([[120.0, 80.0]])
    marks = PickMarks(right=spot, wrong=spot + 40, missed=spot + np.array([100, 0]))

    svg = marked_svg(view, marks, 100.0, "a picture")

    circles = {e.get("class"): e for e in find_elements(svg, "circle")}
    (square,) = find_elements(svg, "rect")
    scale = view.raw_per_px[0]
    assert float(circles["right"].get("cx")) * scale == pytest.approx(120, abs=0.2)  # 0.1 printed
    assert float(circles["right"].get("cy")) * scale == pytest.approx(80, abs=0.2)
    assert float(circles["missed"].get("cx")) * scale == pytest.approx(220, abs=0.2)
    assert float(circles["right"].get("r")) * scale == pytest.approx(50, abs=0.2)
    center_x = float(square.get("x")) + float(square.get("width")) / 2
    assert center_x * scale == pytest.approx(160, abs=0.4)


def test_scores_are_drawn_at_their_positions():
    view = MicrographView.from_pixels(dark_spot(120, 80), diameter_px=100.0)
    logits = np.full((30, 40), -8.0, np.float32)
    logits[8, 12] = 4.0  # 10 raw pixels between scores: position (120, 80)

    svg = score_map_svg(view, logits, 10.0, "scores")

    _, layer = find_elements(svg, "image")
    column, row = (12 + 0.5) / 40, (8 + 0.5) / 30  # centre of the cell, as a fraction of the layer
    x = float(layer.get("x")) + column * float(layer.get("width"))
    y = float(layer.get("y")) + row * float(layer.get("height"))
    assert (x * view.raw_per_px[0], y * view.raw_per_px[1]) == pytest.approx((120, 80), abs=0.2)


def test_higher_scores_are_brighter_and_more_opaque():
    view = MicrographView.from_pixels(dark_spot(120, 80), diameter_px=100.0)
    logits = np.linspace(-9, 7, 33, dtype=np.float32)[None]

    _, layer = find_elements(score_map_svg(view, logits, 10.0, "scores"), "image")

    rgba = decode_uri(layer.get("href")).astype(int)
    assert (rgba[0, logits[0] <= -6, 3] == 0).all()
    assert (np.diff(rgba[0, :, 3]) >= 0).all()
    assert (np.diff(rgba[0, :, :3].sum(axis=1)) >= -3).all()  # rounding of three channels
    assert rgba[0, -1, 3] > 200


@pytest.mark.parametrize(("x", "y"), [(120, 80), (2, 150), (398, 298)])
def test_crops_are_centred_even_at_the_edge(x, y):
    (uri,) = crop_uris(dark_spot(x, y), np.array([[x, y]], float), diameter_px=60.0)

    crop = decode_uri(uri).astype(int)
    assert crop.shape == (42, 42)
    assert crop[19:24, 19:24].min() < crop.min() + 40
    assert abs(crop[21, 21] - crop.min()) < 60
