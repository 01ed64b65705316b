import numpy as np
import pytest

from cryopick.errors import FormatError, SettingsError
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks

HEAD = """
data_global

_cbox_format_version 1.0

data_cryolo

loop_
_CoordinateX #1
_CoordinateY #2
_CoordinateZ #3
_Width #4
_Height #5
_Confidence #6
_EstWidth #7
"""


def saved(path, text):
    path.write_text(text)
    return path


def test_a_confidence_is_a_probability_and_its_logit_the_score(tmp_path):
    rows = "1 2 <NA> 10 20 0.5 <NA>\n1 2 <NA> 10 20 0.9 12\n"
    rows += "1 2 0.0 10 20 1.0 <NA>\n1 2 0 10 20 <NA> 9\n"

    picks = read_picks(saved(tmp_path / "m.cbox", HEAD + rows))

    assert picks.score[:2].tolist() == pytest.approx([0, np.log(9)])
    assert 16 < picks.score[2] < 17
    assert np.isnan(picks.score[3])
    np.testing.assert_array_equal(picks.extra["EstWidth"], [np.nan, 12, np.nan, 9])


def test_boxes_keep_their_own_sizes_unless_others_are_asked_for(tmp_path):
    source = saved(tmp_path / "m.cbox", HEAD + "1 2 <NA> 10 20 0.5 <NA>\n")
    picks = read_picks(source)

    write_picks(picks, tmp_path / "own.cbox")
    write_picks(picks, tmp_path / "asked.cbox", box_px=30)

    assert "\n1 2 <NA> 10.0 20.0 " in (tmp_path / "own.cbox").read_text()
    assert "\n-9 -3 <NA> 30.0 30.0 " in (tmp_path / "asked.cbox").read_text()
    assert read_picks(tmp_path / "asked.cbox").xy_px.tolist() == [[6, 12]]


def test_sizes_that_nobody_knows_are_asked_for(tmp_path):
    with pytest.raises(SettingsError, match="--box-px"):
        write_picks(Picks.for_micrograph("m", np.ones((1, 2))), tmp_path / "m.cbox")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1 2 7.0 10 20 0.5 <NA>", "boxes in a tomogram"),
        ("1 2 <NA> -10 20 0.5 <NA>", "positive size, found -10"),
        ("1 2 <NA> 10 20 1.5 <NA>", "a confidence between 0 and 1, found 1.5"),
        ("1 <NA> <NA> 10 20 0.5 <NA>", ":17: expected a finite number in the column CoordinateY"),
        ("1 2 <NA> 10 20 sure <NA>", ":17: expected a number in the column Confidence"),
    ],
)
def test_boxes_that_mean_nothing_are_refused(tmp_path, row, why):
    with pytest.raises(FormatError, match=why):
        read_picks(saved(tmp_path / "m.cbox", f"{HEAD}1 2 <NA> 10 20 0.5 <NA>\n{row}\n"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 2 3 4 0.5 6\n1 2 3 4\n", ":2: expected a row of 5 numbers or more .* has 4"),
        ("1 2 3 4 0.5 6\n1 2 x 4 0.5 6\n", ":2: expected a row of 5 numbers or more"),
        ("1 2 3 -4 0.5 6\n", ":1: expected .* not negative in size"),
        ("data_cryolo\nloop_\n_CoordinateX\n1\n", "expected the columns _CoordinateX, _Coord"),
    ],
)
def test_old_and_foreign_files_that_mean_nothing_are_refused(tmp_path, text, why):
    with pytest.raises(FormatError, match=why):
        read_picks(saved(tmp_path / "m.cbox", text))
