"""Table of verdicts on 2D classes, in which a person may correct the rule.

- `write_verdicts`: writes the table.
- `read_corrections`: reads the corrections of a person.
- `read_particle_classes`: reads the classes of a set that are particles.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.experiments.classes2d.relion import ClassAssignment
from cryopick.experiments.classes2d.rule import ClassVerdict
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_text

__all__ = ["read_corrections", "read_particle_classes", "write_verdicts"]

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
    for line, row in _read_rows(path):
        verdict = _VERDICT_BY_WORD[row["person"]]
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


def read_particle_classes(path: Path, set_number: int) -> list[int]:
    """Read the numbers of the classes of a set that are particles, by a person or else by the rule.

    Args:
        path: The table.
        set_number: Number of the set, from 1.

    Raises:
        FormatError: The table has other columns, an unknown verdict or no class of this set.
    """
    is_particle = {
        int(row["class"]): _VERDICT_BY_WORD.get(row["person"] or row["rule"])
        for _, row in _read_rows(path)
        if int(row["set"]) == set_number and int(row["particles"])
    }
    if not is_particle:
        raise FormatError(
            f"{path}: expected classes of set {set_number}, found none; give the table that "
            "`cryopick validate classes` wrote beside the folder of this set"
        )
    return [number for number, verdict in is_particle.items() if verdict]


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows with their line numbers, verdicts in lower case.

    Raises:
        FormatError: The table has other columns, or an unknown verdict.
    """
    rows = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
    for line, row in enumerate(rows, start=2):
        row["person"] = (row.get("person") or "").strip().lower()
        if row["person"] not in _VERDICT_BY_WORD or not set(_COLUMNS) <= row.keys():
            raise FormatError(
                f"{path}:{line}: expected particle, junk or an empty cell in the column person, "
                f"found {row['person']!r}; correct the row, or remove the table to start again"
            )
        if not all(str(row[name]).isdecimal() for name in ("set", "class", "particles")):
            raise FormatError(
                f"{path}:{line}: expected integers in the columns set, class and particles; "
                "correct the row, or remove the table to start again"
            )
        yield line, row


def _count_particles(sets: Sequence[ClassAssignment], position: int, number: int) -> int:
    """Return the number of particles of a class; -1 if the class does not exist."""
    if not 1 <= position <= len(sets) or not 1 <= number <= len(sets[position - 1].count):
        return -1
    return int(sets[position - 1].count[number - 1])
