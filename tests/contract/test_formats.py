"""Contract test of all formats of pick tables; it includes each new format of `CODECS`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryopick.errors import FormatError, InputError, OutputExistsError
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.formats import CODECS, FORMATS
from cryopick.io.tables.pick_tables import (
    read_picks,
    read_picks_many,
    write_picks,
    write_picks_per_micrograph,
)
from cryopick.picks import Picks

BOX_PX = 17  # odd, so that corners lie between pixels
SHAPE_PX = (4092, 5760)  # of every micrograph here
all_formats = pytest.mark.parametrize("name", FORMATS)
text_formats = pytest.mark.parametrize("name", [n for n in FORMATS if n != "cs"])
line_formats = pytest.mark.parametrize("name", ["tsv", "csv", "star", "box", "cbox", "via"])
table_formats = pytest.mark.parametrize(  # formats whose file can name several micrographs
    "name", [n for n, codec in CODECS.items() if not codec.is_single]
)
carrying_formats = pytest.mark.parametrize("name", ["tsv", "csv", "star", "json"])
SCORELESS = ("eman",)
# Half a thousandth where three decimals are written; float32 fractions of 5760 pixels at up
# to 1e5 pixels, far outside, in .cs; corners in whole pixels in .box.
PRECISION_PX = {"cs": 0.01, "box": 0.5}
PRECISION_PX |= {name: 0.0005 for name in FORMATS if name not in PRECISION_PX}

# Names that hurt: spaces, dots, quotes, signs of the formats, letters beyond ASCII
letters = st.characters(codec="utf-8", exclude_characters='"/\0', exclude_categories=("C", "Z"))
words = st.text(letters | st.sampled_from(" .#@'%;,_"), min_size=1, max_size=8)
names = words.map(str.strip).filter(
    lambda s: s and s not in (".", "..") and micrograph_stem(s) == s
)
numbers = st.floats(-1e5, 1e5).map(lambda x: round(x, 2))
scores = st.none() | st.floats(-900, 900, width=32)


@st.composite
def columns(draw, micrographs):
    """Arguments of `Picks`; the table itself is built in the test, where its shapes are checked."""
    chosen = draw(micrographs)
    count = draw(st.integers(0, 6))
    index = draw(st.lists(st.integers(0, len(chosen) - 1), min_size=count, max_size=count))
    score = draw(st.lists(scores, min_size=count, max_size=count))
    return {
        "micrographs": tuple(chosen),
        "index": np.array(index, dtype=np.int64),
        "xy_px": draw(arrays(np.float64, (count, 2), elements=numbers)),
        "score": np.array([np.nan if s is None else s for s in score]),
    }


def rows(picks):
    """The table as a plain list, in order: what must survive."""
    named = [picks.micrographs[i] for i in picks.index]
    return named, picks.xy_px, picks.score


def assert_same(found, expected, name):
    assert found[0] == expected[0]
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=PRECISION_PX[name])
    if name == "cbox":  # a probability: what is nearer to 0 or 1 than 1e-7 is lost
        np.testing.assert_allclose(found[2], np.clip(expected[2], -16.1181, 16.1181), atol=1e-4)
    elif name in SCORELESS:
        assert np.isnan(found[2]).all()
    else:
        np.testing.assert_allclose(found[2], expected[2], rtol=1e-7, atol=0)  # float32


def layout_for(picks):
    return TableLayout(shapes_px=dict.fromkeys(picks.micrographs, SHAPE_PX))


def write_one_each(picks, folder, name, box_px=BOX_PX):
    return write_picks_per_micrograph(
        picks, folder, format=name, box_px=box_px, layout=layout_for(picks)
    )


@table_formats
@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(table=columns(st.lists(names, min_size=1, max_size=4, unique=True)))
def test_a_table_of_several_micrographs_survives(tmp_path_factory, name, table):
    picks = Picks(**table)
    path = tmp_path_factory.mktemp("table") / f"picks.{name}"

    write_picks(picks, path, format=name, layout=layout_for(picks))

    assert_same(rows(read_picks(path)), rows(picks), name)


@all_formats
@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(table=columns(st.just(["grid1.5um_0001"])))
def test_a_file_for_one_micrograph_survives(tmp_path_factory, name, table):
    picks = Picks(**table)
    folder = tmp_path_factory.mktemp("table")

    [path] = write_one_each(picks, folder, name)

    assert_same(rows(read_picks(path)), rows(picks), name)


@all_formats
def test_a_folder_of_files_is_the_table(tmp_path, name):
    picks = Picks.from_columns(
        ["b", "a", "b"], np.array([[1.5, 2], [3, 4], [5, 6]]), np.array([0.5, -1.0, 2.0])
    )

    write_one_each(picks, tmp_path, name)

    again = read_picks(tmp_path).restrict(picks.micrographs)
    by_name = np.argsort(picks.index, kind="stable")
    assert_same(
        rows(again.select(np.argsort(again.index, kind="stable"))),
        rows(picks.select(by_name)),
        name,
    )


@all_formats
def test_no_picks_at_all_is_a_table_too(tmp_path, name):
    empty = Picks.for_micrograph("mic", np.zeros((0, 2)))

    [path] = write_one_each(empty, tmp_path, name)

    again = read_picks(path)
    assert len(again) == 0
    if CODECS[name].name_from_file:
        assert again.micrographs == ("mic",)


@carrying_formats
def test_columns_of_numbers_are_carried(tmp_path, name):
    picks = Picks.from_columns(
        ["a", "b"],
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        extra={"rlnClassNumber": np.array([3, 4]), "probability": np.array([0.25, 1e-7])},
    )

    write_picks(picks, tmp_path / f"picks.{name}")

    again = read_picks(tmp_path / f"picks.{name}")
    assert again.extra["rlnClassNumber"].tolist() == [3, 4]
    assert again.extra["probability"].tolist() == [0.25, 1e-7]
    assert np.isnan(again.score).all()


@text_formats
@pytest.mark.parametrize("word", ["sixty", "nan", "inf", "1_000"])
def test_a_coordinate_that_is_no_finite_number_is_shown_with_its_line(tmp_path, name, word):
    picks = Picks.for_micrograph("mic", np.array([[11.0, 21.0], [1277.0, 22.0], [13.0, 23.0]]))
    [path] = write_one_each(picks, tmp_path, name, box_px=2)
    written = "1276" if name in ("box", "cbox") else "1277"
    lines = path.read_text().replace(written, word).splitlines()
    path.write_text("\n".join(lines) + "\n")
    [number] = [i for i, line in enumerate(lines, start=1) if word in line]

    with pytest.raises(FormatError) as caught:
        read_picks(path)

    message = str(caught.value)
    assert message.startswith(f"{path}:{number}: expected ")
    assert word in message
    assert "correct that line" in message
    assert "\n" not in message


@line_formats
def test_a_line_with_a_field_missing_is_shown_with_its_line(tmp_path, name):
    picks = Picks.for_micrograph(
        "mic", np.array([[11.0, 21.0], [12.0, 22.0]]), np.array([1.0, 2.0])
    )
    [path] = write_one_each(picks, tmp_path, name, box_px=2)
    lines = path.read_text().rstrip("\n").split("\n")
    sign = {"csv": ",", "via": ",", "star": " ", "cbox": " "}.get(name, "\t")
    [last] = [i for i, line in enumerate(lines) if line.count(sign) > 1][-1:]
    lines[last] = lines[last].rsplit(sign, 2)[0]
    path.write_text("\n".join(lines) + "\n")

    with pytest.raises(FormatError, match=rf":{last + 1}: expected .* this (line|one) has \d"):
        read_picks(path)


@all_formats
def test_a_missing_file_is_named(tmp_path, name):
    path = tmp_path / f"none.{name}"

    with pytest.raises(InputError, match=r"none\.\w+: no such file"):
        read_picks(path)
    with pytest.raises(InputError, match="no such file"):
        read_picks_many([path])


@text_formats
def test_bytes_that_are_no_text_are_refused(tmp_path, name):
    path = tmp_path / f"a.{name}"
    path.write_bytes(b"image_name\xff\xfe\n")

    with pytest.raises(FormatError, match="expected text in UTF-8, found byte 0xff"):
        read_picks(path, format=name)


@all_formats
def test_what_is_there_is_not_overwritten(tmp_path, name):
    path = tmp_path / f"picks.{name}"
    path.write_text("precious")
    picks = Picks.for_micrograph("mic", np.ones((1, 2)))
    options = {"format": name, "box_px": BOX_PX, "layout": layout_for(picks)}

    with pytest.raises(OutputExistsError, match="--force"):
        write_picks(picks, path, **options)
    assert path.read_text() == "precious"
    write_picks(picks, path, **options, overwrite=True)

    assert len(read_picks(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


@text_formats
def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path, name):
    picks = Picks.for_micrograph("mic", np.array([[11.0, 21.5]]), np.array([1.0]))
    [path] = write_one_each(picks, tmp_path, name)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))

    assert_same(rows(read_picks(path)), rows(picks), name)


@all_formats
@pytest.mark.parametrize("suffix", [".txt", ".any", "", ".star", ".json", ".csv", ".cs"])
def test_the_format_is_detected_from_the_content_with_any_suffix(tmp_path, name, suffix):
    picks = Picks.for_micrograph("mic", np.array([[11.0, 21.5]]), np.array([1.0]))
    [path] = write_one_each(picks, tmp_path, name)

    again = read_picks(path.rename(tmp_path / f"mic{suffix}"))

    assert_same(rows(again), rows(picks), name)


@all_formats
def test_a_file_cut_off_anywhere_gives_a_table_or_one_line_that_says_why_not(tmp_path, name):
    picks = Picks.from_columns(["mic"] * 3, np.arange(6.0).reshape(3, 2), np.arange(3.0))
    [path] = write_one_each(picks, tmp_path, name)
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            message = f"{path}: {len(read_picks(path))} picks"
        except FormatError as error:
            message = str(error)
        assert message.startswith(str(path))
        assert "\n" not in message


@all_formats
@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(
    text=st.text(
        st.sampled_from("image_name xyd0.1-,\t\n'#;_rlnCooXY@loop_data\u00fc{}[]\":"), max_size=60
    )
)
def test_any_text_gives_a_table_or_one_line_that_says_why_not(tmp_path_factory, name, text):
    path = tmp_path_factory.mktemp("t") / "a.any"
    path.write_text(text)

    try:
        picks = read_picks(path, format=name)
    except FormatError as error:
        message = str(error)
    else:
        message = str(path)
        assert np.isfinite(picks.xy_px).all()

    assert message.startswith(str(path))
    assert "\n" not in message


@all_formats
@settings(deadline=None, max_examples=100)  # disks are slow at times
@given(
    start=st.floats(0, 1),
    length=st.integers(0, 12),
    patch=st.binary(max_size=12)
    | st.sampled_from([b"1e999", b"-1", b"nan", b"null", b"[]", b"{}", b'"', b"\n", b"9" * 5000]),
)
def test_a_damaged_file_gives_a_table_or_one_line_that_says_why_not(
    tmp_path_factory, name, start, length, patch
):
    picks = Picks.from_columns(["mic"] * 3, np.arange(6.0).reshape(3, 2), np.arange(3.0))
    [path] = write_one_each(picks, tmp_path_factory.mktemp("t"), name)
    whole = path.read_bytes()
    at = round(start * len(whole))
    path.write_bytes(whole[:at] + patch + whole[at + length :])

    try:
        message = f"{path}: {len(read_picks(path, format=name))} picks"
    except InputError as error:
        message = str(error)

    assert str(path) in message
    assert "\n" not in message
