"""What every address works with: one project, opened.

- `Desk`: the project's folder with all that serves it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryopick.errors import InputError
from cryopick.io.inputs import micrograph_paths
from cryopick.io.tables.formats import FORMATS
from cryopick.web.api.events import News
from cryopick.web.jobs.commands import Orders
from cryopick.web.jobs.job_queue import Jobs
from cryopick.web.jobs.run_records import Runs
from cryopick.web.project.annotations import Marks
from cryopick.web.project.database import Store
from cryopick.web.project.image_cache import Views
from cryopick.web.project.journal_file import OpsFile, read_ops
from cryopick.web.project.micrographs import Micrographs, pixel_size
from cryopick.web.project.restore import restore
from cryopick.web.project.reviews import Verdicts

__all__ = ["NEAR_DIAMETERS", "Desk"]

NEAR_DIAMETERS = 1 / 3  # a pick this near to a mark is what was marked

# The programs that most go on with first.
_NAMES = {
    "star": "RELION",
    "cs": "cryoSPARC",
    "tsv": "Topaz",
    "cbox": "crYOLO",
    "eman": "EMAN 2",
    "box": "EMAN 1 boxes",
    "csv": "CSV",
    "json": "JSON",
    "via": "VIA",
}


@dataclass(frozen=True)
class Desk:
    """A project, opened.

    Attributes:
        folder: The project's folder.
        store: Its database.
        micrographs: The micrographs in it.
        marks: Labels and regions.
        runs: Trainings and pickings, and what they found.
        verdicts: What people say of the picks.
        orders: Runs to come.
        jobs: What is at work.
        views: Pictures.
        news: The stream to the pages.
        roots: Folders to bring micrographs from; none for all that the user can read.
        read_only: Nothing may be changed.
        notes: What the user should know of how it was opened.
    """

    folder: Path
    store: Store
    micrographs: Micrographs
    marks: Marks
    runs: Runs
    verdicts: Verdicts
    orders: Orders
    jobs: Jobs
    views: Views
    news: News
    roots: tuple[Path, ...] = ()
    read_only: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False, roots: tuple[Path, ...] = ()) -> "Desk":
        """Open a project, or begin one.

        Labels whose database is gone are read from the journal's copy in text.

        Raises:
            InputError: The folder cannot be made, or is a file.
            FormatError: Its database is none of ours.
        """
        if not read_only:
            _make(folder)
        folder = folder.resolve()
        store, news = Store(folder / "labels.db", read_only=read_only), News()
        file = folder / "labels.ops.jsonl"
        notes = [] if read_only else _begun(store, file)
        micrographs, marks = Micrographs(store), Marks(store, OpsFile(file, store))
        runs = Runs(store, micrographs, folder / "runs")
        return cls(
            folder=folder,
            store=store,
            micrographs=micrographs,
            marks=marks,
            runs=runs,
            verdicts=Verdicts(store, runs),
            orders=Orders(runs, micrographs, marks),
            jobs=Jobs(runs, lambda run: news.tell("run", run), idle=read_only),
            views=Views(),
            news=news,
            roots=tuple(root.resolve() for root in roots),
            read_only=read_only,
            notes=tuple(notes),
        )

    def bring(self, words: Sequence[str]) -> dict[str, Any]:
        """Add micrographs, from the allowed folders alone.

        Raises:
            InputError: A name leads to no file, or outside.
        """
        if self.roots:
            # A list is read to know what it names: it must lie inside as well.
            self.require_allowed([Path(word.removeprefix("@")).expanduser() for word in words])
            self.require_allowed(micrograph_paths(words))
        said = self.micrographs.add(words)
        self.news.tell("micrographs", {})
        return said

    def require_allowed(self, paths: Sequence[Path]) -> None:
        """Refuse what lies outside the folders to bring micrographs from.

        Raises:
            InputError: One of the paths does, links followed.
        """
        for path in paths:
            whole = path.resolve()
            if self.roots and not any(whole.is_relative_to(root) for root in self.roots):
                named = ", ".join(str(root) for root in self.roots)
                raise InputError(f"{path}: lies outside of what this server may show: {named}")

    def state(self) -> dict[str, Any]:
        """What the page must know to begin."""
        first = self.store.row(
            "SELECT pixel_size_ang FROM micrograph WHERE pixel_size_ang IS NOT NULL LIMIT 1"
        )
        stated = self.micrographs.stated_pixel_size_ang
        size = pixel_size(stated, first["pixel_size_ang"] if first else None)
        diameter = self.store.meta("diameter_ang")
        return {
            "id": self.store.meta("id"),
            "name": self.folder.name.removesuffix(".cryopick"),
            "path": str(self.folder),
            "version": version("cryopick"),
            "n_micrographs": self.store.number("SELECT count(*) FROM micrograph"),
            "n_labels": self.marks.count(),
            "seq": self.marks.seq,
            **size,
            "read_only": self.read_only,
            "notes": self.notes,
            "diameter_ang": float(diameter) if diameter else None,
            "formats": [
                {"id": f".{name}", "name": _NAMES.get(name, name)}
                for name in sorted(FORMATS, key=lambda name: [*_NAMES, name].index(name))
            ],
            "near_diameters": NEAR_DIAMETERS,
            "runs": [self.jobs.shown(run) for run in self.runs.all()],
        }

    def close(self) -> None:
        """Stop what is at work and close the database."""
        self.news.close()
        self.jobs.close()
        self.store.close()


def _make(folder: Path) -> None:
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder can be made there: {error.strerror}") from error


def _begun(store: Store, file: Path) -> list[str]:
    """Give a new project its name, and the labels that a lost database had."""
    if store.meta("id") is not None:
        return []
    lines = read_ops(file)
    restored = restore(store, lines) if lines else 0
    store.set_meta("id", secrets.token_hex(8))
    if not restored:
        return []
    return [
        f"labels.db was missing: {restored} edits were read from {file.name}. Runs, judgements of "
        "picks and what was said of whole micrographs are not in it."
    ]
