#!/usr/bin/env python3
"""Move the notes of changes/ into CHANGELOG.md: `scripts/make_changelog.py VERSION [DATE]`.

The notes are sorted by topic and by name. The folder then holds its README alone. A version that
the changelog has already is an error, and nothing is written.

- `assemble`: do this in a folder.
- `group_notes`: sort the notes by topic.
"""

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OTHERS = "Other changes"
# Beginnings of the names of the notes, by topic, in the order of the changelog.
TOPICS = {
    "Picking and training": (
        *("benchmark", "centring", "class", "consensus", "cross", "denois", "doubtful", "elongat"),
        *("evaluate", "feedback", "filament", "fine", "fitted", "flat", "foreign", "general"),
        *(
            "high_scores",
            "label-checks",
            "nnpu",
            "no-particles",
            "pipeline",
            "reconstruction",
            "regions",
            "report",
            "scale",
        ),
        *(
            "scores",
            "second",
            "simulat",
            "size",
            "suggest",
            "tomo",
            "training",
            "trust",
            "validate",
        ),
    ),
    "The labelling page": ("gallery", "label", "page"),
    "Other programs and files": (
        *("box", "client", "cryosparc", "eman", "formats", "long-tables", "relion", "stack"),
        *("star", "topaz"),
    ),
    "Speed, scale and reliability": (
        *(
            "cluster",
            "config",
            "devices",
            "doctor",
            "engine",
            "faults",
            "fuzz",
            "install",
            "ledger",
        ),
        *("openvino", "progress", "provenance", "robust", "scripting", "speed", "submit", "watch"),
    ),
}


def assemble(folder: Path, version: str, date: str) -> int:
    """Move the notes of a folder into its changelog, and return their number.

    Args:
        folder: Folder with `CHANGELOG.md` and `changes/`.
        version: Version that the notes belong to.
        date: Date of the release.

    Raises:
        SystemExit: The changelog has this version already, or there are no notes.
    """
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    if re.search(rf"^## {re.escape(version)}\b", text, re.MULTILINE):
        raise SystemExit(f"{changelog}: has {version} already")
    files = sorted(path for path in (folder / "changes").glob("*.md") if path.name != "README.md")
    if not files:
        raise SystemExit(f"{folder / 'changes'}: there are no notes")
    notes = {path.stem: " ".join(path.read_text(encoding="utf-8").split()) for path in files}
    parts = [f"## {version}, {date}\n"]
    for topic, stems in group_notes(notes).items():
        parts.append(f"### {topic}\n")
        parts += [f"- {notes[stem]}" for stem in stems] + [""]
    head, mark, earlier = text.partition("\n## ")
    head = head.partition(" There is no release yet")[0].rstrip()
    changelog.write_text("\n".join([head, "", *parts]) + mark + earlier, encoding="utf-8")
    for path in files:
        path.unlink()
    return len(files)


def group_notes(notes: Mapping[str, str]) -> dict[str, list[str]]:
    """Sort the names of notes by topic."""
    groups: dict[str, list[str]] = {topic: [] for topic in (*TOPICS, OTHERS)}
    for stem in sorted(notes):
        topics = (topic for topic, starts in TOPICS.items() if stem.startswith(starts))
        groups[next(topics, OTHERS)].append(stem)
    return {topic: stems for topic, stems in groups.items() if stems}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit((__doc__ or "").partition("\n")[0])
    day = sys.argv[2] if len(sys.argv) > 2 else time.strftime("%Y-%m-%d")
    print(f"{assemble(ROOT, sys.argv[1], day)} notes moved to CHANGELOG.md")
