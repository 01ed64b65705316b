"""The changelog is assembled from the notes of changes, each exactly once."""

import importlib.util
import subprocess
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


def test_later_notes_are_added_to_the_section_that_is_not_tagged(script, folder):
    script.assemble(folder, "0.1.0", "2026-11-01")
    (folder / "changes" / "label-a.md").write_text("First.\n")
    script.assemble(folder, "0.2.0", "2026-12-01")
    changelog = folder / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("### The", "An introduction.\n\n### The", 1))
    for name in ("label-c", "speed-c", "another"):
        (folder / "changes" / f"{name}.md").write_text(f"Note {name}.\n")

    assert script.assemble(folder, "0.2.0", "2026-12-02") == 3

    text = (folder / "CHANGELOG.md").read_text()
    assert text.partition("\n\n## 0.1.0")[0] == (
        "# Changelog\n\nVersions follow rules.\n\n## 0.2.0, 2026-12-02\n\n"
        "An introduction.\n\n"
        "### The labelling page\n\n- First.\n- Note label-c.\n\n"
        "### Speed, scale and reliability\n\n- Note speed-c.\n\n"
        "### Other changes\n\n- Note another."
    )
    assert text.count("## 0.1.0, 2026-11-01\n\n### The labelling page\n\n- B of the page.") == 1


def test_a_released_version_and_no_notes_are_errors(script, folder):
    script.assemble(folder, "0.2.0", "2026-12-01")
    before = (folder / "CHANGELOG.md").read_text()

    with pytest.raises(SystemExit, match="there are no notes"):
        script.assemble(folder, "0.2.1", "2026-12-02")
    (folder / "changes" / "a.md").write_text("A.\n")
    with pytest.raises(SystemExit, match=r"0\.2\.0 has been released"):
        script.assemble(folder, "0.2.0", "2026-12-02", is_tagged=True)

    assert (folder / "CHANGELOG.md").read_text() == before
    assert (folder / "changes" / "a.md").exists()


def test_a_version_below_the_last_one_is_an_error(script, folder):
    script.assemble(folder, "0.2.0", "2026-12-01")
    (folder / "changes" / "a.md").write_text("A.\n")
    script.assemble(folder, "0.3.0", "2026-12-02")
    (folder / "changes" / "b.md").write_text("B.\n")

    with pytest.raises(SystemExit, match=r"0\.2\.0 has been released"):
        script.assemble(folder, "0.2.0", "2026-12-03")


def test_a_tag_of_git_marks_a_released_version(script, tmp_path):
    words = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        ["init", "-q"],
        ["commit", "-q", "--allow-empty", "-m", "A"],
        ["tag", "v0.2.0"],
    ):
        subprocess.run([*words, *command], check=True)

    assert script.has_tag(tmp_path, "0.2.0")
    assert not script.has_tag(tmp_path, "0.2.1")


def test_the_notes_of_this_version_can_be_sorted(script):
    files = (ROOT / "changes").glob("*.md")
    notes = {path.stem: path.read_text() for path in files if path.name != "README.md"}

    grouped = script.group_notes(notes)

    assert sorted(name for names in grouped.values() for name in names) == sorted(notes)
