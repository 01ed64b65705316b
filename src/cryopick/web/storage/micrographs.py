"""Micrographs of a project, and the list of them that the page shows.

- `ProjectMicrographs`: adds, lists and changes them.
- `MicrographQuery`: sorted and filtered part of the list.
- `choose_pixel_size`: the pixel size to use, and its source.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError, InputError, NotFoundError
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables.micrograph_values import MICROGRAPH_VALUES, read_micrograph_values
from cryopick.runs.listed_path import ListedPath, listed_pixel_size
from cryopick.web.storage.database import ProjectDatabase
from cryopick.web.storage.file_names import escape_name, find_name_problem, stored_path
from cryopick.web.storage.header_reading import HeaderReader

__all__ = [
    "MicrographQuery",
    "ProjectMicrographs",
    "ValueRange",
    "choose_pixel_size",
    "parse_ranges",
]

_READ_AT_ONCE_S = 0.5  # headers of added micrographs; the others are read in the background

_ORDER = {
    "name": "m.name, m.id",
    "labels": "pos DESC, m.name, m.id",
    "picks": "picks DESC, m.name, m.id",
    "picks-least": "picks IS NULL, picks, m.name, m.id",
    "score": "best DESC, m.name, m.id",
    "suggested": "s.place IS NULL, s.place, m.name, m.id",
}
_ORDER |= {
    name: f"(SELECT value FROM listed_value v WHERE v.mid = m.id AND v.name = '{name}')"
    " IS NULL, (SELECT value FROM listed_value v WHERE v.mid = m.id"
    f" AND v.name = '{name}'), m.name, m.id"
    for name in MICROGRAPH_VALUES
}
_ROWS = """
SELECT m.*, p.n AS picks, p.best AS best, s.place AS suggested, d.verdict AS verdict,
    (SELECT count(*) FROM label l WHERE l.mid = m.id AND l.kind = 'pos') AS pos,
    (SELECT count(*) FROM label l WHERE l.mid = m.id AND l.kind = 'neg') AS neg
FROM micrograph m LEFT JOIN pick_count p ON p.mid = m.id AND p.run = ?
LEFT JOIN suggested s ON s.mid = m.id
LEFT JOIN micrograph_verdict d ON d.mid = m.id AND d.run = p.run
"""


@dataclass(frozen=True)
class ValueRange:
    """Range of a value that a list states; None for no limit."""

    name: str
    low: float | None = None
    high: float | None = None


def parse_ranges(text: str) -> tuple[ValueRange, ...]:
    """Parse "name:low:high,…", where a limit may be empty.

    >>> parse_ranges("defocus_um:0.5:")
    (ValueRange(name='defocus_um', low=0.5, high=None),)

    Raises:
        InputError: The text has another form.
    """
    ranges = []
    for part in filter(None, text.split(",")):
        name, *limits = part.split(":")
        try:
            low, high = (float(limit) if limit else None for limit in limits)
        except ValueError:
            raise InputError(f"{part[:40]!r} is not a range such as defocus_um:0.5:3") from None
        ranges.append(ValueRange(name, low, high))
    return tuple(ranges)


@dataclass(frozen=True)
class MicrographQuery:
    """A sorted and filtered part of the list.

    Attributes:
        offset: Number of rows to skip.
        limit: Maximum number of rows.
        sort: Sort order: name, labels, picks, picks-least, score, suggested, or the name of a
            value.
        text: Part of the name.
        state: todo, doing, all, skip, or problem; empty for all.
        run: Run whose picks are counted.
        ranges: Ranges of values that lists state; micrographs without a value are excluded.
        verdict: Verdict of the run on the micrograph; empty for all.
    """

    offset: int = 0
    limit: int = 100
    sort: str = "name"
    text: str = ""
    state: str = ""
    run: str = ""
    ranges: tuple[ValueRange, ...] = ()
    verdict: str = ""


class ProjectMicrographs:
    """The micrographs of a project."""

    def __init__(self, database: ProjectDatabase, headers: HeaderReader) -> None:
        self._database, self._headers = database, headers

    def add(
        self, arguments: Sequence[str], is_allowed: Callable[[Path], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Add micrographs given as files, patterns, folders or lists; skip those already added.

        Pixel sizes and values that lists state are stored for those already added, too.

        Returns:
            Number of added micrographs, and a summary for people.

        Raises:
            InputError: A file does not exist.
        """
        candidates = find_micrographs(arguments)
        paths = [path for path in candidates if is_allowed(path)]
        present = {row["path"] for row in self._database.rows("SELECT path FROM micrograph")}
        new = [path for path in paths if stored_path(path) not in present]
        rows = [
            (
                *(stored_path(path), escape_name(path.name)),
                *(listed_pixel_size(path), find_name_problem(path)),
            )
            for path in new
        ]
        with self._database.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO micrograph (path, name, listed_pixel_size_ang, problem)"
                " VALUES (?, ?, ?, ?)",
                rows,
            )
            sizes = [(listed_pixel_size(path), stored_path(path)) for path in paths]
            db.executemany(
                "UPDATE micrograph SET listed_pixel_size_ang = ?1, pixel_size_ang = ?1"
                " WHERE path = ?2 AND ?1 IS NOT NULL",
                sizes,
            )
            self._store_values(db, paths)
        self._headers.read_for(_READ_AT_ONCE_S)
        self._headers.start()
        unread = self._headers.count_unread()
        message = f"added {len(new)} of {len(paths)} micrographs"
        if len(new) < len(paths):
            message += f"; {len(paths) - len(new)} were already in the project"
        if len(paths) < len(candidates):
            message += (
                f"; {len(candidates) - len(paths)} outside the folders of this server were skipped"
            )
        unusable = self._count_problems({str(row[0]) for row in rows})
        if unusable:
            message += f"; {unusable} cannot be used"
        if unread:
            message += f"; the sizes of {unread} are still being read"
        return {"added": len(new), "message": message}

    def _count_problems(self, paths: set[str]) -> int:
        rows = self._database.rows("SELECT path FROM micrograph WHERE problem IS NOT NULL")
        return sum(row["path"] in paths for row in rows)

    @staticmethod
    def _store_values(db: Any, paths: Sequence[Path]) -> None:  # noqa: ANN401  # sqlite3's connection
        """Store the CTF fit, defocus, ice and motion that lists state."""
        listed_paths = [path for path in paths if isinstance(path, ListedPath) and path.source]
        values_by_list: dict[Path, dict[str, dict[str, float]]] = {}
        for source in {path.source for path in listed_paths if path.source}:
            values_by_list[source] = {}
            with suppress(CryopickError):  # the list names micrographs, but its values are damaged
                values_by_list[source] = read_micrograph_values(source)
        for path in listed_paths:
            assert path.source is not None
            values = values_by_list[path.source].get(path.listed_name, {})
            db.executemany(
                "INSERT OR REPLACE INTO listed_value (mid, name, value)"
                " SELECT id, ?, ? FROM micrograph WHERE path = ?",
                [(name, value, stored_path(path)) for name, value in values.items()],
            )

    def value_ranges(self) -> list[dict[str, Any]]:
        """Return name, unit, minimum and maximum of each value that lists state."""
        rows = self._database.rows(
            "SELECT name, min(value) AS low, max(value) AS high FROM listed_value GROUP BY name"
        )
        row_by_name = {row["name"]: row for row in rows}
        return [
            {**row_by_name[name], "title": title, "unit": unit}
            for name, (title, unit) in MICROGRAPH_VALUES.items()
            if name in row_by_name
        ]

    def list_rows(self, query: MicrographQuery) -> dict[str, Any]:
        """Return the rows of a query, and the total number of matching micrographs."""
        conditions: list[str] = ["1"]
        values: list[str | float] = []
        if query.text:
            conditions.append("instr(lower(m.name), lower(?)) > 0")
            values.append(query.text)
        if query.state == "problem":
            conditions.append("m.problem IS NOT NULL")
        elif query.state:
            conditions.append("m.state = ? AND m.problem IS NULL")
            values.append(query.state)
        for value in query.ranges:
            conditions.append(
                "EXISTS (SELECT 1 FROM listed_value v WHERE v.mid = m.id AND v.name = ?"
                " AND v.value >= ? AND v.value <= ?)"
            )
            low = -math.inf if value.low is None else value.low
            values += [value.name, low, math.inf if value.high is None else value.high]
        if query.verdict:
            conditions.append(
                "EXISTS (SELECT 1 FROM micrograph_verdict d WHERE d.mid = m.id AND d.run = ?"
                " AND d.verdict = ?)"
            )
            values += [query.run, query.verdict]
        where = " AND ".join(conditions)
        total = self._database.number(f"SELECT count(*) FROM micrograph m WHERE {where}", *values)
        if query.sort not in _ORDER:
            raise InputError(f"the list cannot be sorted by {query.sort[:40]!r}")
        rows = self._database.rows(
            f"{_ROWS} WHERE {where} ORDER BY {_ORDER[query.sort]} LIMIT ? OFFSET ?",
            *(query.run, *values, query.limit, query.offset),
        )
        return {"total": total, "rows": [self._complete(row) for row in rows]}

    def find(self, mid: int, run: str = "") -> dict[str, Any]:
        """Return the row of a micrograph.

        Raises:
            NotFoundError: The micrograph does not exist.
        """
        row = self._database.row(f"{_ROWS} WHERE m.id = ?", run, mid)
        if row is None:
            raise NotFoundError(f"there is no micrograph with number {mid}")
        if row["width_px"] is None and row["problem"] is None:
            row |= self._headers.read_one(mid, Path(row["path"]))
        return self._complete(row)

    def change(self, mid: int, *, state: str | None, note: str | None) -> dict[str, Any]:
        """Set the state and the note of a micrograph; None leaves a value unchanged."""
        self.find(mid)
        with self._database.write() as db:
            if state is not None:
                db.execute("UPDATE micrograph SET state = ? WHERE id = ?", (state, mid))
            if note is not None:
                db.execute("UPDATE micrograph SET note = ? WHERE id = ?", (note, mid))
        return self.find(mid)

    def numbers_of(self, paths: Sequence[str]) -> list[int]:
        """Return the numbers of the micrographs with some paths."""
        path_set = frozenset(paths)
        rows = self._database.rows("SELECT id, path FROM micrograph")
        return [row["id"] for row in rows if row["path"] in path_set]

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
            "SELECT DISTINCT pixel_size_ang, listed_pixel_size_ang FROM micrograph"
            " WHERE problem IS NULL AND state != 'skip'"
        )
        return {
            choose_pixel_size(
                self.given_pixel_size_ang,
                row["pixel_size_ang"] or row["listed_pixel_size_ang"],
                is_listed=row["listed_pixel_size_ang"] is not None,
            )["pixel_size_source"]
            for row in rows
        }

    def listed_sizes_ang(self) -> dict[Path, float]:
        """Return the pixel sizes to state to other programs; empty if no list stated any."""
        rows = self._database.rows(
            "SELECT path, pixel_size_ang, listed_pixel_size_ang FROM micrograph"
        )
        if self.given_pixel_size_ang or not any(row["listed_pixel_size_ang"] for row in rows):
            return {}
        sizes = {Path(row["path"]): row["pixel_size_ang"] for row in rows}
        return {path: size_ang for path, size_ang in sizes.items() if size_ang}

    def finish_reading(self) -> None:
        """Read the headers that are still unread."""
        self._headers.finish()

    @property
    def given_pixel_size_ang(self) -> float | None:
        """Pixel size that the user entered for all micrographs."""
        text = self._database.meta("pixel_size_ang")
        return float(text) if text else None

    def _complete(self, row: dict[str, Any]) -> dict[str, Any]:
        """Add the pixel size to use, its source, and the values that lists state."""
        values = self._database.rows(
            "SELECT name, value FROM listed_value WHERE mid = ?", row["id"]
        )
        size = choose_pixel_size(
            self.given_pixel_size_ang,
            row["pixel_size_ang"] or row["listed_pixel_size_ang"],
            is_listed=row["listed_pixel_size_ang"] is not None,
        )
        return {**row, **size, "values": {value["name"]: value["value"] for value in values}}


def choose_pixel_size(
    given_ang: float | None, file_ang: float | None, *, is_listed: bool = False
) -> dict[str, Any]:
    """Choose the pixel size to use; its source is given, list, file, doubtful or unknown.

    Many programs write 1 Å if they do not know the pixel size, so that value is doubtful until the
    user confirms it.

    Args:
        given_ang: Entered by the user.
        file_ang: From the list of the micrographs or from their files.
        is_listed: It is from the list.
    """
    source = "given" if given_ang else "list" if is_listed else "file" if file_ang else "unknown"
    if source == "file" and file_ang == 1.0:
        source = "doubtful"
    return {"pixel_size_ang": given_ang or file_ang, "pixel_size_source": source}
