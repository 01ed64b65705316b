"""What every address works with: one project, opened.

- `Desk`: the project's folder with all that serves it.
"""

import secrets
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryopick.errors import InputError
from cryopick.io.formats import FORMATS
from cryopick.web.jobs import Jobs
from cryopick.web.marks import Marks
from cryopick.web.micrographs import Micrographs
from cryopick.web.news import News
from cryopick.web.runs import Runs
from cryopick.web.store import Store
from cryopick.web.views import Views

__all__ = ["Desk"]

_NAMES = {
    "star": "RELION",
    "tsv": "Topaz",
    "csv": "CSV",
    "box": "EMAN 1 boxes",
    "cbox": "crYOLO",
    "cs": "cryoSPARC",
    "eman": "EMAN 2",
    "via": "VIA",
    "json": "JSON",
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
        jobs: What is at work.
        views: Pictures.
        news: The stream to the pages.
    """

    folder: Path
    store: Store
    micrographs: Micrographs
    marks: Marks
    runs: Runs
    jobs: Jobs
    views: Views
    news: News

    @classmethod
    def open(cls, folder: Path) -> "Desk":
        """Open a project, or begin one.

        Raises:
            InputError: The folder cannot be made, or is a file.
            FormatError: Its database is none of ours.
        """
        try:
            (folder / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: no folder can be made there: {error.strerror}") from error
        folder = folder.resolve()
        store, news = Store(folder / "labels.db"), News()
        if store.meta("id") is None:
            store.set_meta("id", secrets.token_hex(8))
        micrographs, marks = Micrographs(store), Marks(store)
        runs = Runs(store, micrographs, folder / "runs")
        jobs = Jobs(runs, micrographs, marks, lambda run: news.tell("run", run))
        return cls(folder, store, micrographs, marks, runs, jobs, Views(), news)

    def state(self) -> dict[str, Any]:
        """What the page must know to begin."""
        first = self.store.row(
            "SELECT pixel_size_ang FROM micrograph WHERE pixel_size_ang IS NOT NULL LIMIT 1"
        )
        stated = self.micrographs.stated_pixel_size_ang
        diameter = self.store.meta("diameter_ang")
        return {
            "id": self.store.meta("id"),
            "name": self.folder.name.removesuffix(".cryopick"),
            "path": str(self.folder),
            "version": version("cryopick"),
            "n_micrographs": self.store.number("SELECT count(*) FROM micrograph"),
            "n_labels": self.marks.count(),
            "seq": self.marks.seq,
            "pixel_size_ang": stated or (first["pixel_size_ang"] if first else None),
            "pixel_size_source": "given" if stated else "file" if first else "unknown",
            "diameter_ang": float(diameter) if diameter else None,
            "formats": [{"id": f".{name}", "name": _NAMES.get(name, name)} for name in FORMATS],
            "runs": [self.jobs.shown(run) for run in self.runs.all()],
        }

    def close(self) -> None:
        """Stop what is at work and close the database."""
        self.news.close()
        self.jobs.close()
        self.store.close()
