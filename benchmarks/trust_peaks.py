"""Peaks of the general model on the sets of `foreign_sets.py`, with the truth, in a cache.

The cache lies in `runs/trust/<version of the general model>`: a few seconds a set, so that
everything that follows from scores alone can be fitted and measured again for each new model.

- `Peaks`: scores of one set, and which of them are particles.
- `load_peaks`: those of all sets, computed where they are missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from common import ROOT
from foreign_methods import find_model_version
from foreign_sets import ForeignSet, find_set, list_sets

from cryopick.evaluate.matching import match_points
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.model.model_file import GENERAL_MODEL, load_model
from cryopick.pick.picker import Picker, find_peaks
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.preprocess.mask import erode_mask

__all__ = ["Peaks", "load_peaks"]

OUT = ROOT / "runs" / "trust"
DATA = ROOT / "runs" / "foreign" / "data"
MAX_MICROGRAPHS = 4  # of simulated sets; all of the real ones
# Copies of sets that differ by the sign of all pixels alone, and one whose truth is incomplete.
SKIPPED = ("aspire-compact:bright", "aspire-rod12:bright", "own-20:bright")


@dataclass(frozen=True, eq=False, kw_only=True)
class Peaks:
    """Peaks of the general model on some micrographs of a set.

    Attributes:
        name: Of the set.
        score: Scores of all peaks above -8.
        micrograph: Number of the micrograph of each.
        is_particle: Peaks that match a particle, one to one.
        particle_score: Score of the peak of each particle; minus infinity without one.
        noise_score: Scores of the peaks of the same micrographs with random phases.
        n_micrographs: Number of micrographs.
    """

    name: str
    score: np.ndarray
    micrograph: np.ndarray
    is_particle: np.ndarray
    particle_score: np.ndarray
    noise_score: np.ndarray
    n_micrographs: int

    @property
    def family(self) -> str:
        """Name of the set without its variant; a fit excludes all variants of a set together."""
        return self.name.split(":")[0]

    @property
    def is_complete(self) -> bool:
        """The truth lists all particles; the real sets lack up to a fifth of them."""
        return self.family != "negative_stain" and bool(len(self.particle_score))

    @property
    def picks(self) -> Picks:
        """Picks as `cryopick pick` writes them, above -6."""
        names = tuple(f"micrograph_{number}" for number in range(self.n_micrographs))
        rows = self.score >= -6
        zeros = np.zeros((int(rows.sum()), 2))
        return Picks(
            micrographs=names, index=self.micrograph[rows], xy_px=zeros, score=self.score[rows]
        )


def load_peaks(names: Sequence[str] | None = None, out: Path = OUT) -> list[Peaks]:
    """Load the peaks of sets, or pick the sets that are missing in the cache."""
    folder = out / find_model_version()
    folder.mkdir(parents=True, exist_ok=True)
    loaded = []
    for name in names or [name for name in list_sets() if name not in SKIPPED]:
        path = folder / f"{name.replace(':', '@')}.npz"
        if not path.exists():
            try:
                peaks = collect(find_set(name, DATA))
            except (OSError, RuntimeError) as error:
                print(f"{name}: {error}")
                continue
            temporary = path.with_suffix(".tmp.npz")
            np.savez_compressed(
                temporary, **{f.name: getattr(peaks, f.name) for f in fields(peaks)}
            )
            temporary.replace(path)
        with np.load(path) as file:
            values = {key: file[key] for key in file.files}
        whole = {"name": str(values["name"]), "n_micrographs": int(values["n_micrographs"])}
        loaded.append(Peaks(**{**values, **whole}))
    return loaded


def collect(data: ForeignSet) -> Peaks:
    """Pick some micrographs of a set, and compare the picks with the truth."""
    import torch

    torch.set_num_threads(1)
    settings = PickSettings(
        diameter_ang=data.given_ang,
        pixel_size_ang=data.pixel_size_ang,
        threshold=-8.0,
        contrast="bright" if data.name.endswith(":bright") else "dark",
    )
    is_simulated = data.kind not in ("real", "empty")
    paths = data.test[:MAX_MICROGRAPHS] if is_simulated else data.micrographs
    picker = Picker.create(load_model(GENERAL_MODEL), settings, torch.device("cpu"), paths)
    truth = None if data.truth is None else match_names(read_picks(data.truth), paths).picks
    scores, numbers, matched, particle_scores, noise = [], [], [], [], []
    rng = np.random.default_rng(0)
    for number, path in enumerate(paths):
        picks = picker.pick(path)
        xy_px, score = inside(data, picks.xy_px, picks.score)
        particles_px = np.zeros((0, 2))
        if truth is not None:
            rows = truth.rows_by_micrograph().get(str(path), np.zeros(0, int))
            particles_px, _ = inside(data, truth.xy_px[rows], np.zeros(len(rows)))
        partner = match_points(xy_px, score, particles_px, data.radius_px)
        of_particle = np.full(len(particles_px), -np.inf)
        of_particle[partner[partner >= 0]] = score[partner >= 0]
        scores.append(score)
        numbers.append(np.full(len(score), number))
        matched.append(partner >= 0)
        particle_scores.append(of_particle)
        noise.append(pick_noise(picker, path, rng))
    return Peaks(
        name=data.name,
        score=np.concatenate(scores),
        micrograph=np.concatenate(numbers),
        is_particle=np.concatenate(matched),
        particle_score=np.concatenate(particle_scores),
        noise_score=np.concatenate(noise),
        n_micrographs=len(paths),
    )


def pick_noise(picker: Picker, path: Path, rng: np.random.Generator) -> np.ndarray:
    """Scores of the peaks of Gaussian noise with the power spectrum of a micrograph."""
    prepared, pixel_size_ang = picker.prepare(path)
    shape = prepared.image.shape
    white = np.fft.rfft2(rng.standard_normal(shape))
    white /= np.maximum(np.abs(white), 1e-9)
    noise = np.fft.irfft2(np.abs(np.fft.rfft2(prepared.image)) * white, s=shape)
    _, score = find_peaks(
        picker.compute_scores(noise.astype(np.float32)),
        erode_mask(prepared.usable, picker.model.diameter_px / 2),
        radius=picker.radius_ang / pixel_size_ang,
        threshold=-8.0,
        scale_yx=prepared.scale_yx,
    )
    return score


def inside(data: ForeignSet, xy_px: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points in the part of the micrographs that is evaluated."""
    if data.judged_px is None:
        return xy_px, score
    left, right, top, bottom = data.judged_px
    x, y = xy_px.T
    rows = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return xy_px[rows], score[rows]
