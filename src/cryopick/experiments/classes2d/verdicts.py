"""Table of verdicts on 2D classes, in which a person may correct the rule.

- `write_verdicts`: writes the table.
- `read_corrections`: reads the corrections of a person.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.experiments.classes2d.relion import ClassAssignment
from cryopick.experiments.classes2d.rule import ClassVerdict
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text

__all__ = ["read_corrections", "write_verdicts"]

_COLUMNS = ("set", "class", "particles", "resolution_ang", "strength", "rule", "person")
_VERDICT_BY_WORD = {"particle": True, "junk": False, "": None}


def write_verdicts(verdicts: Sequence[Sequence[ClassVerdict]], path: Path) -> None:
    """Write one row per class; the column `person` holds the corrections."""
    word_by_verdict = {verdict: word for word, verdict in _VERDICT_BY_WORD.items()}
    with atomic_write(path, overwrite=True) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(_COLUMNS)
        for position, set_verdicts in enumerate(verdicts, start=1):
            for verdict in set_verdicts:
                measurements = (verdict.resolution_ang, verdict.strength)
                table.writerow(
                    [
                        *(position, verdict.number, verdict.count),
                        *(f"{value:.3f}" for value in measurements),
                        word_by_verdict[verdict.by_rule],
                        word_by_verdict[verdict.by_person],
                    ]
                )


def read_corrections(path: Path, sets: Sequence[ClassAssignment]) -> dict[tuple[int, int], bool]:
    """Read the corrections of a person, by set and class; none if the table does not exist.

    Args:
        path: The table.
        sets: The present classes.

    Raises:
        FormatError: The table has other columns or an unknown verdict, or corrects a class that
            no longer exists because the sets were classified again.
    """
    if not path.is_file():
        return {}
    corrections = {}
    rows = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
    for line, row in enumerate(rows, start=2):
        word = (row.get("person") or "").strip().lower()
        if word not in _VERDICT_BY_WORD or not set(_COLUMNS) <= row.keys():
            raise FormatError(
                f"{path}:{line}: expected particle, junk or an empty cell in the column person, "
                f"found {word!r}; correct the row, or remove the table to start again"
            )
        verdict = _VERDICT_BY_WORD[word]
        if verdict is not None:
            key = int(row["set"]), int(row["class"])
            if _count_particles(sets, *key) != int(row["particles"]):
                raise FormatError(
                    f"{path}:{line}: corrects a class of {row['particles']} particles that no "
                    "longer exists, because the sets were classified again; remove the table to "
                    "start again"
                )
            corrections[key] = verdict
    return corrections


def _count_particles(sets: Sequence[ClassAssignment], position: int, number: int) -> int:
    """Return the number of particles of a class; -1 if the class does not exist."""
    if not 1 <= position <= len(sets) or not 1 <= number <= len(sets[position - 1].count):
        return -1
    return int(sets[position - 1].count[number - 1])
