import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import FormatError, InputError, OutputExistsError
from cryopick.io.tables.region_files import read_regions, write_regions
from cryopick.regions import Regions

SQUARE = np.array([[10.0, 20.0], [30.0, 20.0], [30.0, 40.0], [10.0, 40.0]])
BOW_TIE = np.array([[0.0, 0.0], [10.0, 10.0], [10.0, 0.0], [0.0, 10.0]])


def on(*polygons, name="a.mrc"):
    return Regions({name: polygons})


def test_a_region_contains_the_points_inside_its_polygon():
    points = np.array([[20.0, 30.0], [9.0, 30.0], [20.0, 41.0], [29.9, 20.1]])

    assert on(SQUARE).contains("a.mrc", points).tolist() == [True, False, False, True]
    assert not on(SQUARE).contains("b.mrc", points).any()


def test_a_polygon_that_crosses_itself_holds_its_two_triangles():
    points = np.array([[1.0, 5.0], [9.0, 5.0], [5.0, 1.0], [5.0, 9.0]])

    assert on(BOW_TIE).contains("a.mrc", points).tolist() == [False, False, True, True] or on(
        BOW_TIE
    ).contains("a.mrc", points).tolist() == [True, True, False, False]


def test_overlapping_polygons_do_not_cancel():
    assert on(SQUARE, SQUARE).contains("a.mrc", np.array([[20.0, 30.0]])).tolist() == [True]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-5, 45), st.floats(-5, 45)), min_size=3, max_size=3))
def test_a_triangle_holds_what_lies_on_the_inner_side_of_all_its_edges(corners):
    triangle = np.array(corners)
    edges = np.roll(triangle, -1, axis=0) - triangle
    y, x = np.mgrid[:40, :40]
    from_corners = np.stack([x, y], axis=-1)[:, :, None] - triangle
    side = edges[:, 0] * from_corners[..., 1] - edges[:, 1] * from_corners[..., 0]

    mask = on(triangle).mask("a.mrc", (40, 40), (1.0, 1.0))

    clear = (np.abs(side) > 1e-6).all(-1)  # a point on an edge may fall on either side
    inner = (side > 0).all(-1) | (side < 0).all(-1)
    assert (mask == inner)[clear].all()


def test_a_mask_scales_and_may_lie_beyond_the_image():
    mask = on(SQUARE).mask("a.mrc", (15, 10), (2.0, 4.0))

    expected = np.zeros((15, 10), bool)
    expected[10:15, 3:8] = True  # rows 20 to 28 of 20 to 40; columns 12 to 28 of 10 to 30
    assert (mask == expected).all()
    assert not on(SQUARE + 1000).mask("a.mrc", (15, 10), (2.0, 4.0)).any()


def test_a_file_comes_back_as_it_was(tmp_path):
    write_regions(on(SQUARE, BOW_TIE), tmp_path / "r.json")

    back = read_regions(tmp_path / "r.json")

    assert [p.tolist() for p in back.polygons["a.mrc"]] == [SQUARE.tolist(), BOW_TIE.tolist()]
    with pytest.raises(OutputExistsError):
        write_regions(on(SQUARE), tmp_path / "r.json")


def test_regions_go_by_the_names_of_the_micrographs_at_hand(tmp_path):
    write_regions(on(SQUARE, name="a"), tmp_path / "r.json")

    assert set(read_regions(tmp_path / "r.json", ["mics/a.mrc", "b.mrc"]).polygons) == {
        "mics/a.mrc"
    }
    with pytest.raises(InputError, match="none of its regions"):
        read_regions(tmp_path / "r.json", ["b.mrc"])


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"regions": 3}',
        '{"regions": {"a": [[[1, 2], [3, 4]]]}}',
        '{"regions": {"a": [[[1, 2], [3, 4], [NaN, 5]]]}}',
        '{"regions": {"a": [[["x", 2], [3, 4], [4, 5]]]}}',
        '{"other": {}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_file_of_regions_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "r.json").write_text(content)

    with pytest.raises(FormatError, match="not a file of regions") as caught:
        read_regions(tmp_path / "r.json")

    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        read_regions(tmp_path / "none.json")


def test_an_empty_file_of_regions_is_fine(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps({"regions": {}}))

    assert not read_regions(tmp_path / "r.json", ["a.mrc"]).polygons
