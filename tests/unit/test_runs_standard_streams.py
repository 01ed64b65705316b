"""Closed standard streams and ASCII terminals end neither a command nor a file of the user."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests import tiny

USE_STREAMS = """
import os, sys
from cryopick.runs.standard_streams import open_standard_streams
open_standard_streams()
with open("a.txt", "w") as file:
    assert file.fileno() > 2
    os.write(2, b"a warning of a library")
    print("a message", file=sys.stderr)
    print("a result", file=sys.stdout)
    assert not sys.stderr.closed
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_replaced_before_a_file_gets_their_number(closed, tmp_path):
    (tmp_path / "use.py").write_text(USE_STREAMS)
    command = f"exec {sys.executable} use.py {closed}"

    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False)

    assert done.returncode == 0
    assert (tmp_path / "a.txt").read_text() == ""


@pytest.mark.parametrize(("folder", "status"), [("m", 0), ("mü", 1)])
def test_a_command_with_progress_runs_without_stderr_in_an_ascii_locale(folder, status, tmp_path):
    """A name beyond ASCII is the error of its micrograph there, as tables are in UTF-8."""
    Path(tmp_path, folder).mkdir()
    tiny.micrographs(tmp_path / folder, 1)
    words = f"propose {folder}/mic_0.mrc --diameter-ang {tiny.DIAMETER_ANG} -o ü.star"
    command = f"exec {sys.executable} -m cryopick {words} 2>&-"
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=False)

    assert done.returncode == status
    assert (tmp_path / "ü.star").exists() == (status == 0)
