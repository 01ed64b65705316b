"""What people say of picks. Each speaks for themselves: nobody takes back what another said.

- `Verdicts`: keep them, and ask for them.
- `Verdict`: what is said of a pick.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.web.jobs.run_records import Runs
from cryopick.web.project.database import Store, now
from cryopick.web.project.run_picks import Cut

__all__ = ["Length", "NewCut", "Score", "Verdict", "Verdicts"]

Score = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Length = Annotated[float, Field(ge=0, le=1e5, allow_inf_nan=False)]


class NewCut(BaseModel):
    """What to keep of a run's picks."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    threshold: Score
    edge_ang: Length = 0.0
    min_distance_ang: Length = 0.0


class Verdict(BaseModel):
    """What a person says of a pick; "none" takes back what that person said."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    run: Annotated[str, Field(max_length=64)]
    pick: Annotated[int, Field(ge=0, le=2**62)]
    answer: Literal["yes", "no", "unsure", "none"]
    sample: Literal["uncertain", "disagree", "random"]
    drawn: NewCut | None = None  # what was kept when a random sample was drawn


class Verdicts:
    """Judgements of the picks of a project's runs."""

    def __init__(self, store: Store, runs: Runs) -> None:
        self._store, self._runs = store, runs

    def say(self, said: Sequence[Verdict], author: str) -> None:
        """Keep what a person says, in place of what they said before.

        Raises:
            InputError: There is no such pick.
        """
        for one in said:
            if one.pick >= len(self._runs.found(one.run).score):
                raise InputError("there is no such pick")
        with self._store.write() as db:
            for one in said:
                db.execute(
                    "DELETE FROM verdict WHERE run = ? AND pick = ? AND author = ?",
                    (one.run, one.pick, author),
                )
                if one.answer == "none":
                    continue
                drawn = one.drawn.model_dump().values() if one.drawn else (None, None, None)
                db.execute(
                    "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (one.run, one.pick, author, one.answer, one.sample, *drawn, now()),
                )

    def asked(self, run: str, kind: str) -> list[int]:
        """Picks that need not be asked for again, whoever was asked.

        A sample at random must not lack the uncertain ones, judged or not.
        """
        rows = self._store.rows(
            "SELECT DISTINCT pick FROM verdict"
            " WHERE run = ? AND (sample = 'random' OR ? != 'random')",
            *(run, kind),
        )
        return [row["pick"] for row in rows]

    def at_random(self, run: str, cut: Cut) -> list[tuple[int, bool]]:
        """Picks judged at random, and whether they are particles, by what was said last.

        A sample of what was kept when it was drawn is one of what is kept now only if it was
        drawn at these limits or looser ones: after lowering the threshold it says nothing.
        """
        rows = self._store.rows(
            "SELECT pick, answer FROM"
            " (SELECT *, max(rowid) FROM verdict WHERE run = ? AND sample = 'random' GROUP BY pick)"
            " WHERE answer != 'unsure'"
            " AND threshold <= ? AND edge_ang <= ? AND min_distance_ang <= ?",
            *(run, cut.threshold, cut.edge_ang, cut.min_distance_ang),
        )
        return [(row["pick"], row["answer"] == "yes") for row in rows]
