"""Consistency of the metadata that the package states in several files."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def recipe():
    """The conda recipe as rattler-build renders it."""
    rattler_build = pytest.importorskip("rattler_build")
    path = ROOT / "packaging" / "recipe.yaml"
    [variant] = rattler_build.Stage0Recipe.from_file(path).render()
    return variant.recipe.to_dict()


def test_the_conda_recipe_asks_for_what_the_package_needs(recipe):
    asked = {requirement.replace(" ", "") for requirement in recipe["requirements"]["run"]}

    needed = {f"python{PROJECT['requires-python']}"}
    for requirement in PROJECT["dependencies"]:
        name, rest = re.match(r"([\w-]+)(.*)", requirement).groups()
        needed.add(CONDA_NAMES.get(name, name) + rest)
    assert asked == needed


@pytest.mark.parametrize("file", ["Dockerfile", "cryopick.def"])
def test_what_an_image_copies_exists_and_is_all_that_a_build_reads(file):
    text = (ROOT / "packaging" / file).read_text()
    sources = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "constraints.txt", "src")
    for name in sources:
        assert re.search(rf"(^|\s){re.escape(name)}(\s|$)", text, re.MULTILINE), name
        assert (ROOT / name).exists()


def test_the_dockerfile_is_as_its_linter_would_have_it():
    linter = Path(sys.executable).with_name("hadolint")

    said = subprocess.run([linter, ROOT / "packaging" / "Dockerfile"], capture_output=True)

    assert said.stdout.decode() + said.stderr.decode() == ""


def test_the_apptainer_definition_has_a_header_and_known_sections():
    text = (ROOT / "packaging" / "cryopick.def").read_text()
    head, *sections = re.split(r"^%", text, flags=re.MULTILINE)

    header = dict(re.findall(r"^(\w+): (\S+)$", head, re.MULTILINE))
    assert header == {"Bootstrap": "docker", "From": "python:3.12-slim"}
    names = [section.split()[0] for section in sections]
    assert names == ["files", "post", "environment", "runscript", "test", "labels"]
    assert all(section.partition("\n")[2].strip() for section in sections)
    image = (ROOT / "packaging" / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", image, re.MULTILINE) == [header["From"]] * 2


def test_the_conda_recipe_has_the_version_licences_and_commands_of_the_package(recipe):
    assert recipe["package"] == {"name": "cryopick", "version": PROJECT["version"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    licences = {path for pattern in PROJECT["license-files"] for path in ROOT.glob(pattern)}
    assert {ROOT / name for name in recipe["about"]["license_file"]} == licences
    commands = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == commands
    assert recipe["build"]["noarch"] == "python"


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


def test_the_citation_and_the_supported_versions_are_those_of_this_version():
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    series = ".".join(PROJECT["version"].split(".")[:2])

    assert citation["version"] == PROJECT["version"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == "BSD-3-Clause"
    assert {"message", "title", "authors", "date-released"} <= set(citation)
    assert f"| {series} | yes |" in (ROOT / "SECURITY.md").read_text()
    assert f"\ncopyright: cryopick {PROJECT['version']}," in (ROOT / "mkdocs.yml").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files of a wheel, and the text of its metadata."""
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CRYOPICK_SOURCE_ADDRESS", raising=False)
        [path] = builder.build(directory=str(tmp_path_factory.mktemp("wheel")))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        [metadata] = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, archive.read(metadata).decode()


def test_a_wheel_holds_the_package_with_data_and_licences_and_no_tests(wheel):
    names, metadata = wheel

    files = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.*")}
    files = {name for name in files if "__pycache__" not in name and "egg-info" not in name}
    assert not {name for name in files if (ROOT / "src" / name).is_file()} - set(names)
    assert not [name for name in names if name.startswith("tests/") or name.endswith(".pyc")]
    for licence in ("LICENSE", "LICENSE-preact.txt", "LICENSE-signals.txt", "LICENSE-htm.txt"):
        assert re.search(rf"^License-File: (.*/)?{re.escape(licence)}$", metadata, re.MULTILINE)


def test_the_description_of_the_package_has_no_relative_links(wheel):
    _, metadata = wheel

    description = metadata.partition("\n\n")[2]
    assert description.lstrip().startswith("# cryopick")
    assert not re.search(r"\]\((?!https?://|#)", description)
    assert not re.search(r"<img[^>]+src=\"(?!https?://)", description)


def test_links_of_the_readme_become_absolute_in_a_release():
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (
        "![A page](docs/a.webp) [how](docs/how.md#top) [web](https://x.org/y) [here](#part)\n"
        '<img alt="b" src="docs/b.gif" width="9">'
    )

    made = module.make_links_absolute(text, "https://forge.example/lab/cryopick/tree/v1.2.0/")

    base = "https://forge.example/lab/cryopick"
    assert made == (
        f"![A page]({base}/raw/v1.2.0/docs/a.webp) [how]({base}/blob/v1.2.0/docs/how.md#top) "
        "[web](https://x.org/y) [here](#part)\n"
        f'<img alt="b" src="{base}/raw/v1.2.0/docs/b.gif" width="9">'
    )
    assert module.make_links_absolute(text, "") == " how [web](https://x.org/y) [here](#part)\n"
