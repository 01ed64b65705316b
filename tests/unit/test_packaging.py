"""Consistency of the metadata that the package states in several files."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def test_the_conda_recipe_asks_for_what_the_package_needs():
    recipe = (ROOT / "packaging" / "meta.yaml").read_text()
    run = recipe.split("  run:\n")[1].split("\ntest:")[0]
    asked = {line.strip("- ").replace(" ", "") for line in run.strip().splitlines()}

    needed = {f"python{PROJECT['requires-python']}"}
    for requirement in PROJECT["dependencies"]:
        name, rest = re.match(r"([\w-]+)(.*)", requirement).groups()
        needed.add(CONDA_NAMES.get(name, name) + rest)
    assert asked == needed


@pytest.mark.parametrize("file", ["Dockerfile", "cryopick.def"])
def test_what_an_image_copies_exists_and_is_all_that_a_build_reads(file):
    text = (ROOT / "packaging" / file).read_text()
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "constraints.txt", "src"):
        assert re.search(rf"(^|\s){re.escape(name)}(\s|$)", text, re.MULTILINE), name
        assert (ROOT / name).exists()


def test_the_dockerfile_is_as_its_linter_would_have_it():
    linter = Path(sys.executable).with_name("hadolint")

    said = subprocess.run([linter, ROOT / "packaging" / "Dockerfile"], capture_output=True)

    assert said.stdout.decode() + said.stderr.decode() == ""


def test_every_extra_is_explained():
    page = (ROOT / "docs" / "howto" / "install.md").read_text()

    assert {
        name for name in PROJECT["optional-dependencies"] if f"| `{name}` |" not in page
    } == set()


def test_a_tag_on_this_commit_names_the_version():
    listed = subprocess.run(
        ["git", "tag", "--points-at", "HEAD", "v*"], cwd=ROOT, capture_output=True, text=True
    )
    for tag in listed.stdout.split():
        assert tag == f"v{PROJECT['version']}"


def test_the_conda_recipe_makes_the_version_and_commands_of_the_package():
    recipe = (ROOT / "packaging" / "meta.yaml").read_text()

    assert f'environ.get("CRYOPICK_VERSION", "{PROJECT["version"]}")' in recipe
    for name, place in PROJECT["scripts"].items():
        assert f"    - {name} = {place}\n" in recipe
