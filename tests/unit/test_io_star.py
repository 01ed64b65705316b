from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryopick.errors import FormatError, InputError
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables.pick_tables import read_picks, write_picks, write_picks_per_micrograph
from cryopick.io.tables.star_text import parse_star, quote_value, unquote_values
from cryopick.picks import Picks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats"
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")


def saved(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("mark", ["_autopick", "_manualpick", "_topaz", "_automatch", ""])
def test_a_file_without_names_is_named_by_its_stem(tmp_path, mark):
    text = "\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n 1.5 2\n"

    picks = read_picks(saved(tmp_path / f"m.1{mark}.star", text))

    assert picks.micrographs == ("m.1",)
    assert picks.xy_px.tolist() == [[1.5, 2]]


def test_no_figure_of_merit_is_no_score(tmp_path):
    columns = "_rlnCoordinateX\n_rlnCoordinateY\n_rlnAutopickFigureOfMerit\n"

    picks = read_picks(
        saved(tmp_path / "a.star", f"data_\nloop_\n{columns}1 2 -999.00000\n1 2 3\n")
    )

    assert np.isnan(picks.score[0])
    assert picks.score[1] == 3


def test_a_single_row_written_as_pairs_is_read(tmp_path):
    text = "data_particles\n_rlnCoordinateX 4\n_rlnCoordinateY 3\n_rlnMicrographName a.mrc\n"

    picks = read_picks(saved(tmp_path / "a.star", text))

    assert picks.micrographs == ("a.mrc",)
    assert picks.xy_px.tolist() == [[4, 3]]


def test_particles_come_before_other_blocks_and_two_others_are_refused(tmp_path):
    loop = "loop_\n_rlnCoordinateX\n_rlnCoordinateY\n{} 1\n"
    both = f"data_other\n{loop.format(5)}\ndata_particles\n{loop.format(7)}"

    assert read_picks(saved(tmp_path / "a.star", both)).xy_px[0, 0] == 7
    with pytest.raises(FormatError, match="found it in the blocks other, more; keep one"):
        read_picks(saved(tmp_path / "a.star", both.replace("particles", "more")))


def test_a_star_file_of_something_else_is_refused_with_its_blocks(tmp_path):
    text = "data_optics\nloop_\n_rlnVoltage\n300\n"

    with pytest.raises(FormatError, match="found none in the blocks optics"):
        read_picks(saved(tmp_path / "a.star", text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("hello\n", ":1: expected a STAR file"),
        ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3\n", ":6: expected 2 values"),
        ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3 'four\n", ": expected"),
        ("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n\n1 2\n3 ?\n", ":7: expected a finite"),
    ],
)
def test_broken_files_are_refused_with_the_line(tmp_path, text, place):
    path = saved(tmp_path / "a.star", text)

    with pytest.raises(FormatError) as caught:
        read_picks(path)

    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_number_in_a_row_over_several_lines_is_refused_too(tmp_path):
    text = "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1\n2\n3 four\n5 6\n"

    with pytest.raises(FormatError, match=r":7: expected a finite number .* found '3 four'"):
        read_picks(saved(tmp_path / "a.star", text))
    with pytest.raises(FormatError, match=r"expected a finite number .* correct the file"):
        read_picks(saved(tmp_path / "a.star", text.replace("1\n", "one\n").replace("four", "4")))


def test_a_block_that_comes_twice_is_refused(tmp_path):
    text = "data_a\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n"

    with pytest.raises(FormatError, match=r"expected a STAR file: .*duplicate block name"):
        read_picks(saved(tmp_path / "a.star", text + text))


def test_texts_are_carried_and_numbers_with_leading_zeros_are_texts(tmp_path):
    head = "data_particles\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n"
    text = f"{head}_rlnGroupName\n_rlnComment\n1 2 a.mrc 007 'two words'\n3 4 a.mrc 011 ?\n"

    picks = read_picks(saved(tmp_path / "a.star", text))
    write_picks(picks, tmp_path / "b.star")

    assert picks.extra["rlnGroupName"].tolist() == ["007", "011"]
    assert picks.extra["rlnComment"].tolist() == ["two words", "?"]
    assert "a.mrc 3 4 011 ?\n" in (tmp_path / "b.star").read_text()


def test_an_index_that_lists_itself_is_refused(tmp_path):
    head = "data_coordinate_files\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"

    with pytest.raises(FormatError, match="expected the columns rlnCoordinateX"):
        read_picks(saved(tmp_path / "autopick.star", head + "a.mrc autopick.star\n"))


def test_gautomatch_names_the_micrograph_by_its_file(tmp_path):
    columns = ["CoordinateX", "CoordinateY", "AnglePsi", "ClassNumber", "AutopickFigureOfMerit"]
    head = "data_\n\nloop_\n" + "".join(f"_rln{c} #{i}\n" for i, c in enumerate(columns, 1))

    picks = read_picks(saved(tmp_path / "m.1_automatch.star", head + "1234 56 12.5 3 0.25\n"))

    assert picks.micrographs == ("m.1",)
    assert picks.xy_px.tolist() == [[1234, 56]]
    assert picks.score.tolist() == [0.25]
    assert picks.extra["rlnClassNumber"].tolist() == [3]


def test_relions_index_leads_to_its_coordinate_files(tmp_path):
    job = tmp_path / "AutoPick/job003"
    picks = Picks.from_columns(["mics/a.mrc", "mics/b.mrc"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    write_picks_per_micrograph(picks, job / "mics", format="star")
    rows = "".join(f"mics/{m}.mrc AutoPick/job003/mics/{m}_autopick.star\n" for m in "ab")
    head = "data_coordinate_files\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"
    index = saved(job / "autopick.star", head + rows)

    found = read_picks(index)

    assert found.micrographs == ("mics/a.mrc", "mics/b.mrc")
    assert found.xy_px.tolist() == picks.xy_px.tolist()


def test_an_index_whose_files_are_missing_is_refused(tmp_path):
    head = "data_coordinate_files\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"

    with pytest.raises(InputError, match=r"no file 'gone\.star'"):
        read_picks(saved(tmp_path / "autopick.star", head + "a.mrc gone.star\n"))


def test_micrographs_come_from_the_star_file_of_a_relion_job(tmp_path):
    saved(tmp_path / "MotionCorr/job002/a.mrc", "x")
    optics = "data_optics\nloop_\n_rlnOpticsGroup\n1\n\n"
    text = optics + "data_micrographs\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n"
    star = saved(tmp_path / "CtfFind/job003/mics.star", text + "MotionCorr/job002/a.mrc 1\n")

    assert find_micrographs([str(star)]) == [tmp_path / "MotionCorr/job002/a.mrc"]
    with pytest.raises(FormatError, match="rlnMicrographName"):
        find_micrographs([str(saved(tmp_path / "b.star", optics))])


def test_one_micrograph_is_written_as_relions_picker_writes_it(tmp_path):
    picks = Picks.for_micrograph("d/m.mrc", np.array([[839.125, 19.5]]), np.array([0.625]))

    [path] = write_picks_per_micrograph(picks, tmp_path, format="star")

    assert path.name == "m_autopick.star"
    assert path.read_text() == (
        f"# cryopick {version('cryopick')}\n"
        "\n# version 30001\n\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n"
        "_rlnAutopickFigureOfMerit #3\n_rlnClassNumber #4\n_rlnAnglePsi #5\n"
        "839.125 19.5 0.625 0 0\n\n"
    )


def test_several_micrographs_are_written_with_their_paths(tmp_path):
    picks = Picks.from_columns(["d/a b.mrc", "e/ü%41.mrc"], np.ones((2, 2)))

    write_picks(picks, tmp_path / "a.star")

    assert "data_particles\n" in (tmp_path / "a.star").read_text()
    assert "'d/a b.mrc' 1 1\n" in (tmp_path / "a.star").read_text()
    assert read_picks(tmp_path / "a.star").micrographs == picks.micrographs


def test_percent_signs_are_not_taken_for_escapes(tmp_path):
    picks = Picks.for_micrograph("a%41", np.ones((1, 2)))

    write_picks(picks, tmp_path / "a.star")

    assert read_picks(tmp_path / "a.star").micrographs == ("a%41",)


def test_a_table_written_by_the_starfile_package_is_read():
    picks = read_picks(GOLDEN / "starfile_particles.star")

    assert picks.micrographs == ("MotionCorr/job002/mic 01.mrc", "MotionCorr/job002/mic_02.mrc")
    assert picks.index.tolist() == [0, 1, 0]
    assert picks.xy_px.tolist() == [[10.5, 20.25], [30.0, 40.125], [4095.0, 0.0]]
    assert picks.score.tolist() == [1.5, -2.25, 0.0]
    assert picks.extra["rlnClassNumber"].tolist() == [1, 2, 3]


@needs_shared
@pytest.mark.parametrize(
    ("name", "micrographs", "count", "first", "score"),
    [
        (
            "relion/relion30_autopick_Ucsf_stack_1142_DW.star",
            1,
            45,
            (839.125024, 19.979167),
            0.624705,
        ),
        ("relion/emtools_refine3d_run_it016_data.star", None, 4748, (1624, 116), 18.219412),
        ("relion/cryojax_relion31_ribosome_4ug0.star", 1, 5, (790, 817), None),
        (
            "relion/aspire/sample_particles_relion30.star",
            1,
            17,
            (2158.111921, 3073.912046),
            1.065473,
        ),
        (
            "relion/aspire/sample_particles_relion31.star",
            1,
            17,
            (2158.111921, 3073.912046),
            1.065473,
        ),
        ("relion/simplecryoem/pyem_onerow.star", 1, 1, (135.458824, 2336.66472), 0.033098),
        ("cryodrgn/relion5.star", None, 17, (1736, 228), 16.459581),
        ("topaz/EMPIAR-10025_particles.star", None, 1500, (6924, 2481), None),
        ("scipion/input_particles_relion31.star", None, 2021, (501, 863), None),
    ],
)
def test_files_of_other_programs_read_as_they_were_meant(name, micrographs, count, first, score):
    picks = read_picks(SHARED / name)

    assert len(picks) == count
    assert micrographs in (None, len(picks.micrographs))
    assert tuple(picks.xy_px[0]) == first
    assert picks.score[0] == score if score else np.isnan(picks.score[0])


@needs_shared
def test_the_two_forms_in_which_topaz_ships_a_table_agree():
    star = read_picks(SHARED / "topaz/EMPIAR-10025_particles.star")
    text = read_picks(SHARED / "topaz/EMPIAR-10025_particles.txt")

    assert tuple(name.removesuffix(".mrc") for name in star.micrographs) == text.micrographs
    assert (star.index == text.index).all()
    assert (star.xy_px == text.xy_px).all()


@needs_shared
def test_a_relion_2_micrograph_list_is_read():
    from cryopick.io.tables.star import read_micrograph_names

    names = read_micrograph_names(SHARED / "relion/relion2_micrographs_all_gctf.star")

    assert names[0].startswith("CtfFind/job021/Micrographs/FoilHole_26052105_")
    assert len(names) == len(set(names)) > 1


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
@example("data_1")
@example("Loop_")
@example("stop_here.mrc")
@example("000001@stacks/a.mrcs")
@example("mic 1.mrc")
@example("_tag")
def test_a_quoted_word_reads_back_as_it_was(word):
    try:
        written = quote_value(word)
    except FormatError:
        assert "'" in word
        assert '"' in word
        return
    block = parse_star(f"data_\nloop_\n_tag\n{written}\n", Path("a.star"))[0]

    assert unquote_values(list(block.find_loop("_tag"))) == [word]


def test_whole_numbers_in_a_column_of_fractions_keep_a_decimal_point(tmp_path):
    xy_px = np.array([[20.0, 30.0], [21.0, 31.5]])
    write_picks(Picks.for_micrograph("a.mrc", xy_px, np.array([3.0, 1.8])), tmp_path / "p.star")

    rows = [x.split() for x in (tmp_path / "p.star").read_text().splitlines() if x[:5] == "a.mrc"]

    assert [row[1:] for row in rows] == [["20", "30.0", "3.0"], ["21", "31.5", "1.8"]]
