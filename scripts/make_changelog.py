#!/usr/bin/env python3
"""Move the notes of changes/ into CHANGELOG.md: `scripts/make_changelog.py VERSION [DATE]`.

The notes are sorted by topic and by name. The folder then holds its README alone. If the changelog
has a section of this version already, the notes are added to it, unless the version is tagged: then
nothing is written.

- `assemble`: do this in a folder.
- `read_introduction`, `read_lists`: text of a section above its topics, and its notes by topic.
- `sort_topics`: order of the topics.
- `group_notes`: sort the notes by topic.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OTHERS = "Other changes"
# Beginnings of the names of the notes, by topic, in the order of the changelog.
TOPICS = {
    "Picking and training": (
        "background benchmark both-networks centring class collapsed consensus contrast cross "
        "denois doubtful elongat evaluate feedback filament fine fitted flat foreign general "
        "half-maps high_scores label-checks label-extent left-out length nnpu no-particles "
        "odd-model one-pick pipeline reconstruction regions report scale scores second simulat "
        "size suggest threshold tomo training trust validate verdict"
    ),
    "The labelling page": "gallery label page",
    "Other programs and files": (
        "box client cryosparc damaged eman formats long-quoted long-tables odd-files other-binning "
        "relion short-tiff stack star topaz"
    ),
    "Speed, scale and reliability": (
        "cluster config devices doctor engine faster faults fuzz install ledger openvino progress "
        "provenance robust scripting speed submit watch"
    ),
}


def assemble(folder: Path, version: str, date: str, *, is_tagged: bool = False) -> int:
    """Move the notes of a folder into its changelog, and return their number.

    Args:
        folder: Folder with `CHANGELOG.md` and `changes/`.
        version: Version that the notes belong to.
        date: Date of the release.
        is_tagged: The version has been released, so that its section is not changed.

    Raises:
        SystemExit: The version has been released, or is not the last one in the changelog, or there
            are no notes.
    """
    changelog = folder / "CHANGELOG.md"
    head, *sections = re.split(r"^## ", changelog.read_text(encoding="utf-8"), flags=re.MULTILINE)
    versions = [section.partition(",")[0] for section in sections]
    if is_tagged or version in versions[1:]:
        raise SystemExit(f"{version} has been released; choose a later version")
    files = sorted(path for path in (folder / "changes").glob("*.md") if path.name != "README.md")
    if not files:
        raise SystemExit(f"{folder / 'changes'}: there are no notes")
    section = sections.pop(0) if versions[:1] == [version] else ""
    lists, introduction = read_lists(section), read_introduction(section)
    notes = {path.stem: " ".join(path.read_text(encoding="utf-8").split()) for path in files}
    for topic, stems in group_notes(notes).items():
        lists.setdefault(topic, []).extend(f"- {notes[stem]}" for stem in stems)
    parts = [f"{version}, {date}", *([introduction] if introduction else [])]
    parts += [f"### {topic}\n\n" + "\n".join(lists[topic]) for topic in sort_topics(lists)]
    head = head.partition(" There is no release yet")[0].rstrip()
    sections = ["\n\n".join(parts), *(section.rstrip() for section in sections)]
    text = "\n\n## ".join([head, *sections])
    changelog.write_text(f"{text}\n", encoding="utf-8")
    for path in files:
        path.unlink()
    return len(files)


def read_introduction(section: str) -> str:
    """Read the text of a section above its topics."""
    return section.partition("\n")[2].partition("### ")[0].strip()


def read_lists(section: str) -> dict[str, list[str]]:
    """Read the notes of a section by topic."""
    lists = {}
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        topic, *lines = part.rstrip().split("\n")
        lists[topic] = [line for line in lines if line]
    return lists


def sort_topics(topics: Iterable[str]) -> list[str]:
    """Sort topics in the order of the changelog; others come last."""
    order = [*TOPICS, OTHERS]
    return sorted(topics, key=lambda topic: order.index(topic) if topic in order else len(order))


def group_notes(notes: Mapping[str, str]) -> dict[str, list[str]]:
    """Sort the names of notes by topic."""
    groups: dict[str, list[str]] = {topic: [] for topic in (*TOPICS, OTHERS)}
    for stem in sorted(notes):
        topics = (t for t, starts in TOPICS.items() if stem.startswith(tuple(starts.split())))
        groups[next(topics, OTHERS)].append(stem)
    return {topic: stems for topic, stems in groups.items() if stems}


def has_tag(folder: Path, version: str) -> bool:
    """Return true if git has a tag of this version."""
    command = ["git", "-C", str(folder), "tag", "--list", f"v{version}"]
    return bool(subprocess.run(command, capture_output=True, check=True).stdout.strip())


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit((__doc__ or "").partition("\n")[0])
    version = sys.argv[1]
    day = sys.argv[2] if len(sys.argv) > 2 else time.strftime("%Y-%m-%d")
    count = assemble(ROOT, version, day, is_tagged=has_tag(ROOT, version))
    print(f"{count} notes moved to CHANGELOG.md")
