"""STAR files as RELION writes and reads them, and older coordinate files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.errors import FormatError
from cryopick.io.tables.pick_tables import read_picks, read_star_context, write_picks
from cryopick.io.tables.star_text import parse_star

NAMES = [
    "data_20240101/mic1.mrc",
    "Data_Krios/mic1.mrc",
    "data_1/mic.mrc",
    "save_2/mic1.mrc",
    "loop_1/a.mrc",
    "stop_/a.mrc",
    "global_a.mrc",
    "_mic1.mrc",
    "$scratch/mic1.mrc",
    ";mic1.mrc",
    "100%_a.mrc",
]
HEAD = "data_particles\n\nloop_\n"
TAGS = ("_rlnMicrographName", "_rlnCoordinateX", "_rlnCoordinateY")


def star(rows, order=(0, 1, 2), numbered=True, head=HEAD):
    header = [f"{TAGS[i]} #{k}" if numbered else TAGS[i] for k, i in enumerate(order, 1)]
    return head + "\n".join([*header, *(" ".join(row[i] for i in order) for row in rows), "", ""])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (1, 0, 2)])
@pytest.mark.parametrize("numbered", [True, False])
def test_names_that_cif_reserves_are_values_in_rows(name, order, numbered, tmp_path):
    path = tmp_path / "a.star"
    path.write_text(star([(name, "10", "20"), (name, "30.5", "40.25")], order, numbered))

    picks = read_picks(path)

    assert picks.micrographs == (name,)
    assert picks.xy_px.tolist() == [[10, 20], [30.5, 40.25]]
    write_picks(picks, tmp_path / "b.star")
    assert read_picks(tmp_path / "b.star").micrographs == (name,)


@given(
    st.lists(
        st.text("data_loopsv$;a1./-", min_size=1, max_size=8).map(lambda text: f"{text}/x.mrc"),
        min_size=1,
        max_size=4,
    )
)
def test_any_name_with_a_folder_is_a_value(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("names") / "a.star"
    path.write_text(star([(name, "1", "2") for name in names]))

    picks = read_picks(path)

    assert [picks.micrographs[i] for i in picks.index] == names


def test_a_number_sign_inside_a_row_is_a_value_and_at_its_beginning_a_comment(tmp_path):
    path = tmp_path / "a.star"
    path.write_text(star([("#1.mrc", "1", "2"), ("a.mrc", "3", "4")], (1, 2, 0)))
    rows = read_picks(path)
    path.write_text(star([("#1.mrc", "1", "2"), ("a.mrc", "3", "4")]))
    first_is_comment = read_picks(path)

    assert rows.micrographs == ("#1.mrc", "a.mrc")
    assert first_is_comment.micrographs == ("a.mrc",)


def test_blocks_around_such_rows_are_kept(tmp_path):
    path = tmp_path / "a.star"
    optics = "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n1 data_set\n\n"
    path.write_text(star([("data_1/a.mrc", "1", "2")], head=optics + HEAD))

    assert read_star_context([path]).others == optics.strip()


def test_comments_and_text_fields_keep_their_meaning(tmp_path):
    path = tmp_path / "a.star"
    path.write_text(
        star([("a.mrc", "1", "2 # seen twice"), ("# a whole line", "", ""), ("b.mrc", "3", "4")])
    )

    assert read_picks(path).micrographs == ("a.mrc", "b.mrc")


def test_a_row_with_a_missing_value_is_still_an_error(tmp_path):
    path = tmp_path / "a.star"
    path.write_text(star([("data_1/a.mrc", "1", "2"), ("data_1/b.mrc", "3", "")]))

    with pytest.raises(FormatError, match=r"a\.star:8"):
        read_picks(path)


def test_the_coordinate_files_of_relion_3_are_found_by_their_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = Path("AutoPick/job008")
    (job / "Movies").mkdir(parents=True)
    Path("CtfFind/job003").mkdir(parents=True)
    Path("CtfFind/job003/micrographs_ctf.star").write_text(
        "data_micrographs\n\nloop_\n_rlnMicrographName\n"
        "MotionCorr/job002/Movies/a.mrc\nMotionCorr/job002/Movies/b.mrc\n"
    )
    (job / "coords_suffix_autopick.star").write_text("CtfFind/job003/micrographs_ctf.star\n")
    (job / "Movies/a_autopick.star").write_text(
        star([("x", "1", "2")], (1, 2), head="data_\n\nloop_\n")
    )

    picks = read_picks(job / "coords_suffix_autopick.star")

    assert picks.micrographs == ("MotionCorr/job002/Movies/a.mrc",)
    assert picks.xy_px.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "text", "scores"),
    [
        ("mic_autopick.txt", "10 20\n30.5 40.25\n", [np.nan, np.nan]),
        ("mic.xy", "# x y\n10\t20\n30.5\t40.25\n\n", [np.nan, np.nan]),
        ("mic.coord", "10 20 1.5\n30.5 40.25 -2\n", [1.5, -2]),
        (
            "mic.pos",
            "# XMIPP_STAR_1 *\n#\ndata_header\nloop_\n _pickingMicrographState\nManual\n"
            "data_particles\nloop_\n _xcoor\n _ycoor\n _cost\n10 20 0.5\n30.5 40.25 0.25\n",
            [0.5, 0.25],
        ),
        (
            "mic.star",
            "# XMIPP_STAR_1 *\ndata_particles\nloop_\n _xcoor\n _ycoor\n10 20\n30.5 40.25\n",
            [np.nan, np.nan],
        ),
    ],
)
def test_coordinates_without_a_header_and_those_of_xmipp_are_read(name, text, scores, tmp_path):
    (tmp_path / name).write_text(text)

    picks = read_picks(tmp_path / name)

    assert picks.micrographs == ("mic",)
    assert picks.xy_px.tolist() == [[10, 20], [30.5, 40.25]]
    np.testing.assert_array_equal(picks.score, scores)


def test_boxes_along_helices_keep_the_helix_and_the_micrograph(tmp_path):
    (tmp_path / "boxes.box").write_text(
        "#micrograph: mics/a.mrc\n#segment length: 20\n#segment width: 20\n"
        "#helix: (10.0, 10.0),(40.0, 10.0),20\n0 0 20 20\n10 0 20 20\n"
        "#helix: (10.0, 50.0),(40.0, 50.0),20\n0 40 20 20\n"
    )

    picks = read_picks(tmp_path / "boxes.box")

    assert picks.micrographs == ("mics/a.mrc",)
    assert picks.xy_px.tolist() == [[10, 10], [20, 10], [10, 50]]
    assert picks.extra["rlnHelicalTubeID"].tolist() == [1, 1, 2]


@pytest.mark.parametrize("comment", ["# version 30001", "#version 3 0", "# a b", "#a b c"])
@pytest.mark.parametrize("blank", ["\n", "\n\n", " \n"])
def test_a_comment_after_a_loop_is_no_row_of_it(comment, blank, tmp_path):
    optics = "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnVoltage\n1 g 300\n"
    pair = "data_general\n\n_rlnTomoSubTomosAre2DStacks 0\n\n"
    table = (
        "data_particles\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnGroupName\n1 2 $a\n3 4 a\n"
    )
    path = tmp_path / "a.star"
    path.write_text(optics + blank + comment + "\n\n" + pair + table)

    document = parse_star(path.read_text(), path)

    assert list(document.find_block("optics").find_values("_rlnOpticsGroup")) == ["1"]
    assert len(read_picks(path)) == 2
