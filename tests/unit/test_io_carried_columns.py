"""Carried columns keep their characters through every text format."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.io.tables.codec import convert_to_floats, format_column, parse_column
from cryopick.io.tables.pick_tables import read_picks, write_picks

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
