"""Labels and regions of a project, changed by small operations that are all kept.

An operation comes with a name of its own, its `cid`; one that comes twice is done once. The
journal holds them in order, so that the labels can be made again from it.

- `Marks`: apply operations, and what they led to.
- `Operation` and its kinds: what may be asked for.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cryopick.errors import InputError
from cryopick.picks import Picks, concatenate
from cryopick.regions import Regions
from cryopick.web.project.database import Store, now
from cryopick.web.project.journal_file import OpsFile

__all__ = ["Add", "Delete", "Kind", "Marks", "Move", "Operation", "Region", "Unregion"]

Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Pixel = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
LabelKind = Literal["pos", "neg", "unsure"]
Source = Literal["hand", "correct", "import", "review"]


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    cid: Name


class Add(_Strict):
    """A label at (x, y), in raw pixels."""

    op: Literal["add"]
    id: Name
    mid: int
    x: Pixel
    y: Pixel
    kind: LabelKind = "pos"
    source: Source = "hand"
    run: str | None = Field(None, max_length=64)
    score: Pixel | None = None


class Move(_Strict):
    """A label elsewhere."""

    op: Literal["move"]
    id: Name
    x: Pixel
    y: Pixel


class Kind(_Strict):
    """A label of another kind."""

    op: Literal["kind"]
    id: Name
    kind: LabelKind


class Delete(_Strict):
    """No label any more."""

    op: Literal["delete"]
    id: Name


class Region(_Strict):
    """An outlined region to leave out."""

    op: Literal["region"]
    id: Name
    mid: int
    kind: Literal["exclude"] = "exclude"
    points: Annotated[list[tuple[Pixel, Pixel]], Field(min_length=3, max_length=2000)]

    @field_validator("points")
    @classmethod
    def _has_an_inside(cls, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        if len(set(points)) < 3:
            raise ValueError("an outline needs three different corners")
        return points


class Unregion(_Strict):
    """The region is gone."""

    op: Literal["unregion"]
    id: Name


Operation = Annotated[Add | Move | Kind | Delete | Region | Unregion, Field(discriminator="op")]


class Marks:
    """Labels and regions of a project."""

    def __init__(self, store: Store, file: OpsFile) -> None:
        self._store, self._file = store, file

    def apply(self, operations: Sequence[Any], author: str) -> list[dict[str, Any]]:
        """Do what was not done before; all of it or nothing.

        Returns:
            The operations that were new, each with its place in the journal as `seq`.

        Raises:
            InputError: An operation is on a micrograph that is not there.
        """
        done = []
        with self._store.write() as db:
            for operation in operations:
                body = operation.model_dump()
                known = db.execute("SELECT 1 FROM op WHERE cid = ?", (operation.cid,)).fetchone()
                if known:
                    continue
                self.do(db, operation, author)
                line = json.dumps(body, allow_nan=False)
                cursor = db.execute(
                    "INSERT INTO op (cid, author, t, body) VALUES (?, ?, ?, ?)",
                    (operation.cid, author, now(), line),
                )
                done.append({**body, "seq": cursor.lastrowid, "author": author})
        self._file.follow()
        return done

    @staticmethod
    def do(db: Any, what: Any, author: str) -> None:  # noqa: ANN401  # any kind of operation
        """Bring about what an operation says, within a transaction."""
        match what:
            case Add():
                _require(db, what.mid)
                values = (what.id, what.mid, what.x, what.y, what.kind, what.source, author)
                db.execute(
                    "INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, what.run, what.score, now()),
                )
                db.execute(
                    "UPDATE micrograph SET state = 'doing' WHERE id = ? AND state = 'todo'",
                    (what.mid,),
                )
            case Move():
                db.execute("UPDATE label SET x = ?, y = ? WHERE id = ?", (what.x, what.y, what.id))
            case Kind():
                db.execute("UPDATE label SET kind = ? WHERE id = ?", (what.kind, what.id))
            case Delete():
                db.execute("DELETE FROM label WHERE id = ?", (what.id,))
            case Region():
                _require(db, what.mid)
                points = json.dumps(what.points)
                db.execute(
                    "INSERT OR REPLACE INTO region VALUES (?, ?, ?, ?, ?, ?)",
                    (what.id, what.mid, what.kind, points, author, now()),
                )
            case Unregion():
                db.execute("DELETE FROM region WHERE id = ?", (what.id,))

    def on(self, mid: int) -> dict[str, Any]:
        """Labels and regions of a micrograph."""
        labels = self._store.rows(
            "SELECT id, x, y, kind, source FROM label WHERE mid = ? ORDER BY rowid", mid
        )
        regions = self._store.rows(
            "SELECT id, kind, points FROM region WHERE mid = ? ORDER BY rowid", mid
        )
        return {
            "labels": labels,
            "regions": [{**row, "points": json.loads(row["points"])} for row in regions],
        }

    def since(self, seq: int) -> list[dict[str, Any]]:
        """The journal from after a place on."""
        rows = self._store.rows("SELECT * FROM op WHERE seq > ? ORDER BY seq LIMIT 5000", seq)
        return [
            {**json.loads(row["body"]), "seq": row["seq"], "author": row["author"]} for row in rows
        ]

    @property
    def seq(self) -> int:
        """The end of the journal."""
        return self._store.number("SELECT coalesce(max(seq), 0) FROM op")

    def count(self, kind: str = "pos") -> int:
        """How many labels there are."""
        return self._store.number("SELECT count(*) FROM label WHERE kind = ?", kind)

    def table(self, kind: str = "pos") -> Picks:
        """The labels of a kind as a table; micrographs are named by their paths."""
        rows = self._store.rows(
            "SELECT m.path, l.x, l.y FROM label l JOIN micrograph m ON m.id = l.mid"
            " WHERE l.kind = ? ORDER BY m.id, l.rowid",
            kind,
        )
        by_path: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            by_path.setdefault(row["path"], []).append((row["x"], row["y"]))
        return concatenate(
            [Picks.on(path, np.array(xy, np.float64)) for path, xy in by_path.items()]
        )

    def regions(self) -> Regions:
        """The regions to leave out, on micrographs named by their paths."""
        rows = self._store.rows(
            "SELECT m.path, r.points FROM region r JOIN micrograph m ON m.id = r.mid"
            " WHERE r.kind = 'exclude' ORDER BY m.id, r.rowid"
        )
        found: dict[str, tuple[np.ndarray, ...]] = {}
        for row in rows:
            corners = np.array(json.loads(row["points"]), np.float64)
            found[row["path"]] = (*found.get(row["path"], ()), corners)
        return Regions(found)

    def complete(self) -> list[str]:
        """Micrographs on which every particle is labelled, by path."""
        rows = self._store.rows("SELECT path FROM micrograph WHERE state = 'all' ORDER BY id")
        return [row["path"] for row in rows]


def _require(db: Any, mid: int) -> None:  # noqa: ANN401  # sqlite3's connection
    if not -(2**63) <= mid < 2**63:
        raise InputError("there is no such micrograph")
    if not db.execute("SELECT 1 FROM micrograph WHERE id = ?", (mid,)).fetchone():
        raise InputError("there is no such micrograph")
