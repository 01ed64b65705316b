"""The changelog is assembled from the notes of changes, each exactly once."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "# Changelog\n\nVersions follow rules. There is no release yet; the folder has notes.\n"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location(
        "make_changelog", ROOT / "scripts" / "make_changelog.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "CHANGELOG.md").write_text(HEAD)
    (tmp_path / "changes").mkdir()
    notes = {"README": "how", "label-b": "B of\nthe page.", "odd": "Odd.", "topaz-a": "A."}
    for name, text in notes.items():
        (tmp_path / "changes" / f"{name}.md").write_text(f"{text}\n")
    return tmp_path


def test_notes_move_to_the_changelog_by_topic(script, folder):
    assert script.assemble(folder, "0.2.0", "2026-12-01") == 3

    assert (folder / "CHANGELOG.md").read_text() == (
        "# Changelog\n\nVersions follow rules.\n\n## 0.2.0, 2026-12-01\n\n"
        "### The labelling page\n\n- B of the page.\n\n"
        "### Other programs and files\n\n- A.\n\n### Other changes\n\n- Odd.\n"
    )
    assert [path.name for path in (folder / "changes").iterdir()] == ["README.md"]


def test_a_later_version_stands_above_the_earlier_one(script, folder):
    script.assemble(folder, "0.2.0", "2026-12-01")
    (folder / "changes" / "speed-c.md").write_text("C.\n")
    script.assemble(folder, "0.3.0", "2027-01-01")

    text = (folder / "CHANGELOG.md").read_text()
    assert text.index("## 0.3.0") < text.index("- C.") < text.index("## 0.2.0") < text.index("- A.")
    assert "\n\n## 0.2.0" in text


def test_a_version_that_is_there_and_no_notes_are_errors(script, folder):
    script.assemble(folder, "0.2.0", "2026-12-01")
    before = (folder / "CHANGELOG.md").read_text()

    with pytest.raises(SystemExit, match="there are no notes"):
        script.assemble(folder, "0.2.1", "2026-12-02")
    (folder / "changes" / "a.md").write_text("A.\n")
    with pytest.raises(SystemExit, match=r"has 0\.2\.0 already"):
        script.assemble(folder, "0.2.0", "2026-12-02")

    assert (folder / "CHANGELOG.md").read_text() == before
    assert (folder / "changes" / "a.md").exists()


def test_the_notes_of_this_version_can_be_sorted(script):
    files = (ROOT / "changes").glob("*.md")
    notes = {path.stem: path.read_text() for path in files if path.name != "README.md"}

    grouped = script.group_notes(notes)

    assert sorted(name for names in grouped.values() for name in names) == sorted(notes)
