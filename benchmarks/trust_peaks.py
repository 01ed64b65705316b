"""Picks of the sets of `foreign_sets.py` with their truth, in a cache.

The tables are those that `foreign.py` makes by `cryopick pick` (`runs/foreign/records`); a missing
one is made. What follows from scores alone can so be fitted and measured for each new model without
picking again. The compared tables lie in `runs/trust/<version of the general model and tag>`.

- `Peaks`: scores of one set, and which of them are particles.
- `load_peaks`: those of many sets.
- `load_trained_peaks`: those of models that were trained on a few labels of each set.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from common import ROOT, listed
from foreign_methods import Job, cryopick, find_model_version, pick_sizes, record_path, run_job
from foreign_sets import ForeignSet, find_set, list_sets

from cryopick.evaluate.matching import match_points
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks

__all__ = ["OUT", "Peaks", "load_peaks", "load_trained_peaks"]

OUT = ROOT / "runs" / "trust"
FOREIGN = ROOT / "runs" / "foreign"
# Copies of sets that differ by the sign of all pixels alone.
SIMULATORS = ("aspire", "cryojax", "own")
SKIPPED = ("aspire-compact:bright", "aspire-rod12:bright", "own-20:bright")


@dataclass(frozen=True, eq=False, kw_only=True)
class Peaks:
    """Picks of a set as `cryopick pick` writes them, compared with the truth.

    Attributes:
        name: Of the set.
        score: Scores of all picks.
        micrograph: Number of the micrograph of each pick.
        xy_px: Its position.
        particle: Number of the particle that it matches, one to one; -1 for none.
        particle_xy_px: Positions of the particles.
        particle_micrograph: Number of the micrograph of each particle.
        defocus_um: Defocus of each micrograph, NaN if unknown.
        ice_frac: Relative thickness of the ice at each particle, NaN if unknown.
        label_score: Scores of left-out labels in the model; empty for the general model.
    """

    name: str
    score: np.ndarray
    micrograph: np.ndarray
    xy_px: np.ndarray
    particle: np.ndarray
    particle_xy_px: np.ndarray
    particle_micrograph: np.ndarray
    defocus_um: np.ndarray
    ice_frac: np.ndarray
    label_score: np.ndarray

    @property
    def n_micrographs(self) -> int:
        """Number of micrographs."""
        return len(self.defocus_um)

    @property
    def n_particles(self) -> int:
        """Number of particles, with and without a pick."""
        return len(self.particle_micrograph)

    @property
    def is_particle(self) -> np.ndarray:
        """Picks that match a particle."""
        return self.particle >= 0

    @property
    def particle_score(self) -> np.ndarray:
        """Score of the pick of each particle; minus infinity without one."""
        scores = np.full(self.n_particles, -np.inf)
        scores[self.particle[self.is_particle]] = self.score[self.is_particle]
        return scores

    @property
    def family(self) -> str:
        """Name of the set without its variant; a fit excludes all variants of a set together."""
        return self.name.split(":")[0]

    @property
    def is_filtered(self) -> bool:
        """The particles are rods, and the scores were filtered along them."""
        return "-rod" in self.name

    @property
    def is_simulated(self) -> bool:
        """The truth lists all particles."""
        return self.name.startswith(SIMULATORS)

    @property
    def is_complete(self) -> bool:
        """The truth lists all particles; other real sets lack up to a fifth of them, or more."""
        return self.is_simulated or self.family == "apoferritin"

    @property
    def picks(self) -> Picks:
        """The table."""
        names = tuple(f"micrograph_{number}" for number in range(self.n_micrographs))
        return Picks(micrographs=names, index=self.micrograph, xy_px=self.xy_px, score=self.score)


def load_peaks(
    names: Sequence[str] | None = None, *, tag: str = "", only_picked: bool = False
) -> list[Peaks]:
    """Load the picks of sets by the general model.

    Args:
        names: Sets; by default all.
        tag: Ending of the version in the names of the records.
        only_picked: Skip sets that were not picked before, instead of picking them.
    """
    names = names or [name for name in list_sets() if name not in SKIPPED]
    return _load(names, labels=0, tag=tag, only_picked=only_picked)


def load_trained_peaks(
    names: Sequence[str] | None = None,
    labels: int = 25,
    *,
    tag: str = "",
    only_picked: bool = False,
) -> list[Peaks]:
    """Load the picks on the test micrographs, by models that were trained on random labels."""
    names = names or [name for name in list_sets() if name not in SKIPPED]
    return _load(names, labels=labels, tag=tag, only_picked=only_picked)


def _load(names: Sequence[str], *, labels: int, tag: str, only_picked: bool) -> list[Peaks]:
    version = find_model_version() + tag
    folder = OUT / version
    folder.mkdir(parents=True, exist_ok=True)
    loaded = []
    for name in names:
        path = folder / f"{name.replace(':', '@')}-{labels}.npz"
        if not path.exists():
            if only_picked and not was_picked(name, labels, version):
                continue
            try:
                job = Job(find_set(name, FOREIGN / "data"), "given", labels, 0, version)
                table = find_table(job)
            except (OSError, RuntimeError) as error:
                print(f"{name}: {error}")
                continue
            if table is None:
                continue
            peaks = compare(job.data, table, job.data.test if labels else job.data.micrographs)
            temporary = path.with_suffix(".tmp.npz")
            values = {field.name: getattr(peaks, field.name) for field in fields(peaks)}
            np.savez_compressed(temporary, **values)
            temporary.replace(path)
        with np.load(path) as file:
            values = {key: file[key] for key in file.files}
        loaded.append(Peaks(**{**values, "name": str(values["name"])}))
    return loaded


def was_picked(name: str, labels: int, version: str) -> bool:
    """Test if there is a table of a set."""
    stem = f"{'candidates-' if name.startswith('empty') else ''}given-{labels}-0-{version}"
    ending = ".tsv" if name.startswith("empty") else ".json"
    return (FOREIGN / "records" / name.replace(":", "@") / f"{stem}{ending}").exists()


def find_table(job: Job) -> Path | None:
    """Return the table of a job, and make it if it is missing; None if the set has no labels."""
    records = FOREIGN / "records"
    record = record_path(job, records)
    if job.data.kind == "empty":  # whose records hold the selected picks alone
        table = record.with_name(f"candidates-{job.stem}.tsv")
        if not table.exists():
            table.parent.mkdir(parents=True, exist_ok=True)
            paths = listed(job.data.micrographs, table.with_suffix(".list"))
            cryopick("pick", paths, *pick_sizes(job), "--threshold", "-6", "-o", table)
        return table
    if not record.exists() and not job.is_possible():
        return None
    return None if run_job(job, records) is None else record.with_suffix(".tsv")


def compare(data: ForeignSet, table: Path, paths: Sequence[Path]) -> Peaks:
    """Compare a table with the truth."""
    found = match_names(read_picks(table), paths).picks
    rows_of = found.rows_by_micrograph()
    truth = None if data.truth is None else match_names(read_picks(data.truth), paths).picks
    by_particle = read_columns(data)
    parts: dict[str, list[np.ndarray]] = {
        key: [] for key in ("score", "micrograph", "xy_px", "particle", "particle_xy_px")
    }
    particle_micrograph, ice_frac, defocus_um = [], [], []
    n_particles = 0
    for number, path in enumerate(paths):
        rows = rows_of.get(str(path), np.zeros(0, int))
        rows = rows[is_inside(data, found.xy_px[rows])]
        xy_px, score = found.xy_px[rows], found.score[rows]
        particles_px = np.zeros((0, 2))
        if truth is not None:
            true_rows = truth.rows_by_micrograph().get(str(path), np.zeros(0, int))
            particles_px = truth.xy_px[true_rows]
            particles_px = particles_px[is_inside(data, particles_px)]
        partner = match_points(xy_px, score, particles_px, data.radius_px)
        parts["score"].append(score)
        parts["micrograph"].append(np.full(len(score), number))
        parts["xy_px"].append(xy_px)
        parts["particle"].append(np.where(partner >= 0, partner + n_particles, -1))
        parts["particle_xy_px"].append(particles_px)
        particle_micrograph.append(np.full(len(particles_px), number))
        defocus, ice = by_particle.get(path.stem, (np.nan, np.zeros(0)))
        defocus_um.append(defocus)
        whole = len(ice) == len(particles_px)
        ice_frac.append(ice if whole else np.full(len(particles_px), np.nan))
        n_particles += len(particles_px)
    joined = {key: np.concatenate(values) for key, values in parts.items()}
    return Peaks(
        name=data.name,
        particle_micrograph=np.concatenate(particle_micrograph),
        defocus_um=np.array(defocus_um),
        ice_frac=np.concatenate(ice_frac),
        label_score=read_label_scores(table),
        **joined,
    )


def read_label_scores(table: Path) -> np.ndarray:
    """Scores of the left-out labels of the model that picked a table."""
    metadata = table.with_suffix(".run.json")
    values = json.loads(metadata.read_text()) if metadata.exists() else {}
    scores = [-np.inf if score is None else score for score in values.get("label_scores") or []]
    return np.array(scores, float)


def read_columns(data: ForeignSet) -> dict[str, tuple[float, np.ndarray]]:
    """Defocus of each micrograph and thickness of the ice at each particle, where known."""
    columns: dict[str, tuple[float, np.ndarray]] = {}
    about = data.truth.with_name("set.json") if data.truth else Path("none")
    recipe = json.loads(about.read_text()) if about.exists() else {}
    if "defocus_um" in recipe:  # of the other simulators: evenly spaced
        defoci_um = np.linspace(*recipe["defocus_um"], recipe["count"])
        stems = sorted(path.stem for path in data.micrographs)
        columns = {stem: (float(d), np.zeros(0)) for stem, d in zip(stems, defoci_um, strict=True)}
    elif recipe and data.truth is not None:
        header, *lines = data.truth.read_text().splitlines()
        at = {name: header.split("\t").index(name) for name in ("defocus_um", "ice_frac")}
        rows: dict[str, list[list[str]]] = {}
        for line in lines:
            rows.setdefault(line.split("\t")[0], []).append(line.split("\t"))
        for stem, cells in rows.items():
            ice = np.array([float(one[at["ice_frac"]]) for one in cells])
            columns[stem] = (float(cells[0][at["defocus_um"]]), ice)
    return columns


def is_inside(data: ForeignSet, xy_px: np.ndarray) -> np.ndarray:
    """Test which points lie in the part of the micrographs that is evaluated."""
    if data.judged_px is None:
        return np.ones(len(xy_px), bool)
    left, right, top, bottom = data.judged_px
    x, y = xy_px.T
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)
