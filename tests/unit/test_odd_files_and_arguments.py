"""Odd files in folders, odd names and empty arguments end in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import tiny

LIST = "data_\n\nloop_\n_rlnMicrographName #1\nmics/mic_0.mrc\n"
BROKEN = (
    "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnMicrographName #3\n"
    "10 abc mics/mic_0.mrc\n"
)
OPTICS = (
    "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnMicrographPixelSize #2\n1 1.5\n\n"
    "data_particles\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnMicrographName #3\n"
    "_rlnOpticsGroup #4\n1 2 a.mrc 1\n3 4 b.mrc 1\n"
)


def test_info_passes_over_other_files_of_a_folder(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 1)
    for name in ("readme.md", ".DS_Store", "run.log", "fig.svg"):
        Path("mics", name).write_text("x")

    result = run_words("info mics")

    assert "mics: passed over other files: .DS_Store, fig.svg, readme.md, …" in result.stderr
    assert "PROBLEM" not in result.stdout


def test_a_broken_table_of_coordinates_is_not_called_a_list(run_words):
    Path("list.star").write_text(LIST)
    Path("broken.star").write_text(BROKEN)

    assert "micrograph list" in run_words("info list.star").stdout
    assert "broken.star:7: expected a finite number" in run_words("info broken.star", 1).stdout


PRINT = (
    "from cryopick.runs.standard_streams import escape_output\n"
    "escape_output()\n"
    "print('mics/\\udcff-µ.mrc')\n"
)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "mics/\\udcff-µ.mrc"), ("ascii", "mics/\\udcff-\\xb5.mrc")]
)
def test_names_that_the_terminal_cannot_show_are_escaped(encoding, shown):
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:strict"}

    done = subprocess.run(
        [sys.executable, "-c", PRINT], env=environment, capture_output=True, check=True
    )

    assert done.stdout.decode() == f"{shown}\n"


@pytest.mark.parametrize("line", ["convert {} -o a.star", "info {}", "convert a.tsv -o {}"])
def test_an_empty_argument_is_a_usage_error(line, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from cryopick.cli import app

    monkeypatch.chdir(tmp_path)
    Path("a.tsv").write_text("image_name\tx_coord\ty_coord\na\t1\t2\n")

    result = CliRunner().invoke(app, [word.replace("{}", "") for word in line.split()])

    assert result.exit_code == 2
    assert "an argument is empty" in result.stderr
    assert os.listdir() == ["a.tsv"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["p.star", "p.csv", "p.json"])
def test_split_writes_the_format_of_its_table(run_words, name):
    Path("all.star").write_text(OPTICS)
    run_words(f"convert all.star -o {name}")

    run_words(f"split {name} -o parts --number 1")

    suffix = {"p.star": "star", "p.csv": "csv"}.get(name, "tsv")
    assert Path(f"parts/train.{suffix}").exists()
    assert ("data_optics" in Path(f"parts/test.{suffix}").read_text()) == (suffix == "star")
