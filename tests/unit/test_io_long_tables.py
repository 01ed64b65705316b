"""Long tables: reading in blocks gives what reading as a whole gives, in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
from gemmi import cif
from hypothesis import given
from hypothesis import strategies as st

from cryopick.errors import FormatError
from cryopick.io.tables import (
    cs_table,
    csv_table,
    eman_json,
    json_rows,
    json_table,
    row_blocks,
    star_rows,
    tsv,
    via,
)
from cryopick.io.tables.box_sizes import HEIGHT, WIDTH
from cryopick.io.tables.codec import TableLayout, parse_column
from cryopick.io.tables.formats import CODECS
from cryopick.io.tables.pick_tables import read_picks, read_picks_with_context, write_picks
from cryopick.io.tables.row_blocks import iterate_lines, join_parts
from cryopick.io.tables.star_text import find_columns, split_line
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
        (row_blocks, "BLOCK_CHARACTERS"),
        *((star_rows, "BLOCK_CHARACTERS"), (json_table, "_LONG_CHARACTERS")),
    ):
        monkeypatch.setattr(module, name, 64)
    for module in (csv_table, eman_json, json_rows, tsv, via):
        monkeypatch.setattr(module, "ROWS_PER_BLOCK", 3)


def assert_equal(one, other):
    assert one.micrographs == other.micrographs
    assert np.array_equal(one.index, other.index)
    assert np.array_equal(one.xy_px, other.xy_px)
    assert np.array_equal(one.score, other.score, equal_nan=True)
    assert list(one.extra) == list(other.extra)
    for name, column in one.extra.items():
        assert column.dtype.kind == other.extra[name].dtype.kind
        assert repr(column.tolist()) == repr(other.extra[name].tolist())  # NaN equals NaN


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
    words = split_line(line)
    tags = "".join(f"_t{number}\n" for number in range(max(1, len(words))))
    try:
        block = cif.read_string(f"data_\nloop_\n{tags}{line}\n")[0]
        expected = list(block.find_loop("_t0").get_loop().values)
    except (ValueError, RuntimeError):
        expected = []
    *_, last = words or ["x"]

    assert ([] if star_rows._is_open(last) else words) == expected


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


MIXED = [
    ["1", "2.5", "null", '"a"', "3", "true", "4"],
    ["1.0", "2.50", "1e3", "null", "3", "4", '"late"'],
    ["1", "2", "3", "4", "5", "6", "7.5"],
    ["1", "2", "3", "null", "null", "null", "-1"],
    ["true", "true", "true", "4", "5", "6", "false"],
    ["1", "2", "3", "18446744073709551615", "5", "6", "7"],
    ["-1", "2", "3", "18446744073709551615", "5", "6", "7"],
]


@pytest.mark.parametrize("values", MIXED, ids=",".join)
@pytest.mark.parametrize("is_reordered", [False, True])
def test_values_of_changing_type_in_json_are_joined(values, is_reordered, tmp_path, request):
    rows = [f'{{"micrograph": "a", "x": {i}, "y": 2, "v": {v}}}' for i, v in enumerate(values)]
    if is_reordered:
        rows[3] = f'{{"v": {values[3]}, "y": 2, "x": 3, "micrograph": "a"}}'
    path = tmp_path / "a.json"
    path.write_text(f"[{','.join(rows)}]")
    whole = read_picks(path)

    request.getfixturevalue("small_blocks")
    request.getfixturevalue("monkeypatch").setattr(json_table, "parse_json", None)

    assert_equal(read_picks(path), whole)


def test_text_among_values_in_json_is_kept(small_blocks, tmp_path):
    rows = [f'{{"micrograph": "a", "x": 1, "y": 2, "v": {v}}}' for v in MIXED[0]]
    (tmp_path / "a.json").write_text(f"[{','.join(rows)}]")

    assert read_picks(tmp_path / "a.json").extra["v"].tolist() == [
        *("1", "2.5", "None", "a", "3", "True", "4")
    ]


SHAPES = [
    '{"name":"rect","x":10,"y":20.5,"width":64,"height":32}',
    '{"name": "rect", "x": 10, "y": 20.5, "width": 64, "height": 32}',
    '{"name":"circle","cx":42,"cy":36.5,"r":1e1}',
    '{"name":"ellipse","cx":42,"cy":36.5,"rx":1,"ry":2,"theta":0.5}',
    '{"cy":36.5,"cx":42}',
]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_via_are_read_with_and_without_the_parser_of_json(shape, tmp_path):
    quoted = shape.replace('"', '""')
    head = "filename,file_size,file_attributes,region_count,region_id,"
    head += "region_shape_attributes,region_attributes\n"
    (tmp_path / "a_via.csv").write_text(f'{head}a.png,-1,{{}},1,0,"{quoted}",{{}}\n')

    assert read_picks(tmp_path / "a_via.csv").xy_px.tolist() == [[42, 36.5]]


def test_cs_files_are_read_in_blocks_of_rows(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    kinds = [("uid", ">u8"), ("location/micrograph_path", "S20"), ("other", "<f4", (50,))]
    kinds += [("location/micrograph_shape", "<u4", (2,)), ("pick_stats/ncc_score", "<f8")]
    kinds += [("location/center_x_frac", "<f4"), ("location/center_y_frac", ">f4")]
    table = np.zeros(40, kinds)
    table["uid"] = rng.permutation(40)
    table["location/micrograph_path"] = [f">m/{i % 7}.mrc".encode() for i in range(40)]
    table["location/micrograph_shape"] = [100, 200]
    for name in ("location/center_x_frac", "location/center_y_frac", "pick_stats/ncc_score"):
        table[name] = rng.uniform(size=40)
    np.save(tmp_path / "J1_passthrough_particles.npy", table)
    (tmp_path / "J1_passthrough_particles.npy").rename(tmp_path / "J1_passthrough_particles.cs")
    np.save(tmp_path / "particles.npy", table[["uid"]][::-3])
    (tmp_path / "particles.npy").rename(tmp_path / "particles.cs")
    paths = [tmp_path / "J1_passthrough_particles.cs", tmp_path / "particles.cs"]
    whole = [read_picks(path) for path in paths]

    monkeypatch.setattr(cs_table, "_BLOCK_BYTES", 3 * table.itemsize)

    for path, picks in zip(paths, whole, strict=True):
        assert_equal(read_picks(path), picks)
    assert whole[0].micrographs == tuple(f"m/{i}.mrc" for i in range(7))
    assert whole[1].extra["uid"].tolist() == table["uid"][::-3].tolist()
    names = [whole[1].micrographs[i] for i in whole[1].index]
    assert names == [f"m/{i % 7}.mrc" for i in range(40)][::-3]


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


@pytest.mark.parametrize("kind", ["cbox", "eman", "json"])
def test_memory_grows_by_little_more_than_the_file(kind, tmp_path):
    path = tmp_path / f"a{CODECS[kind].suffixes[0]}"
    peaks_mb = []
    for count in (10, 60_000):
        write_picks(make_picks(kind, count), path, format=kind, box_px=64, overwrite=True)
        command = [sys.executable, "-c", MEASURE, str(path), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks_mb.append(int(done.stdout.split()[1]))

    assert peaks_mb[1] - peaks_mb[0] < 40  # as objects, the rows take over 50 MB
