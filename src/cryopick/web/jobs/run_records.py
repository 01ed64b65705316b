"""Trainings and pickings of a project, and the picks that they found.

- `Runs`: the runs, their folders and their picks.
"""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float32
from cryopick.errors import InputError
from cryopick.evaluate.spacing import far_from_edges, spaced
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, concatenate
from cryopick.web.project.database import Store, now
from cryopick.web.project.micrographs import Micrographs
from cryopick.web.project.run_picks import Cut, Found

__all__ = ["Runs"]

_NUMBER = "CAST(substr(id, 2) AS INTEGER)"  # tells the order: a clock may be set back
_NAMED = ("state", "message", "pid", "pid_started", "started", "ended")


class Runs:
    """The runs of a project.

    Args:
        store: The project's database.
        micrographs: Its micrographs.
        folder: Where each run has a folder of its own.
    """

    def __init__(self, store: Store, micrographs: Micrographs, folder: Path) -> None:
        self._store, self._micrographs, self._folder = store, micrographs, folder
        self._found: dict[str, Found] = {}
        self._thinned: dict[tuple[str, float, float], Bool[np.ndarray, " picks"]] = {}

    def folder(self, run: str) -> Path:
        """The run's own folder."""
        return self._folder / run

    def create(self, kind: str, title: str, config: dict[str, Any]) -> str:
        """Begin the record of a run; it waits."""
        with self._store.write() as db:
            last = db.execute(f"SELECT max({_NUMBER}) FROM run").fetchone()[0]
            number = (last or 0) + 1
            run = f"r{number}"
            db.execute(
                "INSERT INTO run (id, kind, title, state, config, queued)"
                " VALUES (?, ?, ?, 'queued', ?, ?)",
                (run, kind, f"{title} {number}", json.dumps(config), now()),
            )
        self.folder(run).mkdir(parents=True, exist_ok=True)
        return run

    def all(self) -> list[dict[str, Any]]:
        """The runs, the last first."""
        return self._store.rows(f"SELECT * FROM run ORDER BY {_NUMBER} DESC")

    def one(self, run: str) -> dict[str, Any]:
        """A run.

        Raises:
            InputError: There is none of that name.
        """
        found = self._store.row("SELECT * FROM run WHERE id = ?", run)
        if found is None:
            raise InputError("there is no such run")
        return found

    def next_queued(self) -> dict[str, Any] | None:
        """The run that has waited longest."""
        return self._store.row(
            f"SELECT * FROM run WHERE state = 'queued' ORDER BY {_NUMBER} LIMIT 1"
        )

    def change(self, run: str, **values: object) -> None:
        """Note what became of a run."""
        assert set(values) <= set(_NAMED)
        names = ", ".join(f"{name} = ?" for name in values)
        with self._store.write() as db:
            db.execute(f"UPDATE run SET {names} WHERE id = ?", (*values.values(), run))

    def delete(self, run: str) -> None:
        """Forget a run and all that it made."""
        self.one(run)
        with self._store.write() as db:
            for table, column in (
                ("cut", "run"),
                ("pick_count", "run"),
                ("verdict", "run"),
                ("run", "id"),
            ):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (run,))
        self._found.pop(run, None)
        shutil.rmtree(self.folder(run), ignore_errors=True)

    def has_picks(self, run: str) -> bool:
        """Whether it has picked."""
        return (self.folder(run) / "picks.npz").exists()

    def learnt(self, run: str) -> frozenset[str]:
        """Micrographs that its training has seen, by path."""
        try:
            listed = (self.folder(run) / "train.lst").read_text(encoding="utf-8")
        except FileNotFoundError:
            return frozenset()
        return frozenset(listed.splitlines())

    def take_picks(self, run: str) -> None:
        """Make a finished run's table of picks ready to be shown."""
        table = read_picks(self.folder(run) / "picks.json")
        numbers = {str(path): mid for mid, path in self._micrographs.usable().items()}
        mids = np.array([numbers.get(name, -1) for name in table.micrographs], np.int64)
        own = mids[table.index] if len(table) else np.zeros(0, np.int64)
        order = np.lexsort((-table.score, own))
        order = order[own[order] >= 0]
        temporary = self.folder(run) / ".picks.npz"
        np.savez(
            temporary,
            mids=own[order],
            xy_px=table.xy_px[order],
            score=table.score[order].astype(np.float32),
            micrographs=mids[mids >= 0],
        )
        temporary.rename(self.folder(run) / "picks.npz")
        self.set_cut(run, Cut())

    def last_model(self) -> Path | None:
        """The model that was trained last."""
        files = [self.folder(row["id"]) / "model.safetensors" for row in self.all()]
        return next((file for file in files if file.exists()), None)

    def take_order(self, run: str) -> None:
        """Show from now on the order in which a run suggests to label micrographs."""
        listed = (self.folder(run) / "order.lst").read_text(encoding="utf-8").splitlines()
        numbers = {str(path): mid for mid, path in self._micrographs.usable().items()}
        known = [numbers[name] for name in listed if name in numbers]
        with self._store.write() as db:
            db.execute("DELETE FROM suggested")
            db.executemany(
                "INSERT INTO suggested (place, mid) VALUES (?, ?)", enumerate(known, start=1)
            )

    def found(self, run: str) -> Found:
        """The picks of a run.

        Raises:
            InputError: It has none yet.
        """
        known = self._found.get(run)
        if known is None:
            self.one(run)
            try:
                with np.load(self.folder(run) / "picks.npz", allow_pickle=False) as file:
                    own = {name: file[name] for name in file.files}
            except FileNotFoundError:
                raise InputError("this run has no picks yet") from None
            known = Found(
                own["mids"], own["xy_px"], own["score"], tuple(own["micrographs"].tolist())
            )
            self._found = {run: known}  # one run is looked at at a time
        return known

    def cut(self, run: str) -> Cut:
        """What is kept of a run's picks."""
        row = self._store.row("SELECT * FROM cut WHERE run = ?", run)
        return Cut(row["threshold"], row["edge_ang"], row["min_distance_ang"]) if row else Cut()

    def set_cut(self, run: str, cut: Cut) -> None:
        """Keep other picks; the threshold goes to the nearest edge of a bin, as on the page."""
        found = self.found(run)
        cut = replace(cut, threshold=found.nearest_edge(cut.threshold))
        with self._store.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO cut VALUES (?, ?, ?, ?)", (run, *asdict(cut).values())
            )
        self._count(run, found)

    def thinned(self, run: str) -> Bool[np.ndarray, " picks"]:
        """Which picks stay for edge and distance, at any threshold."""
        found, cut = self.found(run), self.cut(run)
        key = (run, cut.edge_ang, cut.min_distance_ang)
        if key not in self._thinned:
            keep = np.ones(len(found.score), bool)
            if cut.edge_ang or cut.min_distance_ang:
                for mid in found.micrographs:
                    keep[found.on(mid)] = self._thin(mid, found, cut)
            self._thinned = {key: keep}
        return self._thinned[key]

    def _thin(self, mid: int, found: Found, cut: Cut) -> Bool[np.ndarray, " own"]:
        one, place = self._micrographs.one(mid), found.on(mid)
        size_ang = one["pixel_size_ang"] or 1.0
        xy_px = found.xy_px[place]
        shape = (one["height_px"], one["width_px"])
        inside = far_from_edges(xy_px, shape, cut.edge_ang / size_ang)
        score = np.where(inside, found.score[place].astype(np.float64), -np.inf)
        return inside & spaced(xy_px, score, cut.min_distance_ang / size_ang)

    def kept(self, run: str) -> Bool[np.ndarray, " picks"]:
        """Which picks stay for edge, distance and threshold."""
        cut = self.cut(run)
        return self.thinned(run) & (self.found(run).score >= np.float32(cut.threshold))

    def histogram(self, run: str) -> dict[str, Any]:
        """How many picks have which score, and what is kept."""
        found, cut = self.found(run), self.cut(run)
        return {
            "edges": found.edges.astype(float).tolist(),
            "counts": found.counts(self.thinned(run)).tolist(),
            "n_micrographs": len(found.micrographs),
            "colours": found.colour_range(cut.threshold),
            **asdict(cut),
        }

    def counts_at(self, run: str, threshold: float) -> dict[str, Any]:
        """How many picks of each micrograph another threshold would keep."""
        found = self.found(run)
        keep = self.thinned(run) & (found.score >= np.float32(threshold))
        return {"mids": list(found.micrographs), "kept": found.on_each(keep).tolist()}

    def packed(self, run: str, mid: int) -> bytes:
        """The picks on a micrograph, at any threshold, as `Found.packed` lays them out."""
        return self.found(run).packed(mid, self.thinned(run))

    def table(self, run: str, keep: Bool[np.ndarray, " picks"]) -> Picks:
        """Picks as a table; micrographs are named by their paths, those without a pick too."""
        found = self.found(run)
        tables = []
        for mid in found.micrographs:
            place = found.on(mid)
            own = keep[place]
            name = str(self._micrographs.path(mid))
            score = found.score[place][own].astype(np.float64)
            tables.append(Picks.on(name, found.xy_px[place][own], score))
        return concatenate(tables)

    def score_map(self, run: str, mid: int) -> tuple[Float32[np.ndarray, "rows columns"], float]:
        """What a run's model says of every place of a micrograph.

        Returns:
            Logits, and raw pixels from one to the next along x.
        """
        from cryopick.model.device import ready_device
        from cryopick.model.model_file import GENERAL_MODEL, load_model
        from cryopick.pick.picker import Picker
        from cryopick.pick.settings import PickSettings

        row, config = self._micrographs.one(mid), json.loads(self.one(run)["config"])
        own = self.folder(run) / "model.safetensors"
        settings = PickSettings(
            diameter_ang=config["diameter_ang"], pixel_size_ang=row["pixel_size_ang"]
        )
        model = load_model(own if own.exists() else GENERAL_MODEL)
        scored = Picker.ready(model, settings, ready_device("auto")).score(Path(row["path"]))
        scale = scored.prepared.scale_yx[1] * scored.scores.step_px
        return scored.scores.logits.astype(np.float32), scale

    def _count(self, run: str, found: Found) -> None:
        """Note for the list how many picks of each micrograph are kept."""
        # Each micrograph's picks are sorted: what is kept of it begins with the best of what is.
        keep = self.kept(run)
        best = {int(mid): float(found.score[i]) for mid, i in zip(*found.firsts(keep), strict=True)}
        counted = zip(found.micrographs, found.on_each(keep).tolist(), strict=True)
        rows = [(run, mid, n, best.get(mid)) for mid, n in counted]
        with self._store.write() as db:
            db.execute("DELETE FROM pick_count WHERE run = ?", (run,))
            db.executemany("INSERT INTO pick_count VALUES (?, ?, ?, ?)", rows)
