"""Carried columns keep their characters through every text format."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.io.tables.codec import convert_to_floats, format_column, parse_column
from cryopick.io.tables.pick_tables import (
    read_picks,
    write_picks,
    write_picks_per_micrograph,
)
from cryopick.picks import Picks

LOOK_LIKE_NUMBERS = ["1.10", "12e3", "007", "1_000", "+5", "1E5", ".5", "5.", "-0", "0x10", "1e400"]


@given(st.lists(st.text("0123456789.e+-_xXnaif", min_size=1, max_size=24), max_size=5))
def test_any_column_comes_back_as_it_was(texts):
    assert format_column(parse_column(texts)) == texts


@pytest.mark.parametrize("text", LOOK_LIKE_NUMBERS)
@pytest.mark.parametrize("suffix", [".star", ".tsv", ".csv"])
def test_names_that_look_like_numbers_keep_their_characters(text, suffix, tmp_path):
    source, copy = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    if suffix == ".star":
        columns = "".join(
            f"_rln{name}\n"
            for name in ("MicrographName", "CoordinateX", "CoordinateY", "GroupName")
        )
        source.write_text(f"data_particles\n\nloop_\n{columns}a.mrc 1 2 {text}\na.mrc 3 4 {text}\n")
    else:
        sign = "\t" if suffix == ".tsv" else ","
        rows = [["image_name", "x_coord", "y_coord", "group"], ["a", "1", "2", text]]
        source.write_text("\n".join(map(sign.join, rows)) + "\n")

    write_picks(read_picks(source), copy)

    (column,) = read_picks(copy).extra.values()
    assert set(column.tolist()) == {text}
    assert copy.read_text().split()[-1].split(",")[-1] == text


def test_plain_numbers_are_numbers_in_memory():
    assert parse_column(["1", "-2"]).dtype == np.int64
    assert parse_column(["0.5", "2.25"]).dtype == np.float64


def test_text_is_converted_where_it_is_computed_with():
    assert convert_to_floats(np.array(["0.100000", "2"])).tolist() == [0.1, 2]
    assert convert_to_floats(np.array(["a"])) is None


@pytest.mark.parametrize("suffix", ["star", "tsv", "csv", "json"])
@pytest.mark.parametrize(
    "name",
    ["x", "y", "score", "micrograph", "image_name", "x_coord", "rlnCoordinateX", "RlnCoordinateY",
     "rlnMicrographName", "rlnAutopickFigureOfMerit", "", " ", "Case"],
)  # fmt: skip
def test_carried_columns_never_replace_those_of_the_format(name, suffix, tmp_path):
    extra = {name: np.array([7, 8]), "case": np.array([1, 2])}
    picks = Picks.from_columns(["a", "b"], np.array([[1.5, 2], [3, 4]]), np.array([5.5, 6]), extra)

    write_picks(picks, tmp_path / f"a.{suffix}")

    back = read_picks(tmp_path / f"a.{suffix}")
    assert back.micrographs == ("a", "b")
    assert back.xy_px.tolist() == picks.xy_px.tolist()
    assert back.score.tolist() == [5.5, 6]
    assert [column.tolist() for column in back.extra.values()] == [[7, 8], [1, 2]]


def test_names_that_become_equal_in_star_stay_apart(tmp_path):
    extra = {"a b": np.array([1]), "a_b": np.array([2]), "A_B": np.array([3])}
    picks = Picks.from_columns(["a"], np.ones((1, 2)), extra=extra)

    write_picks(picks, tmp_path / "a.star")

    back = read_picks(tmp_path / "a.star").extra
    assert {name: column.tolist() for name, column in back.items()} == {
        "a_b": [1],
        "a_b_2": [2],
        "A_B_3": [3],
    }


def test_a_class_of_the_user_replaces_the_class_that_a_picker_writes(tmp_path):
    extra = {"rlnClassNumber": np.array([4])}
    picks = Picks.from_columns(["a"], np.ones((1, 2)), extra=extra)

    write_picks_per_micrograph(picks, tmp_path, format="star")

    (path,) = tmp_path.iterdir()
    assert read_picks(path).extra["rlnClassNumber"].tolist() == [4]
