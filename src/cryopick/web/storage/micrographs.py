"""Micrographs of a project, and the list of them that the page shows.

- `ProjectMicrographs`: adds, lists and changes them.
- `MicrographQuery`: sorted and filtered part of the list.
- `read_micrograph_header`: size and pixel size of a file.
- `choose_pixel_size`: the pixel size to use, and its source.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, NotFoundError
from cryopick.io.images.micrograph import describe_micrograph
from cryopick.io.inputs import find_micrographs
from cryopick.web.storage.database import ProjectDatabase

__all__ = [
    "MicrographQuery",
    "ProjectMicrographs",
    "choose_pixel_size",
    "read_micrograph_header",
]

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
class MicrographQuery:
    """A sorted and filtered part of the list.

    Attributes:
        offset: Number of rows to skip.
        limit: Maximum number of rows.
        sort: Sort order: name, labels, picks, picks-least, score or suggested.
        text: Part of the name.
        state: todo, doing, all, skip, or problem; empty for all.
        run: Run whose picks are counted.
    """

    offset: int = 0
    limit: int = 100
    sort: str = "name"
    text: str = ""
    state: str = ""
    run: str = ""


class ProjectMicrographs:
    """The micrographs of a project."""

    def __init__(self, database: ProjectDatabase) -> None:
        self._database = database

    def add(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Add micrographs given as files, patterns, folders or lists; skip those already added.

        Returns:
            Number of added micrographs, and a summary for people.

        Raises:
            InputError: A file does not exist.
        """
        paths = [path.resolve() for path in find_micrographs(arguments)]
        present = {row["path"] for row in self._database.rows("SELECT path FROM micrograph")}
        new = [path for path in paths if str(path) not in present]
        rows = [(str(path), path.name, *read_micrograph_header(path)) for path in new]
        with self._database.write() as db:
            db.executemany(
                "INSERT INTO micrograph (path, name, width_px, height_px, pixel_size_ang, problem)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        unusable = sum(row[-1] is not None for row in rows)
        message = f"added {len(new)} of {len(paths)} micrographs"
        if len(new) < len(paths):
            message += f"; {len(paths) - len(new)} were already in the project"
        if unusable:
            message += f"; {unusable} cannot be used"
        return {"added": len(new), "message": message}

    def list_rows(self, query: MicrographQuery) -> dict[str, Any]:
        """Return the rows of a query, and the total number of matching micrographs."""
        conditions, values = ["1"], []
        if query.text:
            conditions.append("instr(lower(m.name), lower(?)) > 0")
            values.append(query.text)
        if query.state == "problem":
            conditions.append("m.problem IS NOT NULL")
        elif query.state:
            conditions.append("m.state = ? AND m.problem IS NULL")
            values.append(query.state)
        where = " AND ".join(conditions)
        total = self._database.number(f"SELECT count(*) FROM micrograph m WHERE {where}", *values)
        rows = self._database.rows(
            f"{_ROWS} WHERE {where} ORDER BY {_ORDER[query.sort]} LIMIT ? OFFSET ?",
            *(query.run, *values, query.limit, query.offset),
        )
        return {"total": total, "rows": [self._with_pixel_size(row) for row in rows]}

    def find(self, mid: int, run: str = "") -> dict[str, Any]:
        """Return the row of a micrograph.

        Raises:
            NotFoundError: The micrograph does not exist.
        """
        row = self._database.row(f"{_ROWS} WHERE m.id = ?", run, mid)
        if row is None:
            raise NotFoundError(f"there is no micrograph with number {mid}")
        return self._with_pixel_size(row)

    def change(self, mid: int, *, state: str | None, note: str | None) -> dict[str, Any]:
        """Set the state and the note of a micrograph; None leaves a value unchanged."""
        self.find(mid)
        with self._database.write() as db:
            if state is not None:
                db.execute("UPDATE micrograph SET state = ? WHERE id = ?", (state, mid))
            if note is not None:
                db.execute("UPDATE micrograph SET note = ? WHERE id = ?", (note, mid))
        return self.find(mid)

    def path(self, mid: int) -> Path:
        """Return the file of a micrograph."""
        return Path(self.find(mid)["path"])

    def usable(self) -> dict[int, Path]:
        """Return the micrographs for training and picking: not excluded, without a problem."""
        rows = self._database.rows(
            "SELECT id, path FROM micrograph WHERE problem IS NULL AND state != 'skip' ORDER BY id"
        )
        return {row["id"]: Path(row["path"]) for row in rows}

    def pixel_size_sources(self) -> set[str]:
        """Return the sources of the pixel sizes of usable micrographs; see `choose_pixel_size`."""
        rows = self._database.rows(
            "SELECT DISTINCT pixel_size_ang FROM micrograph"
            " WHERE problem IS NULL AND state != 'skip'"
        )
        given_ang = self.given_pixel_size_ang
        return {
            choose_pixel_size(given_ang, row["pixel_size_ang"])["pixel_size_source"] for row in rows
        }

    @property
    def given_pixel_size_ang(self) -> float | None:
        """Pixel size that the user entered for all micrographs."""
        text = self._database.meta("pixel_size_ang")
        return float(text) if text else None

    def _with_pixel_size(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **choose_pixel_size(self.given_pixel_size_ang, row["pixel_size_ang"])}


def choose_pixel_size(given_ang: float | None, file_ang: float | None) -> dict[str, Any]:
    """Choose the pixel size to use; its source is given, file, doubtful or unknown.

    Many programs write 1 Å if they do not know the pixel size, so that value is doubtful until the
    user confirms it.
    """
    source = "given" if given_ang else "file" if file_ang else "unknown"
    if source == "file" and file_ang == 1.0:
        source = "doubtful"
    return {"pixel_size_ang": given_ang or file_ang, "pixel_size_source": source}


def read_micrograph_header(
    path: Path,
) -> tuple[int | None, int | None, float | None, str | None]:
    """Read width, height, pixel size and problem, if any, from the header of a micrograph."""
    try:
        info = describe_micrograph(path, with_pixels=False)
    except CryopickError as error:
        return None, None, None, str(error).removeprefix(f"{path}: ")
    if not info.usable or len(info.shape) != 2:
        last = info.findings[-1] if info.findings else "is not a micrograph"
        return None, None, None, last.removeprefix(f"{path}: ")
    height, width = info.shape
    return width, height, info.pixel_size_ang, None
