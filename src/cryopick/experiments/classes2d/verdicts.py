"""Verdicts on classes as a table, in which a person may overrule the rule.

- `write_verdicts`: the table.
- `overruled`: what a person wrote into it.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.experiments.classes2d.relion import Classes
from cryopick.experiments.classes2d.rule import Verdict
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text

__all__ = ["overruled", "write_verdicts"]

_HEAD = ("set", "class", "particles", "resolution_ang", "strength", "rule", "person")
_WORDS = {"particle": True, "junk": False, "": None}


def write_verdicts(verdicts: Sequence[Sequence[Verdict]], path: Path) -> None:
    """Write one row for each class of each set; the column `person` keeps what a person said."""
    with atomic_write(path, overwrite=True) as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        rows.writerow(_HEAD)
        for number, own in enumerate(verdicts, start=1):
            for verdict in own:
                measured = (verdict.resolution_ang, verdict.strength)
                rows.writerow(
                    [
                        *(number, verdict.number, verdict.count),
                        *(f"{value:.3f}" for value in measured),
                        "particle" if verdict.by_rule else "junk",
                        {True: "particle", False: "junk", None: ""}[verdict.by_person],
                    ]
                )


def overruled(path: Path, sets: Sequence[Classes]) -> dict[tuple[int, int], bool]:
    """What a person wrote into the table, by set and class; nothing if there is no table.

    Args:
        path: The table.
        sets: The classes of now.

    Raises:
        FormatError: The table is another one, a word in it is not known, or it was written on a
            class that is no more, as the sets were classified anew.
    """
    if not path.is_file():
        return {}
    found = {}
    rows = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
    for line, row in enumerate(rows, start=2):
        word = (row.get("person") or "").strip().lower()
        if word not in _WORDS or not set(_HEAD) <= row.keys():
            raise FormatError(
                f"{path}:{line}: expected particle, junk or nothing in the column person, found "
                f"{word!r}; mend the row, or remove the table to begin again"
            )
        verdict = _WORDS[word]
        if verdict is not None:
            key = int(row["set"]), int(row["class"])
            if _count(sets, *key) != int(row["particles"]):
                raise FormatError(
                    f"{path}:{line}: says {word} of a class of {row['particles']} particles that "
                    "is no more, as the sets were classified anew; remove the table to begin again"
                )
            found[key] = verdict
    return found


def _count(sets: Sequence[Classes], position: int, number: int) -> int:
    """Particles of a class; -1 where there is no such class."""
    if not 1 <= position <= len(sets) or not 1 <= number <= len(sets[position - 1].count):
        return -1
    return int(sets[position - 1].count[number - 1])
