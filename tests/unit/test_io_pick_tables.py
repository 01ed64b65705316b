from pathlib import Path

import numpy as np
import pytest

from cryopick.errors import (
    FormatError,
    InputError,
    OutputExistsError,
    SettingsError,
    UnmatchedError,
)
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables import columns
from cryopick.io.tables.pick_tables import (
    read_picks,
    read_picks_many,
    write_picks,
    write_picks_per_micrograph,
)
from cryopick.picks import Picks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")


def saved(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "image_name\tx_coord\ty_coord\tscore\nm\t1\t2\t0.5\n",
        "y_coord score image_name x_coord\n2   0.5 m 1\n",
        "# by a program\n\nimage_name x_coord y_coord score\n\nm 1 2 0.5",
    ],
)
def test_tsv_takes_columns_in_any_order_and_any_white_space(tmp_path, text):
    picks = read_picks(saved(tmp_path / "a.tsv", text))

    assert picks.micrographs == ("m",)
    assert picks.xy_px.tolist() == [[1, 2]]
    assert picks.score.tolist() == [0.5]


def test_tabs_keep_spaces_in_names(tmp_path):
    path = saved(tmp_path / "a.tsv", "image_name\tx_coord\ty_coord\nmy mic\t1\t2\n")

    assert read_picks(path).micrographs == ("my mic",)


def test_csv_knows_the_short_names_and_quoted_fields(tmp_path):
    path = saved(tmp_path / "a.csv", 'score, x,y,micrograph\n,1,2,"a, b"\n-3,4,5,c\n')

    picks = read_picks(path)

    assert picks.micrographs == ("a, b", "c")
    assert picks.xy_px.tolist() == [[1, 2], [4, 5]]
    assert np.isnan(picks.score[0])
    assert picks.score[1] == -3


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
@pytest.mark.parametrize("text", ["", "m\t1\t2\n", "image_name,x_coord\n", "\n\n"])
def test_a_table_without_its_header_is_refused(tmp_path, suffix, text):
    with pytest.raises(FormatError, match="expected a header with the columns image_name"):
        read_picks(saved(tmp_path / f"a{suffix}", text))


def test_a_column_named_twice_and_a_pick_without_a_name_are_refused(tmp_path):
    path = tmp_path / "a.csv"

    with pytest.raises(FormatError, match="x_coord appears twice"):
        read_picks(saved(path, "image_name,x_coord,y_coord,x\nm,1,2,3\n"))
    with pytest.raises(FormatError, match=r"a\.csv:3: expected a micrograph name"):
        read_picks(saved(path, "image_name,x_coord,y_coord\nm,1,2\n,1,2\n"))


def test_a_score_that_is_no_number_is_shown_with_its_line(tmp_path):
    path = saved(tmp_path / "a.csv", "image_name,x_coord,y_coord,score\nm,1,2,\nm,1,2,good\n")

    with pytest.raises(
        FormatError, match=r":3: expected a number in the column score, found 'good'"
    ):
        read_picks(path)


def test_text_columns_are_carried(tmp_path):
    path = saved(tmp_path / "a.csv", "micrograph,x,y,who\nm,1,2,ann\nm,3,4,bob\n")

    write_picks(read_picks(path), tmp_path / "b.tsv")

    assert read_picks(tmp_path / "b.tsv").extra["who"].tolist() == ["ann", "bob"]


def test_micrographs_are_named_by_stem_unless_two_share_one(tmp_path):
    xy = np.array([[1.0, 2.0], [3.0, 4.5]])

    write_picks(Picks.from_columns(["d/a.mrc", "d/b.c.mrc"], xy), tmp_path / "a.tsv")
    write_picks(Picks.from_columns(["d/a.mrc", "e/a.mrc"], xy), tmp_path / "b.tsv")

    assert (tmp_path / "a.tsv").read_text() == (
        "image_name\tx_coord\ty_coord\na\t1\t2\nb.c\t3\t4.5\n"
    )
    assert read_picks(tmp_path / "b.tsv").micrographs == ("d/a.mrc", "e/a.mrc")


def test_names_that_a_format_cannot_hold_are_refused(tmp_path):
    for suffix, name in [(".tsv", "a\tb"), (".tsv", "a\nb"), (".csv", "a\nb"), (".star", "a\nb")]:
        with pytest.raises(FormatError, match="line break"):
            write_picks(Picks.for_micrograph(name, np.ones((1, 2))), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def test_box_means_corner_plus_half_the_size_in_whole_pixels(tmp_path):
    path = saved(tmp_path / "mic.1.box", "14 35 20 10\n14\t35\t21\t10\t7.5\n")

    picks = read_picks(path)

    assert picks.micrographs == ("mic.1",)
    assert picks.xy_px.tolist() == [[24, 40], [24, 40]]
    assert np.isnan(picks.score[0])
    assert picks.score[1] == 7.5


@pytest.mark.parametrize("side", [20, 21])
def test_corners_of_boxes_are_written_in_whole_pixels(side, tmp_path):
    xy_px = np.array([[30.4, 40.6], [31.5, 42.49]])

    write_picks(Picks.for_micrograph("a", xy_px), tmp_path / "a.box", box_px=side)

    words = (tmp_path / "a.box").read_text().split()
    assert all(word.isdigit() for word in words)
    np.testing.assert_array_equal(read_picks(tmp_path / "a.box").xy_px, [[30, 41], [32, 42]])


def test_box_needs_a_side_and_one_micrograph(tmp_path):
    two = Picks.from_columns(["a", "b"], np.ones((2, 2)))

    with pytest.raises(SettingsError, match="--box-px"):
        write_picks(two, tmp_path / "a.box")
    with pytest.raises(SettingsError, match="holds one micrograph, the table has 2"):
        write_picks(two, tmp_path / "a.box", box_px=10)


def test_a_box_of_negative_size_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"a\.box:1: .* not negative in size"):
        read_picks(saved(tmp_path / "a.box", "1 2 -3 4\n"))


def test_two_micrographs_of_one_stem_do_not_share_a_file(tmp_path):
    picks = Picks.from_columns(["d/a.mrc", "e/a.mrc"], np.ones((2, 2)))

    with pytest.raises(SettingsError, match=r"d/a\.mrc and e/a\.mrc would both be written to"):
        write_picks_per_micrograph(picks, tmp_path)
    assert not list(tmp_path.iterdir())


def test_of_many_files_none_is_written_if_one_is_there(tmp_path):
    picks = Picks.from_columns(["a", "b"], np.ones((2, 2)))
    saved(tmp_path / "b.tsv", "precious")

    with pytest.raises(OutputExistsError, match=r"b\.tsv"):
        write_picks_per_micrograph(picks, tmp_path)
    assert not (tmp_path / "a.tsv").exists()


def test_files_that_only_their_name_tells_apart_are_never_merged(tmp_path):
    for folder in ("d", "e"):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder / "a.box", "1 2 3 4\n")

    with pytest.raises(UnmatchedError, match="both hold picks of 'a'"):
        read_picks_many([tmp_path / "d", tmp_path / "e"])


def test_tables_that_name_a_micrograph_are_joined(tmp_path):
    header = "image_name\tx_coord\ty_coord\n"
    first = saved(tmp_path / "1.tsv", header + "m\t1\t2\n")
    second = saved(tmp_path / "2.tsv", header + "m\t3\t4\nn\t5\t6\n")

    picks = read_picks_many([first, second])

    assert picks.micrographs == ("m", "n")
    assert picks.index.tolist() == [0, 0, 1]


def test_a_folder_without_tables_and_an_unknown_format_are_refused(tmp_path):
    with pytest.raises(InputError, match="this folder contains no table of picks"):
        read_picks(tmp_path)
    with pytest.raises(SettingsError, match="got 'xyz'"):
        read_picks(saved(tmp_path / "a.tsv", ""), format="xyz")
    with pytest.raises(SettingsError, match=r"expected a suffix of \.tsv"):
        write_picks(Picks.for_micrograph("a", np.ones((1, 2))), tmp_path / "a.xyz")
    with pytest.raises(FormatError, match="name its format with --from"):
        read_picks(saved(tmp_path / "a.xyz", "hello\n"))


def test_a_coordinate_that_is_not_finite_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="finite"):
        write_picks(Picks.for_micrograph("a", np.array([[np.nan, 1.0]])), tmp_path / "a.tsv")


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(picks):
        yield picks
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns, "iterate_slices", full)
    with pytest.raises(OSError, match="No space"):
        write_picks(Picks.for_micrograph("a", np.ones((1, 2))), tmp_path / "a.tsv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "é" * 150])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    picks = Picks.for_micrograph(name, np.zeros((1, 2)))
    with pytest.raises(FormatError, match="cannot be used in a file name"):
        write_picks_per_micrograph(picks, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "..", "a/..", "000001@../x.mrcs", "."])
def test_names_from_a_table_never_lead_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "in" / "here"
    written = write_picks_per_micrograph(Picks.for_micrograph(name, np.zeros((1, 2))), folder)
    assert [path.resolve().parent for path in written] == [folder.resolve()]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == written


def test_a_listed_name_longer_than_any_files_is_not_found(tmp_path):
    table = tmp_path / "mics.star"
    table.write_text("data_\nloop_\n_rlnMicrographName #1\n" + "m" * 5000 + "\n")
    with pytest.raises(InputError, match="no file 'mmm"):
        find_micrographs([str(table)])


@needs_shared
@pytest.mark.parametrize(
    ("name", "count", "first", "score"),
    [
        ("formats/eman_box/boxmanager_2d_left.box", 3, (24, 40), None),
        ("formats/eman_box/boxmanager_2d_center_float.box", 3, (24.3, 40.7), None),
        ("formats/eman_box/boxmanager_2d_empty.box", 0, None, None),
        ("formats/eman_box/repic_topaz_with_score.box", 789, (2092, 912), 7.182231),
        ("formats/eman_box/repic_crYOLO_with_score.box", 719, (2979, 3975), 0.6598718762397766),
        ("formats/topaz/EMPIAR-10025_particles.txt", 1500, (6924, 2481), None),
        ("empiar10017/particles.tsv", 8041, (1037, 470), None),
        ("empiar10017/labels_25.tsv", 25, (3570, 2351), None),
    ],
)
def test_tables_of_other_programs_read_as_they_were_meant(name, count, first, score):
    picks = read_picks(SHARED / name)

    assert len(picks) == count
    if first:
        assert tuple(picks.xy_px[0]) == first
        assert picks.score[0] == score if score else np.isnan(picks.score[0])


@needs_shared
@pytest.mark.parametrize(("name", "line"), [("has_string", 2), ("unqual_columns", 3)])
def test_broken_boxes_of_another_program_are_refused_with_the_line(name, line):
    with pytest.raises(FormatError, match=rf"\.box:{line}: expected a \.box line with 4 or 5"):
        read_picks(SHARED / f"formats/eman_box/boxmanager_2d_corrupt_{name}.box")


@needs_shared
def test_a_folder_of_boxes_covers_the_micrographs_of_the_truth():
    truth = read_picks(SHARED / "empiar10017/particles.tsv")
    picks = read_picks(SHARED / "empiar10017/other_pickers/crYOLO")

    assert set(picks.micrographs) == set(truth.micrographs)
    assert len(picks) == 8908
