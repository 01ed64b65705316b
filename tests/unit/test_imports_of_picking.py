"""Picking on a processor must not import torch, which takes seconds and may not be installed.

Nor are SciPy's packages, whose import takes a quarter of the time of picking a small micrograph.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests import tiny

ROOT = Path(__file__).parents[2]
RUN = """
import sys
sys.modules["torch"] = None  # importing it raises an error
{command}
assert sys.modules["torch"] is None
assert "openvino" in sys.modules
assert "openvino_telemetry" not in sys.modules
assert "scipy" not in sys.modules
"""
CRYOPICK = "from cryopick.cli import main; sys.argv = ['cryopick', *{words!r}]; main()"
TOPAZ = "from cryopick.clients.topaz_cli import main; sys.argv = ['topaz', *{words!r}]; main()"


def run_without_torch(program, words, folder):
    """Run a command line in a process in which torch cannot be imported."""
    command = f"try:\n    {program.format(words=words)}\nexcept SystemExit as end:\n"
    command += "    assert not end.code, end.code"
    environment = {**os.environ, "CRYOPICK_WORKER": "0", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(command=command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path):
    tiny.model(tmp_path / "m.safetensors")
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 1)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "pick mics --model m.safetensors -o picks.star",
        "pick mics --diameter-ang 190 -o picks.star --threshold auto",
        "score mics --model m.safetensors -o scores",
    ],
    ids=["pick", "general model", "score"],
)
def test_commands_that_score_work_without_torch(words, folder):
    run_without_torch(CRYOPICK, words.split(), folder)


def test_topaz_extract_works_without_torch(folder):
    words = ["extract", "-m", "m.safetensors", "-r", "3", "-o", "out.txt", "mics/mic_0.mrc"]

    run_without_torch(TOPAZ, words, folder)

    assert Path(folder / "out.txt").stat().st_size > 0


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (CRYOPICK, "train -m mics -p picks.tsv -o m2.safetensors --diameter-ang 190"),
        (CRYOPICK, "denoise mics -o denoised"),
        (TOPAZ, "train --train-images mics --train-targets picks.tsv -n 30"),
    ],
    ids=["train", "denoise", "topaz train"],
)
def test_commands_that_train_say_that_torch_is_missing(program, words, folder):
    text = "image_name\tx_coord\ty_coord\nmic_0\t60\t60\n"
    (folder / "picks.tsv").write_text(text)
    command = "import sys; sys.modules['torch'] = None; " + program.format(words=words.split())

    done = subprocess.run(
        [sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 1, done.stderr
    assert "this needs PyTorch, which is not installed" in done.stderr
    assert "bug" not in done.stderr


def test_the_requirements_of_picking_are_all_dependencies_but_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "packaging" / "requirements-pick.txt").read_text().splitlines()

    expected = [name for name in project["dependencies"] if not name.startswith("torch")]
    assert [line for line in lines if not line.startswith("#")] == expected
