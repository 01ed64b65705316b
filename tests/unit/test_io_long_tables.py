"""Long tables: reading in blocks gives what reading as a whole gives, in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
from gemmi import cif
from hypothesis import given
from hypothesis import strategies as st

from cryopick.errors import FormatError
from cryopick.io.tables import csv_table, json_rows, json_table, row_blocks, star_rows, tsv, via
from cryopick.io.tables.box_sizes import HEIGHT, WIDTH
from cryopick.io.tables.codec import TableLayout, parse_column
from cryopick.io.tables.formats import CODECS
from cryopick.io.tables.pick_tables import read_picks, read_picks_with_context, write_picks
from cryopick.io.tables.row_blocks import iterate_lines, join_parts
from cryopick.io.tables.star_text import find_columns
from cryopick.picks import Picks

WORDS = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.floats(allow_nan=True).map(repr),
    st.sampled_from(["1.10", "007", "-0", "a", "12e3", "", "nan", "1_0", "18446744073709551615"]),
)


@given(st.lists(st.lists(WORDS, max_size=4), min_size=1, max_size=5))
def test_parts_of_a_column_join_to_the_whole_column(parts):
    whole = parse_column([word for part in parts for word in part])

    joined = join_parts([parse_column(part) for part in parts])

    assert joined.dtype.kind == whole.dtype.kind
    assert list(map(str, joined.tolist())) == list(map(str, whole.tolist()))


@given(st.text(alphabet="ab\n", max_size=40), st.integers(1, 12))
def test_blocks_of_lines_join_to_the_text(text, size):
    saved, row_blocks.BLOCK_CHARACTERS = row_blocks.BLOCK_CHARACTERS, size
    try:
        blocks = list(iterate_lines(text))
    finally:
        row_blocks.BLOCK_CHARACTERS = saved

    lines = [line for _, block in blocks for line in block]
    assert lines == text.removesuffix("\n").split("\n")
    assert [first for first, _ in blocks] == list(
        np.cumsum([1, *(len(block) for _, block in blocks)])[:-1]
    )


def make_picks(kind, count, *, seed=0):
    rng = np.random.default_rng(seed)
    is_single = CODECS[kind].is_single
    names = ("a",) if is_single else tuple(f"m/ä b{i}.mrc" for i in range(5))
    extra = {}
    if kind in ("star", "tsv", "csv", "json"):
        groups = np.array(["1.10", "it's a 'g'", "", 'x "y'])  # quoted in STAR
        extra = {
            "class": rng.integers(0, 9, count),
            "group": groups[rng.integers(0, len(groups), count)],
            "late": np.array([*["3"] * (count - 1), "x"]),
            "value": rng.normal(size=count),
        }
    return Picks(
        micrographs=names,
        index=np.sort(rng.integers(0, len(names), count)),
        xy_px=rng.uniform(0, 4000, (count, 2)).round(3),
        score=rng.normal(size=count).astype(np.float32).astype(np.float64),
        extra=extra,
    )


@pytest.fixture
def small_blocks(monkeypatch):
    for module, name in (
        *((row_blocks, "BLOCK_CHARACTERS"), (star_rows, "_MIN_CHARACTERS")),
        *((star_rows, "BLOCK_CHARACTERS"), (json_table, "_LONG_CHARACTERS")),
    ):
        monkeypatch.setattr(module, name, 64)
    for module in (csv_table, json_rows, tsv, via):
        monkeypatch.setattr(module, "ROWS_PER_BLOCK", 3)


def assert_equal(one, other):
    assert one.micrographs == other.micrographs
    assert np.array_equal(one.index, other.index)
    assert np.array_equal(one.xy_px, other.xy_px)
    assert np.array_equal(one.score, other.score, equal_nan=True)
    assert list(one.extra) == list(other.extra)
    for name, column in one.extra.items():
        assert column.dtype.kind == other.extra[name].dtype.kind
        assert column.tolist() == other.extra[name].tolist()


@pytest.mark.parametrize("kind", [kind for kind in CODECS if kind != "cs"])
def test_reading_in_blocks_equals_reading_as_a_whole(kind, tmp_path, request):
    path = tmp_path / f"a{CODECS[kind].suffixes[0]}"
    layout = TableLayout(shapes_px={})
    picks = make_picks(kind, 50)
    write_picks(picks, path, format=kind, box_px=64, layout=layout)
    whole, context = read_picks_with_context([path], format=kind)

    request.getfixturevalue("small_blocks")
    in_blocks, context_in_blocks = read_picks_with_context([path], format=kind)

    assert_equal(in_blocks, whole)
    assert context_in_blocks == context


QUOTED_WORDS = st.text(alphabet="a '\"\t", min_size=1, max_size=12)


@given(st.lists(QUOTED_WORDS, min_size=1, max_size=4))
def test_values_of_a_row_are_split_as_gemmi_splits_them(parts):
    line = " ".join(parts)
    words = star_rows._split_words(line)
    tags = "".join(f"_t{number}\n" for number in range(max(1, len(words))))
    try:
        block = cif.read_string(f"data_\nloop_\n{tags}{line}\n")[0]
        expected = list(block.find_loop("_t0").get_loop().values)
    except (ValueError, RuntimeError):
        expected = []
    *_, last = words or ["x"]
    is_whole = not last.startswith(star_rows._QUOTES) or star_rows._QUOTED.fullmatch(last)

    assert (words if is_whole else []) == expected


def test_long_tables_of_relion_are_read_in_blocks(small_blocks, tmp_path):
    path = tmp_path / "a.star"
    head = "data_optics\n\n_rlnOpticsGroup 1\n\ndata_particles\n\nloop_\n"
    tags = ["_rlnMicrographName #1", "_rlnCoordinateX #2", "_rlnCoordinateY #3"]
    rows = [f"m/ä%41_{i}.mrc {i} {i}.5" for i in range(40)]
    path.write_text(head + "\n".join([*tags, *rows]) + "\n\n")

    blocks, parts = star_rows.open_table(
        path.read_text(), "_rlnCoordinateX", lambda b: find_columns(b[1], "_rlnCoordinateX"), path
    )

    assert len(list(parts)) > 5
    assert len(blocks[1].find_values("_rlnCoordinateX")) == 1
    picks = read_picks(path)
    assert picks.micrographs == tuple(f"m/ä%41_{i}.mrc" for i in range(40))
    assert picks.xy_px.tolist() == [[i, i + 0.5] for i in range(40)]


UNUSUAL = ["1 2 3", "1", "1 2 # note", ";", "_rlnOther", "data_"]
UNUSUAL += ["'1' 2", "'a b' 2", "'1 2", "1 2'", "\"1' 2", "'1'2' 3", "1 '2", "'' 1", "\"1\" '2'"]


@pytest.mark.parametrize("row", UNUSUAL)
def test_unusual_rows_of_a_long_table_are_read_as_in_a_short_one(row, tmp_path, request):
    head = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n"
    path = tmp_path / "a.star"
    path.write_text(head + "1.5 2.5\n" * 30 + f"{row}\n" + "3 4\n" * 30)
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(len(read_picks(path)))
        except FormatError as error:
            outcomes.append(str(error).split(":")[1])
        request.getfixturevalue("small_blocks")

    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "text",
    [
        '[{"micrograph": "a", "x": 1, "y": 2}, {"micrograph": "a", "x": 1, "y": 2, "z": 3}]',
        '[{"micrograph": "a", "x": 1, "y": 2}, 3]',
        '[{"micrograph": "a", "x": 1, "y": 2, "n": {"micrograph": "a", "x": 1, "y": 2}}, 1]',
        '{"micrograph": "a", "x": 1, "y": 2, "comment": "one pick is not a table at all"}',
        '[{"micrograph": "a", "x": NaN, "y": 2, "comment": "a coordinate that is not a number"}]',
    ],
)
def test_unusual_json_is_refused_in_blocks_too(text, small_blocks, tmp_path):
    (tmp_path / "a.json").write_text(text + " " * 64)

    with pytest.raises(FormatError):
        read_picks(tmp_path / "a.json")


def test_values_of_changing_type_in_json_are_joined(small_blocks, tmp_path):
    values = ["1", "2.5", "null", '"a"', "3", "true", "4"]
    rows = [f'{{"micrograph": "a", "x": {i}, "y": 2, "v": {v}}}' for i, v in enumerate(values)]
    (tmp_path / "a.json").write_text(f"[{','.join(rows)}]")

    assert read_picks(tmp_path / "a.json").extra["v"].tolist() == [
        *("1", "2.5", "None", "a", "3", "True", "4")
    ]


@pytest.mark.parametrize("score", [np.inf, -np.inf, np.nan, 1e300])
@pytest.mark.parametrize("kind", ["json", "tsv", "csv", "star"])
def test_any_score_comes_back(score, kind, tmp_path):
    picks = Picks.from_columns(["a", "a"], np.ones((2, 2)), np.array([score, 1.0]))
    write_picks(picks, tmp_path / f"a.{kind}")

    assert np.array_equal(read_picks(tmp_path / f"a.{kind}").score, picks.score, equal_nan=True)


@pytest.mark.parametrize(("source", "target"), [("box", "cbox"), ("cbox", "box"), ("box", "box")])
@pytest.mark.parametrize("sizes", [(64, 64), (63, 80), (7.5, 9)])
def test_sizes_of_boxes_are_carried_between_formats(source, target, sizes, tmp_path):
    picks = make_picks("box", 20)
    extra = {WIDTH: np.full(20, sizes[0]), HEIGHT: np.full(20, sizes[1])}
    picks = Picks(**{**vars(picks), "extra": extra})
    write_picks(picks, tmp_path / f"a.{source}")

    write_picks(read_picks(tmp_path / f"a.{source}"), tmp_path / f"b.{target}")

    back = read_picks(tmp_path / f"b.{target}")
    assert back.extra[WIDTH].tolist() == [sizes[0]] * 20
    assert back.extra[HEIGHT].tolist() == [sizes[1]] * 20
    # .box has whole corners: half a pixel, and once more half the side, rounded down
    assert np.abs(back.xy_px - picks.xy_px).max() <= 1.001


MEASURE = """
import resource, sys
from pathlib import Path
from cryopick.io.tables.pick_tables import read_picks
count = len(read_picks(Path(sys.argv[1]), format=sys.argv[2]))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


@pytest.mark.parametrize("kind", ["cbox", "json"])
def test_memory_grows_by_little_more_than_the_file(kind, tmp_path):
    path = tmp_path / f"a{CODECS[kind].suffixes[0]}"
    peaks_mb = []
    for count in (10, 60_000):
        write_picks(make_picks(kind, count), path, format=kind, box_px=64, overwrite=True)
        command = [sys.executable, "-c", MEASURE, str(path), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks_mb.append(int(done.stdout.split()[1]))

    assert peaks_mb[1] - peaks_mb[0] < 40  # as objects, the rows take over 50 MB
