"""A labelling project with everything that its routes need.

- `AnnotationProject`: the project's folder and the objects that read and change it.
"""

import glob
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from cryopick.errors import InputError
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables.formats import FORMATS
from cryopick.web.event_stream import EventStream
from cryopick.web.jobs.commands import RunPlanner
from cryopick.web.jobs.job_queue import JobQueue
from cryopick.web.project.pixel_size_check import find_pixel_size_doubt
from cryopick.web.storage.annotations import Annotations
from cryopick.web.storage.corrections import (
    DEFAULT_DIAMETER_ANG,
    MATCH_DIAMETERS,
    CorrectionIndex,
)
from cryopick.web.storage.database import DamagedDatabaseError, ProjectDatabase
from cryopick.web.storage.deleted_runs import list_deleted_runs
from cryopick.web.storage.header_reading import HeaderReader
from cryopick.web.storage.image_cache import ImageCache
from cryopick.web.storage.journal_file import JournalFile, count_damaged_lines, read_journal
from cryopick.web.storage.micrographs import ProjectMicrographs, choose_pixel_size
from cryopick.web.storage.restore import restore_annotations
from cryopick.web.storage.reviews import PickVerdicts
from cryopick.web.storage.run_records import ProjectRuns
from cryopick.web.storage.salvage import describe_salvage, salvage_tables

__all__ = ["DEFAULT_DIAMETER_ANG", "MATCH_DIAMETERS", "AnnotationProject"]

_BOX_DIAMETERS = 1.5
# Formats in the order of the page, by the program that reads them.
_FORMAT_NAMES = {
    "star": "RELION",
    "cs": "cryoSPARC",
    "tsv": "Topaz",
    "cbox": "crYOLO",
    "eman": "EMAN 2",
    "box": "EMAN 1 boxes",
    "csv": "CSV",
    "json": "JSON",
    "via": "VIA",
    "xy": "Plain coordinates",
}


@dataclass(frozen=True)
class AnnotationProject:
    """An open labelling project.

    Attributes:
        folder: Folder of the project.
        database: Its database.
        micrographs: Its micrographs.
        annotations: Labels and exclusion regions.
        runs: Training and picking runs, and their picks.
        corrections: Effects of labels and regions on the picks.
        verdicts: Verdicts of people on picks.
        planner: Creates runs.
        jobs: Starts and follows runs.
        images: Rendered images of micrographs.
        headers: Reads the headers of micrographs in the background.
        event_stream: Events for open pages.
        roots: Folders that micrographs may be added from; empty for all folders.
        read_only: The project cannot be changed.
        notes: Messages to the user from opening the project.
    """

    folder: Path
    database: ProjectDatabase
    micrographs: ProjectMicrographs
    annotations: Annotations
    runs: ProjectRuns
    corrections: CorrectionIndex
    verdicts: PickVerdicts
    planner: RunPlanner
    jobs: JobQueue
    images: ImageCache
    headers: HeaderReader
    event_stream: EventStream
    roots: tuple[Path, ...] = ()
    read_only: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls, folder: Path, *, read_only: bool = False, roots: tuple[Path, ...] = ()
    ) -> "AnnotationProject":
        """Open a project, or create it.

        If the database is missing or damaged, the annotations are restored from the journal file.

        Raises:
            InputError: The folder cannot be created, or is a file.
            FormatError: Its database is not a project of cryopick.
        """
        if not read_only:
            _create_folder(folder)
        folder = folder.resolve()
        event_stream = EventStream()
        journal = folder / "labels.ops.jsonl"
        database, damaged_path = _open_database(folder / "labels.db", journal, read_only=read_only)
        notes = [] if read_only else _initialize(database, journal, damaged_path)
        headers = HeaderReader(
            database, lambda: event_stream.send("micrographs", {}), enabled=not read_only
        )
        headers.start()
        micrographs = ProjectMicrographs(database, headers)
        annotations = Annotations(database, JournalFile(journal, database))
        runs = ProjectRuns(database, micrographs, folder / "runs")
        return cls(
            folder=folder,
            database=database,
            micrographs=micrographs,
            annotations=annotations,
            runs=runs,
            corrections=CorrectionIndex(database, micrographs, annotations, runs),
            verdicts=PickVerdicts(database, runs),
            planner=RunPlanner(runs, micrographs, annotations),
            jobs=JobQueue(runs, lambda run: event_stream.send("run", run), enabled=not read_only),
            images=ImageCache(),
            headers=headers,
            event_stream=event_stream,
            roots=tuple(root.resolve() for root in roots),
            read_only=read_only,
            notes=tuple(notes),
        )

    def add_micrographs(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Add micrographs, from the allowed folders only; others in a folder are skipped.

        Raises:
            InputError: A file does not exist, or all are outside the allowed folders.
        """
        if any("\0" in argument for argument in arguments):
            raise InputError("a path contains a null byte; correct it")
        if self.roots:
            arguments = self._require_allowed_arguments(arguments)
        summary = self.micrographs.add(arguments, self.is_allowed)
        self.event_stream.send("micrographs", {})
        return summary

    def _require_allowed_arguments(self, arguments: Sequence[str]) -> list[str]:
        """Expand patterns, without files outside the allowed folders; reject other arguments."""
        # A list is read to find the micrographs in it, so the list must be allowed as well.
        allowed, outside = [], []
        for argument in arguments:
            matches = _expand_patterns([argument])
            allowed += [str(path) for path in matches if self.is_allowed(path)]
            outside += [path for path in matches if not self.is_allowed(path)]
            if not matches:
                self.require_allowed([Path(argument.removeprefix("@")).expanduser()])
                allowed.append(argument)
        micrograph_paths = find_micrographs(allowed) if allowed else []
        if not any(self.is_allowed(path) for path in micrograph_paths):
            self.require_allowed([*outside, *micrograph_paths])
        return allowed

    def is_allowed(self, path: Path) -> bool:
        """Check that a path is in the allowed folders, after following symbolic links."""
        target = Path(os.path.realpath(path))  # unlike `resolve`, it accepts links in a circle
        return not self.roots or any(target.is_relative_to(root) for root in self.roots)

    def require_allowed(self, paths: Sequence[Path]) -> None:
        """Check that paths are in the folders that micrographs may be added from.

        Raises:
            InputError: A path is outside, after following symbolic links.
        """
        for path in paths:
            if not self.is_allowed(path):
                roots = ", ".join(str(root) for root in self.roots)
                raise InputError(f"{path}: lies outside the folders of this server: {roots}")

    def find_pixel_size_doubt(self, pixel_size_ang: float | None) -> str | None:
        """Return why a pixel size that a person enters is probably wrong, or None."""
        if pixel_size_ang is None:
            return None
        diameter = self.database.meta("diameter_ang")
        return find_pixel_size_doubt(
            pixel_size_ang, self._file_pixel_size_ang(), float(diameter) if diameter else None
        )

    def _file_pixel_size_ang(self) -> float | None:
        row = self.database.row(
            "SELECT pixel_size_ang FROM micrograph WHERE pixel_size_ang IS NOT NULL LIMIT 1"
        )
        return row["pixel_size_ang"] if row else None

    @property
    def box_px(self) -> int:
        """Side of the boxes in exported tables: as entered, or 1.5 particle diameters."""
        entered_px = round(float(self.database.meta("box_px") or 0))
        if entered_px:
            return entered_px
        size_ang = self.micrographs.given_pixel_size_ang or self._file_pixel_size_ang() or 1.0
        diameter_ang = float(self.database.meta("diameter_ang") or DEFAULT_DIAMETER_ANG)
        return max(2, 2 * round(_BOX_DIAMETERS * diameter_ang / size_ang / 2))

    def state(self) -> dict[str, Any]:
        """Return the state that the page loads first."""
        row = self.database.row(
            "SELECT pixel_size_ang, listed_pixel_size_ang FROM micrograph"
            " WHERE pixel_size_ang IS NOT NULL LIMIT 1"
        ) or {"pixel_size_ang": None, "listed_pixel_size_ang": None}
        pixel_size = choose_pixel_size(
            self.micrographs.given_pixel_size_ang,
            row["pixel_size_ang"],
            is_listed=row["listed_pixel_size_ang"] is not None,
        )
        diameter = self.database.meta("diameter_ang")
        return {
            "id": self.database.meta("id"),
            "name": self.folder.name.removesuffix(".cryopick"),
            "path": str(self.folder),
            "version": version("cryopick"),
            "n_micrographs": self.database.number("SELECT count(*) FROM micrograph"),
            "n_unread": self.headers.count_unread(),
            "values": self.micrographs.value_ranges(),
            "n_labels": self.annotations.count(),
            "seq": self.annotations.seq,
            **pixel_size,
            "read_only": self.read_only,
            "notes": self.notes,
            "diameter_ang": float(diameter) if diameter else None,
            "size_evidence": json.loads(self.database.meta("size_estimate") or "[]"),
            "box_px": self.box_px,
            "box_given": bool(float(self.database.meta("box_px") or 0)),
            "formats": [
                {"id": f".{name}", "name": _FORMAT_NAMES.get(name, name)}
                for name in sorted(FORMATS, key=lambda name: [*_FORMAT_NAMES, name].index(name))
            ],
            "match_diameters": MATCH_DIAMETERS,
            "runs": [self.jobs.describe(run) for run in self.runs.list_all()],
            "deleted_runs": list_deleted_runs(self.database),
        }

    def close(self) -> None:
        """Stop following runs and close the database; runs continue."""
        self.event_stream.close()
        self.headers.close()
        self.jobs.close()
        self.database.close()


def _expand_patterns(arguments: Sequence[str]) -> list[Path]:
    """Return the files that patterns match; a list among them is read, like one that is named."""
    patterns = [argument for argument in arguments if glob.has_magic(argument)]
    return [Path(name) for pattern in patterns for name in glob.glob(pattern)]  # noqa: PTH207 -- absolute


def _create_folder(folder: Path) -> None:
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror}") from error


def _open_database(
    path: Path, journal: Path, *, read_only: bool
) -> tuple[ProjectDatabase, Path | None]:
    """Open the database; rename a damaged one if the journal can restore the annotations.

    Returns:
        The database, and the new path of the damaged file if there is one.
    """
    try:
        return ProjectDatabase(path, read_only=read_only), None
    except DamagedDatabaseError:
        if read_only or not read_journal(journal):
            raise
    names = (path.with_name(f"labels.damaged-{number}.db") for number in count(1))
    damaged_path = next(name for name in names if not name.exists())
    path.rename(damaged_path)
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)  # belongs to the damaged file
    return ProjectDatabase(path), damaged_path


def _initialize(database: ProjectDatabase, journal: Path, damaged_path: Path | None) -> list[str]:
    """Give a new project its name; restore the annotations of a lost or damaged database.

    Args:
        database: Database of the project.
        journal: Text copy of the edits.
        damaged_path: New path of a damaged database.

    Returns:
        Messages to the user.
    """
    if database.meta("id") is not None:
        return []
    lines = read_journal(journal)
    restored = restore_annotations(database, lines) if lines else 0
    database.set_meta("id", secrets.token_hex(8))
    if not restored:
        return []
    lost = len(lines) - restored + count_damaged_lines(journal)
    state = f"was damaged and is kept as {damaged_path.name}" if damaged_path else "was missing"
    damaged = f" {lost} lines of it could not be used." if lost else ""
    counts = salvage_tables(database, damaged_path) if damaged_path else {}
    stored_runs = {row["id"] for row in database.rows("SELECT id FROM run")}
    folders = sorted((journal.parent / "runs").glob("r[0-9]*"))
    lost_runs = [f"runs/{folder.name}" for folder in folders if folder.name not in stored_runs]
    return [
        f"labels.db {state}: {restored} edits were restored from {journal.name}.{damaged} "
        f"{describe_salvage(counts, lost_runs)}"
    ]
