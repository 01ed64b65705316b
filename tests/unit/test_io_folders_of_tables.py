"""A folder or a pattern stands for the tables in it; unrelated files are passed over."""

import json
from pathlib import Path

import numpy as np
import pytest
from click import Argument, Option
from tests import tiny

from cryopick.cli.repeated_option import repeat_micrograph_option
from cryopick.errors import FormatError, InputError, NotATableError, NotFoundError
from cryopick.io.tables.pick_tables import (
    read_picks,
    read_picks_many,
    write_coordinate_list,
    write_picks_per_micrograph,
)
from cryopick.picks import Picks, concatenate

PICKS = concatenate(
    [Picks.for_micrograph(name, np.array([[10.0, 20.0], [30.0, 40.0]])) for name in ("a", "b")]
)
UNRELATED = {
    "run.json": json.dumps({"command": ["pick"], "micrographs": ["a.mrc"]}),
    "c_info.json": "{}",
    "micrographs_ctf.star": "data_micrographs\n\nloop_\n_rlnMicrographName\na.mrc\n",
    "metrics.csv": "step,loss\n1,2\n",
    "notes.tsv": "who\twhat\nann\tx\n",
    "settings.toml": "threshold = 0\n",
    "notes.md": "x",
}


@pytest.mark.parametrize("kind", ["box", "star", "tsv", "csv", "cbox", "eman", "via"])
def test_run_files_and_unrelated_files_in_a_folder_are_passed_over(kind, tmp_path, caplog):
    write_picks_per_micrograph(PICKS, tmp_path, format=kind, box_px=8)
    for name, text in UNRELATED.items():
        (tmp_path / name).write_text(text)

    picks = read_picks(tmp_path)

    assert len(picks) == 4
    assert sorted(picks.micrographs) == ["a", "b"]
    (message,) = (record.getMessage() for record in caplog.records)
    assert "passed over files without picks: " in message
    assert "run.json" in message


def test_a_malformed_table_in_a_folder_is_still_an_error(tmp_path):
    (tmp_path / "a.tsv").write_text("image_name\tx_coord\ty_coord\na\t1\tx\n")

    with pytest.raises(FormatError, match=r"a\.tsv:2"):
        read_picks(tmp_path)


def test_a_folder_without_any_table_is_an_error(tmp_path):
    (tmp_path / "run.json").write_text(UNRELATED["run.json"])

    with pytest.raises(InputError, match="contains no table of picks"):
        read_picks(tmp_path)


def test_a_pattern_stands_for_the_files_that_match(tmp_path):
    write_picks_per_micrograph(PICKS, tmp_path, format="box", box_px=8)

    assert len(read_picks_many([tmp_path / "*.box"])) == 4
    assert read_picks(tmp_path / "[b-z].box").micrographs == ("b",)
    with pytest.raises(NotFoundError, match="no file matches this pattern"):
        read_picks(tmp_path / "*.star")


def test_files_without_picks_that_match_a_pattern_are_passed_over(tmp_path, caplog):
    write_picks_per_micrograph(PICKS, tmp_path, format="json")
    (tmp_path / "run.json").write_text(UNRELATED["run.json"])

    assert len(read_picks(tmp_path / "*.json")) == 4
    assert "passed over files without picks: run.json" in caplog.text
    with pytest.raises(NotATableError, match=r"run\.json: expected a list of picks"):
        read_picks(tmp_path / "r*.json")


@pytest.mark.parametrize("as_pattern", [True, False])
def test_a_list_of_coordinate_files_is_not_read_beside_those_files(as_pattern, tmp_path):
    files = write_picks_per_micrograph(PICKS, tmp_path, format="star")
    index = tmp_path / "autopick.star"
    names = {Path(f"mics/{name}.mrc"): file for name, file in zip("ab", files, strict=True)}
    write_coordinate_list(names, index)

    given = [tmp_path / "*.star"] if as_pattern else [*files, index]

    assert len(read_picks_many(given)) == 4
    assert read_picks(index).micrographs == ("mics/a.mrc", "mics/b.mrc")


@pytest.mark.parametrize("kind", ["box", "star", "tsv", "json"])
def test_a_folder_that_pick_wrote_can_be_converted_and_evaluated(kind, run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 2)
    tiny.model("m.safetensors")
    run_words(
        f"pick mics --model m.safetensors --threshold -100 -o picks/ --format {kind} --box-px 9"
    )

    run_words("convert picks -o all.tsv")
    run_words("evaluate picks all.tsv --radius-px 1")

    assert {line.split()[0] for line in Path("all.tsv").read_text().splitlines()} == {
        "image_name",
        "mic_0",
        "mic_1",
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-m a b c -p x", "-m a -m b -m c -p x"),
        ("-p x --micrographs a b", "-p x --micrographs a -m b"),
        ("-m a --force b", "-m a --force b"),
        ("-m a -m b", "-m a -m b"),
        ("-m a -- b", "-m a -- b"),
    ],
)
def test_one_option_takes_several_micrographs(words, expected):
    parameters = [
        Option(["-m", "--micrographs"], multiple=True),
        Option(["-p"]),
        Option(["--force"], is_flag=True),
    ]

    assert repeat_micrograph_option(parameters, words.split()) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("in -m a b", "in -m a -m b"),
        ("-m a in b", "-m a in b"),
        ("in other -m a b", "in other -m a -m b"),
    ],
)
def test_positional_arguments_come_first(words, expected):
    parameters = [Option(["-m"], multiple=True), Argument(["tables"], nargs=-1)]

    assert repeat_micrograph_option(parameters, words.split()) == expected.split()


@pytest.mark.parametrize("text", ["1 2 x y\n", "not a table\n", "{}"])
def test_a_damaged_table_of_boxes_in_a_folder_is_an_error(run_words, text):
    Path("out").mkdir()
    Path("out/a.box").write_text("10 10 20 20\n")
    Path("out/b.box").write_text(text)

    assert "out/b.box:" in run_words("convert out -o all.tsv", status=1).stderr
    assert not Path("all.tsv").exists()
