"""Labels and exclusion regions of a project, and the journal of all edits.

Every edit is an operation with a unique name, its `cid`; an operation that is sent twice is
applied once. The journal stores the operations in order, so that all annotations can be restored
from it.

- `Annotations`: applies operations, and lists the annotations.
- `Operation` and its kinds: the edits.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cryopick.errors import InputError, NotFoundError
from cryopick.picks import Picks, concatenate
from cryopick.regions import Regions
from cryopick.web.storage.database import ProjectDatabase, current_time
from cryopick.web.storage.journal_file import JournalFile

__all__ = [
    "AddLabel",
    "AddRegion",
    "Annotations",
    "DeleteLabel",
    "DeleteRegion",
    "MoveLabel",
    "Operation",
    "RemoveBatch",
    "RestoreBatch",
    "SetLabelKind",
]

Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Pixel = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
LabelKind = Literal["pos", "neg", "unsure"]
Source = Literal["hand", "correct", "import", "review"]


class _OperationBase(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    cid: Name


class AddLabel(_OperationBase):
    """Add a label at (x, y), in pixels of the raw micrograph."""

    op: Literal["add"]
    id: Name
    mid: int
    x: Pixel
    y: Pixel
    kind: LabelKind = "pos"
    source: Source = "hand"
    run: str | None = Field(None, max_length=64)
    score: Pixel | None = None
    batch: Name | None = None  # import that the label belongs to


class MoveLabel(_OperationBase):
    """Move a label to (x, y)."""

    op: Literal["move"]
    id: Name
    x: Pixel
    y: Pixel


class SetLabelKind(_OperationBase):
    """Change a label to positive, negative or uncertain."""

    op: Literal["kind"]
    id: Name
    kind: LabelKind


class DeleteLabel(_OperationBase):
    """Delete a label."""

    op: Literal["delete"]
    id: Name


class RemoveBatch(_OperationBase):
    """Remove all labels of an import, as they are now."""

    op: Literal["unbatch"]
    id: Name


class RestoreBatch(_OperationBase):
    """Restore the labels of an import as they were when it was removed."""

    op: Literal["rebatch"]
    id: Name


class AddRegion(_OperationBase):
    """Add an exclusion region."""

    op: Literal["region"]
    id: Name
    mid: int
    kind: Literal["exclude"] = "exclude"
    points: Annotated[list[tuple[Pixel, Pixel]], Field(min_length=3, max_length=2000)]

    @field_validator("points")
    @classmethod
    def _require_three_corners(cls, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        if len(set(points)) < 3:
            raise ValueError("a region needs three different corners")
        return points


class DeleteRegion(_OperationBase):
    """Delete an exclusion region."""

    op: Literal["unregion"]
    id: Name


Operation = Annotated[
    AddLabel
    | MoveLabel
    | SetLabelKind
    | DeleteLabel
    | RemoveBatch
    | RestoreBatch
    | AddRegion
    | DeleteRegion,
    Field(discriminator="op"),
]


class Annotations:
    """Labels and exclusion regions of a project."""

    def __init__(self, database: ProjectDatabase, journal_file: JournalFile) -> None:
        self._database, self._journal_file = database, journal_file
        self._listeners: list[Callable[[frozenset[int]], None]] = []

    def on_change(self, listener: Callable[[frozenset[int]], None]) -> None:
        """Call a function with the numbers of micrographs whose annotations have changed."""
        self._listeners.append(listener)

    def apply(self, operations: Sequence[Any], author: str) -> list[dict[str, Any]]:
        """Apply the operations that are new, in one transaction.

        Returns:
            The new operations, each with its number in the journal as `seq`.

        Raises:
            NotFoundError: An operation refers to a micrograph that does not exist.
        """
        applied = []
        changed_mids: set[int] = set()
        with self._database.write() as db:
            for operation in operations:
                body = operation.model_dump(exclude_none=True)
                if db.execute("SELECT 1 FROM op WHERE cid = ?", (operation.cid,)).fetchone():
                    continue
                changed_mids |= _find_changed(db, operation)
                self.apply_one(db, operation, author)
                line = json.dumps(body, allow_nan=False)
                cursor = db.execute(
                    "INSERT INTO op (cid, author, t, body) VALUES (?, ?, ?, ?)",
                    (operation.cid, author, current_time(), line),
                )
                applied.append({**body, "seq": cursor.lastrowid, "author": author})
        self._journal_file.append_new()
        if changed_mids:
            for listener in self._listeners:
                listener(frozenset(changed_mids))
        return applied

    @staticmethod
    def apply_one(db: Any, operation: Any, author: str) -> None:  # noqa: ANN401  # any operation
        """Apply one operation within a transaction."""
        match operation:
            case AddLabel() as label:
                _require_inside(db, label.mid, label.x, label.y)
                values = (label.id, label.mid, label.x, label.y, label.kind, label.source, author)
                db.execute(
                    "INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, label.run, label.score, current_time(), label.batch),
                )
                db.execute(
                    "UPDATE micrograph SET state = 'doing' WHERE id = ? AND state = 'todo'",
                    (label.mid,),
                )
            case MoveLabel(id=name, x=x, y=y):
                row = db.execute("SELECT mid FROM label WHERE id = ?", (name,)).fetchone()
                if row is not None:
                    _require_inside(db, row[0], x, y)
                db.execute("UPDATE label SET x = ?, y = ? WHERE id = ?", (x, y, name))
            case SetLabelKind(id=name, kind=kind):
                db.execute("UPDATE label SET kind = ? WHERE id = ?", (kind, name))
            case DeleteLabel(id=name):
                db.execute("DELETE FROM label WHERE id = ?", (name,))
            case RemoveBatch(id=name):
                _move_batch(db, name, "label", "removed_label")
            case RestoreBatch(id=name):
                _move_batch(db, name, "removed_label", "label")
            case AddRegion() as region:
                _require_micrograph(db, region.mid)
                points = json.dumps(region.points)
                db.execute(
                    "INSERT OR REPLACE INTO region VALUES (?, ?, ?, ?, ?, ?)",
                    (region.id, region.mid, region.kind, points, author, current_time()),
                )
            case DeleteRegion(id=name):
                db.execute("DELETE FROM region WHERE id = ?", (name,))

    def list_on(self, mid: int) -> dict[str, Any]:
        """List the labels and regions of a micrograph."""
        labels = self._database.rows(
            "SELECT id, x, y, kind, source, author, batch FROM label WHERE mid = ? ORDER BY rowid",
            mid,
        )
        regions = self._database.rows(
            "SELECT id, kind, points FROM region WHERE mid = ? ORDER BY rowid", mid
        )
        return {
            "labels": labels,
            "regions": [{**row, "points": json.loads(row["points"])} for row in regions],
        }

    def list_since(self, seq: int) -> list[dict[str, Any]]:
        """List the operations after a number in the journal, at most 5000."""
        rows = self._database.rows("SELECT * FROM op WHERE seq > ? ORDER BY seq LIMIT 5000", seq)
        return [
            {**json.loads(row["body"]), "seq": row["seq"], "author": row["author"]} for row in rows
        ]

    @property
    def seq(self) -> int:
        """Number of the last operation in the journal."""
        return self._database.number("SELECT coalesce(max(seq), 0) FROM op")

    def count(self, kind: str = "pos") -> int:
        """Count the labels of one kind."""
        return self._database.number("SELECT count(*) FROM label WHERE kind = ?", kind)

    def table(self, kind: str = "pos") -> Picks:
        """Return the labels of one kind; micrographs are named by their paths."""
        rows = self._database.rows(
            "SELECT m.path, l.x, l.y FROM label l JOIN micrograph m ON m.id = l.mid"
            " WHERE l.kind = ? ORDER BY m.id, l.rowid",
            kind,
        )
        by_path: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            by_path.setdefault(row["path"], []).append((row["x"], row["y"]))
        return concatenate(
            [Picks.for_micrograph(path, np.array(xy, np.float64)) for path, xy in by_path.items()]
        )

    def regions(self) -> Regions:
        """Return the exclusion regions; micrographs are named by their paths."""
        rows = self._database.rows(
            "SELECT m.path, r.points FROM region r JOIN micrograph m ON m.id = r.mid"
            " WHERE r.kind = 'exclude' ORDER BY m.id, r.rowid"
        )
        polygons: dict[str, tuple[np.ndarray, ...]] = {}
        for row in rows:
            corners = np.array(json.loads(row["points"]), np.float64)
            polygons[row["path"]] = (*polygons.get(row["path"], ()), corners)
        return Regions(polygons)

    def fully_labelled(self) -> list[str]:
        """List the micrographs on which every particle is labelled, by path."""
        rows = self._database.rows("SELECT path FROM micrograph WHERE state = 'all' ORDER BY id")
        return [row["path"] for row in rows]


def _find_changed(db: Any, operation: Any) -> set[int]:  # noqa: ANN401
    """Return the numbers of the micrographs whose annotations an operation changes."""
    if isinstance(operation, AddLabel | AddRegion):
        return {operation.mid}
    if isinstance(operation, RemoveBatch | RestoreBatch):
        table = "label" if isinstance(operation, RemoveBatch) else "removed_label"
        query = f"SELECT DISTINCT mid FROM {table} WHERE batch = ?"
    else:
        table = "region" if isinstance(operation, DeleteRegion) else "label"
        query = f"SELECT mid FROM {table} WHERE id = ?"
    return {row[0] for row in db.execute(query, (operation.id,))}


_COLUMNS = "id, mid, x, y, kind, source, author, run, score, t, batch"


def _move_batch(db: Any, batch: str, source: str, target: str) -> None:  # noqa: ANN401
    """Move the labels of an import between the table of labels and that of removed labels."""
    db.execute(
        f"INSERT OR REPLACE INTO {target} ({_COLUMNS})"
        f" SELECT {_COLUMNS} FROM {source} WHERE batch = ? ORDER BY rowid",
        (batch,),
    )
    db.execute(f"DELETE FROM {source} WHERE batch = ?", (batch,))


def _require_inside(db: Any, mid: int, x: float, y: float) -> None:  # noqa: ANN401
    """Check that a position is on a micrograph, whose pixel centres are at integers.

    Raises:
        NotFoundError: The micrograph does not exist.
        InputError: The position is outside. A file that cannot be read has no limits.
    """
    _require_micrograph(db, mid)
    query = "SELECT name, width_px, height_px FROM micrograph WHERE id = ?"
    name, width_px, height_px = db.execute(query, (mid,)).fetchone()
    if width_px is None:
        return
    if not (-0.5 <= x <= width_px - 0.5 and -0.5 <= y <= height_px - 0.5):
        raise InputError(
            f"{name}: ({x:g}, {y:g}) is outside the micrograph of {width_px} × {height_px} px"
        )


def _require_micrograph(db: Any, mid: int) -> None:  # noqa: ANN401  # sqlite3's connection
    fits_sqlite = -(2**63) <= mid < 2**63
    if not (fits_sqlite and db.execute("SELECT 1 FROM micrograph WHERE id = ?", (mid,)).fetchone()):
        raise NotFoundError(f"there is no micrograph with number {mid}")
