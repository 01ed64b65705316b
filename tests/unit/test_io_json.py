import json

import numpy as np
import pytest

from cryopick.errors import FormatError
from cryopick.io.tables.pick_tables import read_picks, write_picks, write_picks_per_micrograph
from cryopick.picks import Picks


def saved(path, text):
    path.write_text(text)
    return path


def test_plain_json_keeps_everything(tmp_path):
    picks = Picks(
        micrographs=("d/b.mrc", "d/none.mrc", "d/a.mrc"),
        index=np.array([2, 0, 2]),
        xy_px=np.array([[1.5, 2], [3, 4], [5, 6.125]]),
        score=np.array([0.5, np.nan, -3]),
        extra={
            "class": np.array([1, 2, 3]),
            "who": np.array(["ann", "bob", "\u00fc"]),
            "p": np.array([0.1, np.nan, 1]),
            "uid": np.array([15494748553812943456, 1, 2], np.uint64),
        },
    )

    write_picks(picks, tmp_path / "a.json")
    again = read_picks(tmp_path / "a.json")

    assert again.micrographs == picks.micrographs
    assert again.index.tolist() == picks.index.tolist()
    assert again.xy_px.tolist() == picks.xy_px.tolist()
    np.testing.assert_array_equal(again.score, picks.score)
    for name, column in picks.extra.items():
        np.testing.assert_array_equal(again.extra[name], column)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", ":1: expected JSON"),
        ("[" * 100_000, "values out of bounds|expected JSON"),
        ("[{}]", "a header with the columns image_name"),
        ('[{"x": 1, "y": 2}]', "without image_name"),
        ('[{"micrograph": "a", "x": 1, "y": 2}, {"micrograph": "a", "x": 1}]', "in pick 2"),
        ('[{"micrograph": "a", "x": NaN, "y": 2}]', "finite number as x of pick 1"),
        ('[{"micrograph": "a", "x": "1", "y": 2}]', "finite number as x of pick 1"),
        ('[{"micrograph": "a", "x": 1e999, "y": 2}]', "finite number as x of pick 1"),
        ('[{"micrograph": "a", "x": true, "y": 2}]', "finite number as x of pick 1"),
        ('[{"micrograph": 5, "x": 1, "y": 2}]', "a name as each pick's micrograph"),
        ('[{"micrograph": "a", "x": 1, "y": 2, "k": [1]}]', "a finite number as k"),
        ("[" + "9" * 5000 + "]", "values out of bounds"),
        ('{"a": 1}', "an object with the keys a"),
        ('{"picks": [], "micrographs": [1]}', "names as 'micrographs'"),
    ],
)
def test_json_that_is_no_table_is_refused(tmp_path, text, why):
    with pytest.raises(FormatError, match=why) as caught:
        read_picks(saved(tmp_path / "a.json", text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"boxes": {}}', "a list as 'boxes'"),
        ('{"boxes": [[1, 2, "manual"], 3]}', "as box 2, found '3'"),
        ('{"boxes": [[1]]}', "as box 1"),
        ('{"boxes": [["a", 2]]}', "finite number as a centre of box 1"),
        ('{"boxes_3d": [[1, 2, 3]]}', "boxes in a tomogram"),
    ],
)
def test_boxes_of_eman_that_mean_nothing_are_refused(tmp_path, text, why):
    with pytest.raises(FormatError, match=why):
        read_picks(saved(tmp_path / "a_info.json", text))


def test_boxes_of_eman_may_stand_behind_much_else_in_a_file_of_any_name(tmp_path):
    text = json.dumps({"ctf": [1.5] * 50_000, "boxes": [[1, 2, "auto", 0.5], [3, 4]]})

    picks = read_picks(saved(tmp_path / "m.json", text))

    assert picks.micrographs == ("m",)
    assert picks.xy_px.tolist() == [[1, 2], [3, 4]]
    assert picks.extra["tag"].tolist() == ["auto", ""]


def test_a_file_of_eman_is_named_without_what_follows_two_underscores(tmp_path):
    picks = Picks.for_micrograph("mics/grid1__ctf_flip.hdf", np.ones((1, 2)))

    [path] = write_picks_per_micrograph(picks, tmp_path, format="eman")

    assert path.name == "grid1_info.json"
    assert read_picks(path).micrographs == ("grid1",)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('m.png,"{""cx"":1}",{}', "a point, circle, ellipse or rectangle"),
        ("m.png,{,{}", "attributes in JSON"),
        ("m.png,[1],{}", "attributes as a JSON object"),
        ('m.png,"{""cx"":1,""cy"":2}","{""score"":""x""}"', "a number as score"),
        ("m.png,{}", "3 columns, as the header has; this line has 2"),
    ],
)
def test_regions_of_via_that_mean_nothing_are_refused_with_their_line(tmp_path, row, why):
    text = f"filename,region_shape_attributes,region_attributes\n{row}\n"

    with pytest.raises(FormatError, match=f":2: expected {why}"):
        read_picks(saved(tmp_path / "labels.csv", text))


def test_via_keeps_images_without_a_region_and_tells_equal_stems_apart(tmp_path):
    head = "#filename,region_shape_attributes,region_attributes\n"
    shape = '"{""cx"":1,""cy"":2}"'

    picks = read_picks(saved(tmp_path / "a.csv", f"{head}m.png,{{}},{{}}\nn.png,{shape},{{}}\n"))
    both = read_picks(saved(tmp_path / "b.csv", f"{head}m.png,{shape},{{}}\nm.jpg,{shape},{{}}\n"))
    write_picks(picks, tmp_path / "c_via.csv")

    assert picks.micrographs == ("m", "n")
    assert picks.index.tolist() == [1]
    assert both.micrographs == ("m.png", "m.jpg")
    assert set(read_picks(tmp_path / "c_via.csv").micrographs) == {"m", "n"}
