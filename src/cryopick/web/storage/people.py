"""Names of the people who label, and how well they agree.

A browser has a random name, which marks carry; a person gives it a readable one.

- `set_name`, `list_people`: names and numbers of labels.
- `measure_agreement`: F1 of each two people on micrographs that both have marked.
"""

from itertools import combinations
from typing import Any

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.matching import match_points
from cryopick.web.storage.corrections import CorrectionIndex
from cryopick.web.storage.database import ProjectDatabase

__all__ = ["list_people", "measure_agreement", "set_name"]

_PEOPLE = """
SELECT a.author, coalesce(p.name, '') AS name,
    (SELECT count(*) FROM label l WHERE l.author = a.author AND l.kind = 'pos') AS pos,
    (SELECT count(*) FROM label l WHERE l.author = a.author AND l.kind = 'neg') AS neg
FROM (SELECT DISTINCT author FROM label UNION SELECT author FROM person) a
LEFT JOIN person p ON p.author = a.author ORDER BY pos DESC, name
"""


def set_name(database: ProjectDatabase, author: str, name: str) -> None:
    """Give a browser the name of the person who uses it."""
    with database.write() as db:
        db.execute("INSERT OR REPLACE INTO person VALUES (?, ?)", (author, name))


def list_people(database: ProjectDatabase) -> list[dict[str, Any]]:
    """List the people with their numbers of positive and negative labels."""
    return database.rows(_PEOPLE)


def measure_agreement(
    database: ProjectDatabase, corrections: CorrectionIndex
) -> list[dict[str, Any]]:
    """Compare the positive labels of each two people on micrographs that both have marked.

    F1 is twice the number of particles that both have marked, divided by the number of marks of
    both. Browsers of one name are one person.
    """
    rows = database.rows(
        "SELECT l.mid, l.x, l.y, coalesce(nullif(p.name, ''), l.author) AS person FROM label l"
        " LEFT JOIN person p ON p.author = l.author WHERE l.kind = 'pos' ORDER BY l.mid"
    )
    marks: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for row in rows:
        by_micrograph = marks.setdefault(row["person"], {})
        by_micrograph.setdefault(row["mid"], []).append((row["x"], row["y"]))
    agreements = []
    for first, second in combinations(sorted(marks), 2):
        common = sorted(marks[first].keys() & marks[second].keys())
        n_both = n_marks = 0
        for mid in common:
            one, other = _positions(marks[first][mid]), _positions(marks[second][mid])
            radius_px = corrections.match_radius_px(mid)
            n_both += int((match_points(one, np.zeros(len(one)), other, radius_px) >= 0).sum())
            n_marks += len(one) + len(other)
        if common:
            f1 = 2 * n_both / n_marks
            agreements.append(
                {"people": [first, second], "f1": f1, "both": n_both, "micrographs": len(common)}
            )
    return agreements


def _positions(points: list[tuple[float, float]]) -> Float[np.ndarray, "marks 2"]:
    return np.array(points, np.float64).reshape(-1, 2)
