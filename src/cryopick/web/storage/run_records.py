"""Training and picking runs of a project, and their picks.

- `ProjectRuns`: the runs, their folders and their picks.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float32
from cryopick.errors import CryopickError, InputError, NotFoundError
from cryopick.evaluate.emptiness import Verdict
from cryopick.evaluate.spacing import is_inside_margin, select_spaced
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.storage.database import ProjectDatabase, current_time
from cryopick.web.storage.micrographs import ProjectMicrographs
from cryopick.web.storage.run_picks import PickFilter, RunPicks
from cryopick.workflows.derived_table import has_filtered_scores, read_label_sample
from cryopick.workflows.micrograph_table import micrograph_table_file, read_micrograph_table
from cryopick.workflows.table_output import settings_file

__all__ = ["ProjectRuns"]

_NUMBER = "CAST(substr(id, 2) AS INTEGER)"  # runs are ordered by number: clocks may be set back
_CHANGEABLE = ("state", "message", "pid", "pid_started", "started", "ended")


class ProjectRuns:
    """The runs of a project.

    Args:
        database: Database of the project.
        micrographs: Its micrographs.
        folder: Folder with one folder for each run.
    """

    def __init__(
        self, database: ProjectDatabase, micrographs: ProjectMicrographs, folder: Path
    ) -> None:
        self._database, self._micrographs, self._folder = database, micrographs, folder
        self.n_changes = 0  # of filters and stored picks
        self._picks: dict[str, RunPicks] = {}
        self._automatic: dict[str, PickFilter] = {}
        self._spaced: dict[tuple[str, float, float], Bool[np.ndarray, " picks"]] = {}

    def folder(self, run: str) -> Path:
        """Return the folder of a run."""
        return self._folder / run

    def create(self, kind: str, title: str, config: dict[str, Any]) -> str:
        """Create a queued run, and return its name."""
        with self._database.write() as db:
            last = db.execute(f"SELECT max({_NUMBER}) FROM run").fetchone()[0]
            number = (last or 0) + 1
            run = f"r{number}"
            db.execute(
                "INSERT INTO run (id, kind, title, state, config, queued)"
                " VALUES (?, ?, ?, 'queued', ?, ?)",
                (run, kind, f"{title} {number}", json.dumps(config), current_time()),
            )
        self.folder(run).mkdir(parents=True, exist_ok=True)
        return run

    def list_all(self) -> list[dict[str, Any]]:
        """List the runs that are not deleted, the latest first."""
        return self._database.rows(
            f"SELECT * FROM run WHERE deleted IS NULL ORDER BY {_NUMBER} DESC"
        )

    def find(self, run: str) -> dict[str, Any]:
        """Return the row of a run.

        Raises:
            NotFoundError: The run does not exist.
        """
        row = self._database.row("SELECT * FROM run WHERE id = ?", run)
        if row is None:
            raise NotFoundError(f"there is no run {run!r}")
        return row

    def next_queued(self) -> dict[str, Any] | None:
        """Return the queued run that was created first, or None."""
        return self._database.row(
            "SELECT * FROM run WHERE state = 'queued' AND deleted IS NULL"
            f" ORDER BY {_NUMBER} LIMIT 1"
        )

    def change(self, run: str, **values: object) -> None:
        """Change columns of a run."""
        assert set(values) <= set(_CHANGEABLE)
        names = ", ".join(f"{name} = ?" for name in values)
        with self._database.write() as db:
            db.execute(f"UPDATE run SET {names} WHERE id = ?", (*values.values(), run))

    def delete(self, run: str) -> None:
        """Delete a run and its files permanently."""
        self.find(run)
        with self._database.write() as db:
            for table, column in (
                ("cut", "run"),
                ("pick_count", "run"),
                ("verdict", "run"),
                ("micrograph_verdict", "run"),
                ("run", "id"),
            ):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (run,))
        self._picks.pop(run, None)
        shutil.rmtree(self.folder(run), ignore_errors=True)

    def has_picks(self, run: str) -> bool:
        """Check whether the picks of a run can be shown."""
        return (self.folder(run) / "picks.npz").exists()

    def training_micrographs(self, run: str) -> frozenset[str]:
        """Return the micrographs that a run was trained on, by path."""
        try:
            text = (self.folder(run) / "train.lst").read_text(encoding="utf-8")
        except FileNotFoundError:
            return frozenset()
        return frozenset(text.splitlines())

    def take_picks(self, run: str) -> None:
        """Prepare the table of picks of a finished run for display."""
        numbers = self.store_picks(run, read_picks(self.folder(run) / "picks.json"))
        self._store_verdicts(run, numbers)
        self.set_automatic_filter(run)

    def set_automatic_filter(self, run: str) -> None:
        """Select picks by the automatic threshold, unless a person has changed an earlier one."""
        current = self.pick_filter(run)
        if self._automatic.get(run, current) == current:
            current = self._automatic[run] = PickFilter(self.picks(run).automatic_threshold)
        self.set_pick_filter(run, current)

    def store_picks(self, run: str, table: Picks) -> dict[str, int]:
        """Store picks for display; return the numbers of the micrographs by path."""
        numbers = {str(path): mid for mid, path in self._micrographs.usable().items()}
        mids = np.array([numbers.get(name, -1) for name in table.micrographs], np.int64)
        pick_mids = mids[table.index] if len(table) else np.zeros(0, np.int64)
        order = np.lexsort((-table.score, pick_mids))
        order = order[pick_mids[order] >= 0]
        temporary = self.folder(run) / ".picks.npz"
        np.savez(
            temporary,
            mids=pick_mids[order],
            xy_px=table.xy_px[order],
            score=table.score[order],
            micrographs=mids[mids >= 0],
        )
        temporary.rename(self.folder(run) / "picks.npz")
        self._picks.pop(run, None)
        self._spaced.clear()
        self.n_changes += 1
        return numbers

    def _store_verdicts(self, run: str, numbers: dict[str, int]) -> None:
        """Store the verdicts of a run on its micrographs, from the table beside its picks."""
        table = micrograph_table_file(self.folder(run) / "picks.json")
        rows = []
        with suppress(CryopickError, OSError):
            rows = [
                (run, numbers.get(row.micrograph), row.verdict)
                for row in read_micrograph_table(table)
            ]
        with self._database.write() as db:
            db.execute("DELETE FROM micrograph_verdict WHERE run = ?", (run,))
            db.executemany(
                "INSERT OR REPLACE INTO micrograph_verdict VALUES (?, ?, ?)",
                [row for row in rows if row[1] is not None],
            )
        self._picks.pop(run, None)  # they know the verdicts

    def last_model(self) -> Path | None:
        """Return the model that was trained last, or None."""
        files = [self.folder(row["id"]) / "model.safetensors" for row in self.list_all()]
        return next((file for file in files if file.exists()), None)

    def take_suggested_order(self, run: str) -> None:
        """Store the order in which a run suggests to label micrographs."""
        names = (self.folder(run) / "order.lst").read_text(encoding="utf-8").splitlines()
        numbers = {str(path): mid for mid, path in self._micrographs.usable().items()}
        mids = [numbers[name] for name in names if name in numbers]
        with self._database.write() as db:
            db.execute("DELETE FROM suggested")
            db.executemany(
                "INSERT INTO suggested (place, mid) VALUES (?, ?)", enumerate(mids, start=1)
            )

    def take_size(self, run: str) -> None:
        """Store the particle diameter that a run estimated, unless a person has set one since."""
        estimate = json.loads((self.folder(run) / "size.json").read_text(encoding="utf-8"))
        before_ang = json.loads(self.find(run)["config"])["before_ang"]
        current = self._database.meta("diameter_ang")
        if (float(current) if current else None) == before_ang:
            self._database.set_meta("diameter_ang", repr(float(round(estimate["diameter_ang"]))))
        self._database.set_meta("size_estimate", json.dumps(estimate["evidence_by_size"]))

    def picks(self, run: str) -> RunPicks:
        """Return the picks of a run.

        Raises:
            InputError: The run has no picks yet.
        """
        picks = self._picks.get(run)
        if picks is None:
            row = self.find(run)
            try:
                with np.load(self.folder(run) / "picks.npz", allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
            except FileNotFoundError:
                raise InputError(f"{row['title']}: has no picks yet") from None
            micrographs = tuple(arrays["micrographs"].tolist())
            verdicts = self._verdicts(run)
            if not verdicts and row["state"] == "running":  # they are classified at the end
                verdicts = dict.fromkeys(micrographs, Verdict.UNDECIDED)
            picks = RunPicks(
                mids=arrays["mids"],
                xy_px=arrays["xy_px"],
                score=arrays["score"],
                micrographs=micrographs,
                verdicts=verdicts,
                label_sample=read_label_sample(self.folder(run) / "picks.json"),
                is_filtered=has_filtered_scores(self.folder(run) / "picks.json"),
            )
            # The page shows one run at a time, and compares two.
            self._picks = {**dict(list(self._picks.items())[-1:]), run: picks}
        return picks

    def _verdicts(self, run: str) -> dict[int, Verdict]:
        """Return the verdicts of a run; those of micrographs that it skipped are none."""
        rows = self._database.rows("SELECT mid, verdict FROM micrograph_verdict WHERE run = ?", run)
        verdicts = set(Verdict)
        return {row["mid"]: Verdict(row["verdict"]) for row in rows if row["verdict"] in verdicts}

    def pick_filter(self, run: str) -> PickFilter:
        """Return the threshold, edge margin and minimum distance of a run."""
        row = self._database.row("SELECT * FROM cut WHERE run = ?", run)
        if row is None:
            return PickFilter()
        return PickFilter(row["threshold"], row["edge_ang"], row["min_distance_ang"])

    def set_pick_filter(self, run: str, pick_filter: PickFilter) -> None:
        """Store a filter."""
        with self._database.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO cut VALUES (?, ?, ?, ?)",
                (run, *asdict(pick_filter).values()),
            )
        picks, keep = self.picks(run), self.selection_mask(run)
        counts = picks.count_per_micrograph(keep).tolist()
        self.store_counts(run, dict(zip(picks.micrographs, counts, strict=True)))
        self.n_changes += 1

    def spacing_mask(self, run: str) -> Bool[np.ndarray, " picks"]:
        """Mark the picks that satisfy edge margin and minimum distance, at any threshold."""
        picks, pick_filter = self.picks(run), self.pick_filter(run)
        key = (run, pick_filter.edge_ang, pick_filter.min_distance_ang)
        if key not in self._spaced:
            keep = np.ones(len(picks.score), bool)
            if pick_filter.edge_ang or pick_filter.min_distance_ang:
                for mid in picks.micrographs:
                    keep[picks.rows_of(mid)] = self._select_spaced(mid, picks, pick_filter)
            self._spaced = {key: keep}
        return self._spaced[key]

    def _select_spaced(
        self, mid: int, picks: RunPicks, pick_filter: PickFilter
    ) -> Bool[np.ndarray, " on_micrograph"]:
        micrograph, rows = self._micrographs.find(mid), picks.rows_of(mid)
        pixel_size_ang = micrograph["pixel_size_ang"] or 1.0
        xy_px = picks.xy_px[rows]
        shape = (micrograph["height_px"], micrograph["width_px"])
        is_inside = is_inside_margin(xy_px, shape, pick_filter.edge_ang / pixel_size_ang)
        score = np.where(is_inside, picks.score[rows].astype(np.float64), -np.inf)
        min_distance_px = pick_filter.min_distance_ang / pixel_size_ang
        return is_inside & select_spaced(xy_px, score, min_distance_px)

    def selection_mask(self, run: str) -> Bool[np.ndarray, " picks"]:
        """Mark the picks that satisfy edge margin, minimum distance and threshold."""
        threshold = self.pick_filter(run).threshold
        return self.spacing_mask(run) & (self.picks(run).score >= threshold)

    def pack_picks(self, run: str, mid: int) -> bytes:
        """Pack the picks on a micrograph, at any threshold, in the layout of `RunPicks.pack`."""
        picks = self.picks(run)
        return picks.pack(mid, self.spacing_mask(run)[picks.rows_of(mid)])

    def table(self, run: str, keep: Bool[np.ndarray, " picks"]) -> Picks:
        """Return selected picks as a table that also lists micrographs without picks, by path."""
        picks = self.picks(run)
        tables = []
        for mid in picks.micrographs:
            rows = picks.rows_of(mid)
            selected = keep[rows]
            name = str(self._micrographs.path(mid))
            score = picks.score[rows][selected].astype(np.float64)
            tables.append(Picks.for_micrograph(name, picks.xy_px[rows][selected], score))
        return concatenate(tables)

    def score_map(self, run: str, mid: int) -> tuple[Float32[np.ndarray, "rows columns"], float]:
        """Compute the score map of a micrograph with the model, scale and contrast of a run.

        Returns:
            Logits, and their distance in raw pixels along x.
        """
        from cryopick.config import load_toml
        from cryopick.model.device import require_device
        from cryopick.model.model_file import GENERAL_MODEL, load_model
        from cryopick.pick.picker import Picker
        from cryopick.pick.settings import PickSettings

        row, config = self._micrographs.find(mid), json.loads(self.find(run)["config"])
        trained_model = self.folder(run) / "model.safetensors"
        settings = PickSettings(diameter_ang=config["diameter_ang"])
        with suppress(CryopickError):  # a run in progress has none yet
            settings = load_toml(PickSettings, settings_file(str(self.folder(run) / "picks.json")))
        settings = replace(settings, pixel_size_ang=row["pixel_size_ang"])
        model = load_model(trained_model if trained_model.exists() else GENERAL_MODEL)
        scored = Picker.create(model, settings, require_device("auto")).score(Path(row["path"]))
        scale = scored.prepared.scale_yx[1] * scored.scores.step_px
        return scored.scores.logits.astype(np.float32), scale

    def store_counts(self, run: str, counts: Mapping[int, int]) -> None:
        """Store the number of selected picks and the highest score of each micrograph."""
        # Picks are sorted by score, so the first selected pick of a micrograph is its best.
        picks = self.picks(run)
        first_picks = zip(*picks.first_picks(self.selection_mask(run)), strict=True)
        best = {int(mid): float(picks.score[row]) for mid, row in first_picks}
        rows = [(run, mid, n, best.get(mid)) for mid, n in counts.items()]
        with self._database.write() as db:
            db.execute("DELETE FROM pick_count WHERE run = ?", (run,))
            db.executemany("INSERT INTO pick_count VALUES (?, ?, ?, ?)", rows)
