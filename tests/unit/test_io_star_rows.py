"""Rows of STAR files with comments, text fields and blank lines are split in blocks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryopick.errors import FormatError
from cryopick.io.tables import star, star_rows
from cryopick.io.tables.pick_tables import read_picks, read_star_context
from cryopick.io.tables.star_text import find_columns, parse_star, unquote_values

TAGS = ("_rlnCoordinateX", "_rlnCoordinateY", "_rlnMicrographName", "_rlnGroupName")
HEAD = "data_particles\n\nloop_\n" + "".join(f"{tag} #{i}\n" for i, tag in enumerate(TAGS, 1))
ROWS = [f"{i} {i}.5 m/a{i % 3}.mrc g{i % 2}" for i in range(12)]
PATH = Path("a.star")

VARIANTS = {
    "comment lines": "\n".join(f"{row}\n# seen\n  #twice it's" for row in ROWS),
    "trailing comments": "\n".join(f"{row} # it's seen {i}" for i, row in enumerate(ROWS)),
    "comments without a space": "\n".join(f"{row} #seen #twice" for row in ROWS),
    "blank lines": "\n \n".join(ROWS),
    "comment before the first row": "# first\n\n" + "\n".join(ROWS),
    "text fields": "\n".join(f"{row.rpartition(' ')[0]}\n;it's # {row}\n g\n;" for row in ROWS),
    "text fields with the word after": "\n".join(
        f"{i} {i}.5\n;a\nb\n; g{i}" for i in range(12)
    ),
    "a text field like another block": "\n".join(
        f"{row.rpartition(' ')[0]}\n;\ndata_x\nloop_\n_a\n;" for row in ROWS
    ),
    "rows of several lines": "\n".join(row.replace(" ", "\n", 2) for row in ROWS),
    "quoted": "\n".join(f"{i} {i} 'm a\"{i}.mrc' \"it's # {i}\" # c" for i in range(12)),
    "reserved words": "\n".join(f"{i} {i} data_{i}/a.mrc _g{i} # c" for i in range(12)),
    "other tables": "\n".join(ROWS) + "\n\n# version 30001\n\ndata_other\n\nloop_\n_a\n_b\n1 2",
    "indented": "\n".join(f"  \t{row}  " for row in ROWS),
    "percent and accents": "\n".join(f"{i} {i} m/ä%41{i}.mrc 100% # ö" for i in range(12)),
}  # fmt: skip


def find_rows(blocks):
    tables = (find_columns(block, TAGS[0]) for block in blocks)
    return next((table for table in tables if TAGS[0] in table), {})


def parse_whole(text):
    return {tag: unquote_values(v) for tag, v in find_rows(parse_star(text, PATH)).items()}


def parse_in_parts(text):
    _, parts = star_rows.open_table(text, TAGS[0], find_rows, PATH)
    columns = {}
    for part in parts:
        for tag, values in part.items():
            columns.setdefault(tag, []).extend(unquote_values(values))
    return columns


@pytest.fixture
def gemmi_characters(monkeypatch):
    """Lengths of the texts that gemmi parses, with small blocks of rows."""
    lengths = []

    def parse(text, path):
        lengths.append(len(text))
        return parse_star(text, path)

    monkeypatch.setattr(star_rows, "parse_star", parse)
    monkeypatch.setattr(star_rows, "BLOCK_CHARACTERS", 64)
    return lengths


@pytest.mark.parametrize("ending", ["", "\n", "\n\n# end\n"])
@pytest.mark.parametrize("rows", VARIANTS.values(), ids=VARIANTS)
def test_rows_are_split_as_by_gemmi_which_sees_one_of_them(rows, ending, gemmi_characters):
    text = f"# version 30001\n\ndata_optics\n\n_rlnOpticsGroup 1\n\n{HEAD}{rows}{ending}"

    assert parse_in_parts(text) == parse_whole(text)
    assert len(find_rows(parse_star(text, PATH))[TAGS[0]]) == 12
    assert gemmi_characters[0] < len(HEAD) + 250
    assert len(gemmi_characters) == 1  # the whole file was not given to it


@pytest.mark.parametrize("rows", VARIANTS.values(), ids=VARIANTS)
def test_parts_are_as_small_as_blocks(rows, gemmi_characters):
    _, parts = star_rows.open_table(HEAD + rows, TAGS[0], find_rows, PATH)

    longest = max(len(next(iter(part.values()))) for part in parts)

    assert longest <= 5  # rows of at least 16 characters, in blocks of 64 and the line after


VALUES = st.sampled_from(["1", "a.mrc", "'q w'", '"it\'s"', "ä%", "a#b", "'#3'", "\n;t\n# u\n;\n"])
ENDS = st.sampled_from(["", "", " # note", " # it's", "\n", "\n# c", "\n \n", "\n#c d"])


@given(st.lists(st.tuples(st.lists(VALUES, min_size=4, max_size=4), ENDS), min_size=1, max_size=9))
def test_any_rows_are_split_as_by_gemmi(rows):
    text = HEAD + "".join(f"{' '.join(values)}{end}\n" for values, end in rows)

    assert parse_in_parts(text) == parse_whole(text)


@pytest.mark.parametrize(
    ("rows", "line", "count"),
    [
        ("1 2 a g 5\n3 4 b", 8, 5),  # as many values as two rows have
        ("1 2 a g\n3 4 b\n5 6 c h 7", 9, 3),
        ("1 2 a g\n3\n5 6 c h", 9, 1),
        ("1 2 a g # note\n3 4 b", 9, 3),
        ("1 2 a\n;g\n; h", 8, 3),
    ],
)
def test_a_row_with_a_wrong_number_of_values_is_named(rows, line, count, tmp_path):
    path = tmp_path / "a.star"
    path.write_text(HEAD + rows + "\n")

    with pytest.raises(FormatError, match=rf"a\.star:{line}: .* this line has {count}"):
        read_picks(path)


def test_content_around_rows_with_comments_is_kept(tmp_path):
    optics = "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n1 300 # kV"
    general = "# from the microscope\ndata_general\n\n_rlnA 1"
    path = tmp_path / "a.star"
    path.write_text(f"{optics}\n\n{HEAD}{VARIANTS['trailing comments']}\n\n{general}\n")

    assert read_star_context([path]).others == f"{optics}\n\n\n{general}"
    assert len(read_picks(path)) == 12


def test_the_rows_of_other_tables_with_coordinates_are_kept_around_the_picks(tmp_path):
    other = "data_old\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3 4"
    path = tmp_path / "a.star"
    path.write_text(f"{other}\n\n{HEAD}" + "\n".join(ROWS) + "\n")

    assert read_star_context([path]).others == other
    assert len(read_picks(path)) == 12


def test_a_table_without_rows_beside_one_with_rows_is_read(tmp_path):
    path = tmp_path / "a.star"
    other = HEAD.replace("particles", "old") + "\n".join(ROWS)
    path.write_text(f"{HEAD}\n{other}\n")

    assert len(read_picks(path)) == 0
    assert len(star.read_micrograph_names(path)) == 0
    assert "data_old" in read_star_context([path]).others


def test_lists_of_micrographs_with_comments_are_split_too(tmp_path, gemmi_characters, monkeypatch):
    monkeypatch.setattr(star, "open_table", star_rows.open_table)
    rows = "\n".join(f"m/{i}.mrc 1 # good\n# next" for i in range(30))
    path = tmp_path / "a.star"
    path.write_text(f"data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n{rows}\n")

    assert star.read_micrograph_names(path) == [f"m/{i}.mrc" for i in range(30)]
    assert len(gemmi_characters) == 1
    assert gemmi_characters[0] < 150
