"""Run metadata, written beside the output."""

import json
from pathlib import Path

import pytest
from tests import tiny
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.errors import FormatError
from cryopick.runs.metadata import Stopwatch, read_run_metadata, write_run_metadata


def test_a_record_comes_back_as_it_was(tmp_path):
    watch = Stopwatch(("pick", "a b.mrc", "--model", "x"))
    record = watch.collect_metadata(
        micrographs=[Path("a b.mrc")], files={"model": Path("x"), "ignore": None}, device="cpu"
    )

    write_run_metadata(record, tmp_path / "run.json")

    read = read_run_metadata(tmp_path / "run.json")
    assert read == record
    assert tuple(read.command) == watch.command
    assert read.files == {"model": "x"}
    assert read.resolve_path("x") == Path.cwd() / "x"
    assert read.resolve_path("/elsewhere/x") == Path("/elsewhere/x")
    assert read.seconds >= 0


def test_a_record_of_another_version_is_read_as_far_as_it_is_known(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"command": ["pick"], "colour": "blue"}))

    assert read_run_metadata(tmp_path / "run.json").command == ["pick"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"command": "pick"}', '{"micrographs": [1]}'),
        *('{"label_micrographs": "a"}', '{"skipped": {"a": 1}}'),
    ],
)
def test_another_file_is_no_record(tmp_path, text):
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(FormatError, match="expected run metadata"):
        read_run_metadata(tmp_path / "run.json")


def test_picking_leaves_a_record(tmp_path):
    mics = tmp_path / "mics"
    mics.mkdir()
    tiny.micrographs(mics, count=1)
    tiny.model(tmp_path / "tiny.safetensors")
    words = ["pick", str(mics), "--model", str(tmp_path / "tiny.safetensors")]
    words += ["-o", str(tmp_path / "picks.star"), "--device", "cpu"]

    assert CliRunner().invoke(app, words).exit_code == 0

    record = read_run_metadata(tmp_path / "picks.run.json")
    assert list(record.command) == words
    assert record.micrographs == [str(mics / "mic_0.mrc")]
    assert record.files == {"model": str(tmp_path / "tiny.safetensors")}
    assert 0 < record.seconds < 600
