"""Manual pages: one for each command, with all of its options, in correct roff."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from cryopick.cli.app import MODULES, load

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_man_pages.py"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("make_man_pages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {file.stem: file for file in module.write_pages(tmp_path_factory.mktemp("man"))}


def test_every_command_has_a_page_with_all_options(pages):
    for name, command in load(MODULES).items():
        text = pages[f"cryopick-{name}"].read_text().replace("\\-", "-")
        assert f"cryopick-{name} - " in text
        for parameter in command.params:
            assert all(word in text for word in parameter.opts if word.startswith("-"))
    assert "cryopick-models-show" in pages


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_the_pages_are_correct_roff(pages):
    done = subprocess.run(
        ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", *map(str, pages.values())],
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
