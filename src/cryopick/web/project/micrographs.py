"""The micrographs of a project: which there are, and the list that the page shows.

- `Micrographs`: add, list, one, change.
- `Wanted`: which part of the list.
- `look`: what a micrograph's header tells. `pixel_size`: whether that can be believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, InputError
from cryopick.io.images.micrograph import describe_micrograph
from cryopick.io.inputs import micrograph_paths
from cryopick.web.project.database import Store

__all__ = ["Micrographs", "Wanted", "look", "pixel_size"]

_ORDER = {
    "name": "m.name, m.id",
    "labels": "pos DESC, m.name, m.id",
    "picks": "picks DESC, m.name, m.id",
    "picks-least": "picks IS NULL, picks, m.name, m.id",
    "score": "best DESC, m.name, m.id",
    "suggested": "s.place IS NULL, s.place, m.name, m.id",
}
_ROWS = """
SELECT m.*, p.n AS picks, p.best AS best, s.place AS suggested,
    (SELECT count(*) FROM label l WHERE l.mid = m.id AND l.kind = 'pos') AS pos,
    (SELECT count(*) FROM label l WHERE l.mid = m.id AND l.kind = 'neg') AS neg
FROM micrograph m LEFT JOIN pick_count p ON p.mid = m.id AND p.run = ?
LEFT JOIN suggested s ON s.mid = m.id
"""


@dataclass(frozen=True)
class Wanted:
    """A part of the list.

    Attributes:
        offset: The first row.
        limit: How many.
        sort: By what: name, labels, picks, picks-least, score or suggested.
        text: Part of the name.
        state: todo, doing, all, skip, or problem; empty for all.
        run: The run whose picks are counted.
    """

    offset: int = 0
    limit: int = 100
    sort: str = "name"
    text: str = ""
    state: str = ""
    run: str = ""


class Micrographs:
    """The micrographs of a project."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Add what the user means by files, patterns, folders or lists; what is there stays.

        Raises:
            InputError: A name leads to no file.
        """
        paths = [path.resolve() for path in micrograph_paths(arguments)]
        known = {row["path"] for row in self._store.rows("SELECT path FROM micrograph")}
        fresh = [path for path in paths if str(path) not in known]
        rows = [(str(path), path.name, *look(path)) for path in fresh]
        with self._store.write() as db:
            db.executemany(
                "INSERT INTO micrograph (path, name, width_px, height_px, pixel_size_ang, problem)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        bad = sum(row[-1] is not None for row in rows)
        says = f"{len(fresh)} of {len(paths)} micrographs are new"
        return {"added": len(fresh), "says": f"{says}; {bad} cannot be used" if bad else says}

    def listed(self, wanted: Wanted) -> dict[str, Any]:
        """A part of the list, and how long all of it is."""
        conditions, values = ["1"], []
        if wanted.text:
            conditions.append("instr(lower(m.name), lower(?)) > 0")
            values.append(wanted.text)
        if wanted.state == "problem":
            conditions.append("m.problem IS NOT NULL")
        elif wanted.state:
            conditions.append("m.state = ? AND m.problem IS NULL")
            values.append(wanted.state)
        where = " AND ".join(conditions)
        total = self._store.number(f"SELECT count(*) FROM micrograph m WHERE {where}", *values)
        rows = self._store.rows(
            f"{_ROWS} WHERE {where} ORDER BY {_ORDER[wanted.sort]} LIMIT ? OFFSET ?",
            *(wanted.run, *values, wanted.limit, wanted.offset),
        )
        return {"total": total, "rows": [self._shown(row) for row in rows]}

    def one(self, mid: int, run: str = "") -> dict[str, Any]:
        """A micrograph as in the list.

        Raises:
            InputError: There is none of that number.
        """
        found = self._store.row(f"{_ROWS} WHERE m.id = ?", run, mid)
        if found is None:
            raise InputError("there is no such micrograph")
        return self._shown(found)

    def change(self, mid: int, *, state: str | None, note: str | None) -> dict[str, Any]:
        """Set what is known of a micrograph."""
        self.one(mid)
        with self._store.write() as db:
            if state is not None:
                db.execute("UPDATE micrograph SET state = ? WHERE id = ?", (state, mid))
            if note is not None:
                db.execute("UPDATE micrograph SET note = ? WHERE id = ?", (note, mid))
        return self.one(mid)

    def path(self, mid: int) -> Path:
        """The file of a micrograph."""
        return Path(self.one(mid)["path"])

    def usable(self) -> dict[int, Path]:
        """Those that can be trained and picked on: not skipped, without a problem."""
        rows = self._store.rows(
            "SELECT id, path FROM micrograph WHERE problem IS NULL AND state != 'skip' ORDER BY id"
        )
        return {row["id"]: Path(row["path"]) for row in rows}

    def pixel_size_sources(self) -> set[str]:
        """Where the pixel sizes of the usable ones are from, as `pixel_size` tells it."""
        rows = self._store.rows(
            "SELECT DISTINCT pixel_size_ang FROM micrograph"
            " WHERE problem IS NULL AND state != 'skip'"
        )
        stated = self.stated_pixel_size_ang
        return {pixel_size(stated, row["pixel_size_ang"])["pixel_size_source"] for row in rows}

    @property
    def stated_pixel_size_ang(self) -> float | None:
        """The pixel size that the user gave for all of them."""
        stated = self._store.meta("pixel_size_ang")
        return float(stated) if stated else None

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **pixel_size(self.stated_pixel_size_ang, row["pixel_size_ang"])}


def pixel_size(stated_ang: float | None, file_ang: float | None) -> dict[str, Any]:
    """The pixel size to use and where it is from: given, file, doubtful or unknown.

    Many programs write 1 Å where they do not know: that is taken only when the user confirms it.
    """
    source = "given" if stated_ang else "file" if file_ang else "unknown"
    if source == "file" and file_ang == 1.0:
        source = "doubtful"
    return {"pixel_size_ang": stated_ang or file_ang, "pixel_size_source": source}


def look(path: Path) -> tuple[int | None, int | None, float | None, str | None]:
    """Tell width, height, pixel size and what is wrong, as the header has it."""
    try:
        info = describe_micrograph(path, with_pixels=False)
    except CryopickError as error:
        return None, None, None, str(error).removeprefix(f"{path}: ")
    if not info.usable or len(info.shape) != 2:
        last = info.findings[-1] if info.findings else "is no micrograph"
        return None, None, None, last.removeprefix(f"{path}: ")
    height, width = info.shape
    return width, height, info.pixel_size_ang, None
