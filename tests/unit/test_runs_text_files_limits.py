"""Tests of text files that are no plain files, too large, too deep or too wide."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest

from cryopick.config import load_toml
from cryopick.errors import CryopickError, FormatError, InputError, SettingsError
from cryopick.io.tables.pick_tables import read_picks
from cryopick.io.tables.region_files import read_regions
from cryopick.runs.text_files import read_head, read_text

WIDTH = 100_000


@dataclass(frozen=True, kw_only=True)
class Values:
    """Settings for these tests."""

    size: float = 1.0
    seed: int = 0


@pytest.mark.parametrize("read", [read_text, read_head, read_picks, read_regions])
@pytest.mark.parametrize("suffix", [".tsv", ".box", ".star", ".cs", ".json"])
def test_a_pipe_is_refused_without_reading(tmp_path, read, suffix):
    path = tmp_path / f"a{suffix}"
    os.mkfifo(path)

    with pytest.raises(InputError, match="is a pipe or a device"):
        read(path)


@pytest.mark.parametrize("read", [read_text, read_head, read_picks, read_regions])
def test_a_device_is_refused(tmp_path, read):
    (tmp_path / "a.tsv").symlink_to("/dev/zero")

    with pytest.raises(InputError, match="is a pipe or a device"):
        read(tmp_path / "a.tsv")


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".star", ".json", ".box", ".cbox", ".xy"])
def test_a_sparse_table_is_refused_before_it_is_decoded(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("{" if suffix == ".json" else "data_\nloop_\nimage_name\tx_coord\ty_coord\n")
    os.truncate(path, 900 << 20)

    with pytest.raises(FormatError, match="found byte 0x00 at position"):
        read_text(path)


@pytest.mark.parametrize(
    "text",
    [
        "a=" + "[" * 5000 + "]" * 5000,
        "seed=" + "9" * 5000,
        "size=" + "9" * 400,
        "size=[" + "1," * 5000 + "]",
        "a.b" + ".c" * 5000 + "=1",
        'x="' + "y" * (1 << 20) + '"',
        "size = \xff",
        "size = nan",
        "seed = 18446744073709551616",
    ],
)
def test_settings_out_of_bounds_are_refused_in_a_short_message(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises((FormatError, SettingsError)) as raised:
        load_toml(Values, path)

    assert str(raised.value).startswith(str(path))
    assert len(str(raised.value)) < len(str(path)) + 400


@pytest.mark.parametrize("text", ["a" + ".b" * 150_000 + "=1", "[a" + ".b" * 150_000 + "]"])
def test_settings_with_a_long_line_are_refused_before_they_are_parsed(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_text(f"size = 2\n{text}\n")

    with pytest.raises(FormatError, match="a line has over 2048 characters"):
        load_toml(Values, path)


def test_settings_with_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfsize = 2\n")

    assert load_toml(Values, tmp_path / "a.toml") == Values(size=2.0)


@pytest.mark.parametrize(
    "corner", ["9" * 400 + ",1", "1," + "9" * 5000, "[" * 2000 + "1" + "]" * 2000 + ",1", "1e999,1"]
)
def test_regions_out_of_bounds_are_refused(tmp_path, corner):
    path = tmp_path / "r.json"
    path.write_text(f'{{"regions": {{"a.mrc": [[[{corner}], [2, 2], [5, 1]]]}}}}')

    with pytest.raises(FormatError, match="not a file of regions") as raised:
        read_regions(path)

    assert len(str(raised.value)) < len(str(path)) + 400


def test_regions_with_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"regions": {"a.mrc": [[[0, 0], [2, 2], [5, 1]]]}}')

    assert list(read_regions(path).polygons) == ["a.mrc"]


def wide_table(suffix: str, width: int = WIDTH) -> str:
    names = [f"c{i}" for i in range(width)]
    if suffix in (".tsv", ".csv"):
        sign = "\t" if suffix == ".tsv" else ","
        rows = [["image_name", "x_coord", "y_coord", *names], ["a", "1", "2", *["5"] * width]]
        return "\n".join(sign.join(row) for row in rows)
    if suffix == ".star":
        tags = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", *names]
        header = "\n".join(f"_{tag} #{i}" for i, tag in enumerate(tags, 1))
        return f"data_particles\nloop_\n{header}\na.mrc 1 2 {'5 ' * width}\n"
    if suffix == ".box":
        return "\t".join(["1", "2", "10", "10", *["5"] * width])
    keys = ", ".join(f'"{name}": [1]' for name in names)
    return f'{{"micrographs": ["a"], "x": [1], "y": [2], {keys}}}'


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".star", ".box", ".json"])
def test_a_table_of_many_columns_is_read_or_refused_at_once(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    times_s = []
    for width in (WIDTH // 4, WIDTH):
        path.write_text(wide_table(suffix, width))
        start_s, message = time.process_time(), ""
        try:
            assert len(read_picks(path)) == 1
        except CryopickError as error:
            message = str(error)
        times_s.append(time.process_time() - start_s)
        assert len(message) < len(str(path)) + 1000

    narrow_s, wide_s = times_s
    assert wide_s < 9 * max(narrow_s, 0.2)  # linear work takes 4 times as long, quadratic 16


@pytest.mark.parametrize("part", ["\n", "_a ", "_a\n", "# ", "#\n", "$a b\n", "'", "data_\n", "; "])
def test_repeated_words_in_a_star_file_take_time_in_proportion(tmp_path, part):
    path = tmp_path / "t.star"
    head = "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n"
    times_s = []
    for length in (1 << 16, 1 << 18):
        path.write_text(head + part * (length // len(part)))
        start_s = time.process_time()
        with suppress(CryopickError):
            read_picks(path)
        times_s.append(time.process_time() - start_s)

    short_s, long_s = times_s
    assert long_s < 9 * max(short_s, 0.1)
