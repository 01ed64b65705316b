"""Verdicts of people on picks; each person can change only their own verdicts.

- `PickVerdicts`: saves and queries them.
- `PickVerdict`: the verdict of one person on one pick.
- `FilterChange`: a new threshold, edge margin and minimum distance.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import NotFoundError
from cryopick.web.storage.database import ProjectDatabase, current_time
from cryopick.web.storage.run_picks import PickFilter
from cryopick.web.storage.run_records import ProjectRuns

__all__ = ["FilterChange", "Length", "PickVerdict", "PickVerdicts", "Score"]

Score = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Length = Annotated[float, Field(ge=0, le=1e5, allow_inf_nan=False)]


class FilterChange(BaseModel):
    """Conditions for selecting picks of a run."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    threshold: Score
    edge_ang: Length = 0.0
    min_distance_ang: Length = 0.0


class PickVerdict(BaseModel):
    """Verdict of one person on one pick; "none" withdraws an earlier verdict."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    run: Annotated[str, Field(max_length=64)]
    pick: Annotated[int, Field(ge=0, le=2**62)]
    answer: Literal["yes", "no", "unsure", "none"]
    sample: Literal["uncertain", "disagree", "random"]
    drawn: FilterChange | None = None  # filter from whose picks a random sample was drawn


class PickVerdicts:
    """Verdicts on the picks of a project's runs."""

    def __init__(self, database: ProjectDatabase, runs: ProjectRuns) -> None:
        self._database, self._runs = database, runs

    def save(self, verdicts: Sequence[PickVerdict], author: str) -> None:
        """Save the verdicts of one person; they replace earlier ones of the same person.

        Raises:
            NotFoundError: A pick does not exist.
        """
        for verdict in verdicts:
            if verdict.pick >= len(self._runs.picks(verdict.run).score):
                raise NotFoundError(f"run {verdict.run} has no pick with number {verdict.pick}")
        with self._database.write() as db:
            for verdict in verdicts:
                db.execute(
                    "DELETE FROM verdict WHERE run = ? AND pick = ? AND author = ?",
                    (verdict.run, verdict.pick, author),
                )
                if verdict.answer == "none":
                    continue
                drawn = verdict.drawn.model_dump().values() if verdict.drawn else (None,) * 3
                values = (verdict.run, verdict.pick, author, verdict.answer, verdict.sample)
                db.execute(
                    "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, *drawn, current_time()),
                )

    def reviewed_picks(self, run: str, kind: str) -> list[int]:
        """List the picks that need no further review, whoever reviewed them.

        A random sample includes uncertain picks even if they were reviewed as such; without them
        it would not be random.
        """
        rows = self._database.rows(
            "SELECT DISTINCT pick FROM verdict"
            " WHERE run = ? AND (sample = 'random' OR ? != 'random')",
            *(run, kind),
        )
        return [row["pick"] for row in rows]

    def random_verdicts(self, run: str, pick_filter: PickFilter) -> list[tuple[int, bool]]:
        """List the picks reviewed at random, and the last verdict on each: particle or not.

        A sample drawn with one filter represents the picks of another filter only if the other is
        equal or stricter: after the threshold is lowered, the sample is no longer representative.
        """
        rows = self._database.rows(
            "SELECT pick, answer FROM"
            " (SELECT *, max(rowid) FROM verdict WHERE run = ? AND sample = 'random' GROUP BY pick)"
            " WHERE answer != 'unsure'"
            " AND threshold <= ? AND edge_ang <= ? AND min_distance_ang <= ?",
            *(run, pick_filter.threshold, pick_filter.edge_ang, pick_filter.min_distance_ang),
        )
        return [(row["pick"], row["answer"] == "yes") for row in rows]
