"""Recall by view: orientations that blob detection, templates, the peer and models miss.

Simulates Y-shaped and rod-like particles with known orientations, picks them in several ways, and
prints recall over 18 bins of the sphere of views at the threshold of the best F1. Every seed has
micrographs and labels of its own; the particles of all seeds are counted together. Existing results
in runs/views are reused. Takes about four minutes per molecule and seed on a free core. The rows of
the peer need its environment (`make .peer/.installed`).

    OMP_NUM_THREADS=1 nice -n 12 .venv/bin/python benchmarks/views.py [--molecules y-shaped rod]
    .venv/bin/python benchmarks/views.py --figure docs/results/views.png
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from common import CRYOPICK, ROOT, listed

from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.recall_profile import find_angles
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks
from cryopick.simulate.molecule_files import load_molecule

OUT = ROOT / "runs" / "views"
TOPAZ = ROOT / ".peer" / "bin" / "topaz"
MOLECULES = {"y-shaped": 150, "rod": 218}  # longest extent in ångströms
PIXEL_ANG = 2.0
COUNT, LABELLED = 12, 4  # micrographs, and those with labels; the others are evaluated
PARTICLES = 40  # on a micrograph
LABELS = 25
PEER_BINNING = 4  # to 8 Å: the particles span about 20 pixels, as in its own training
MAP_VOXEL_ANG = 4.0

Method = Callable[["Run", Path], Path]  # picks the test micrographs, and returns the table


@dataclass(frozen=True)
class Run:
    """One molecule and seed."""

    molecule: str
    seed: int

    @property
    def folder(self) -> Path:
        """Folder of all its files."""
        return OUT / f"{self.molecule}-{self.seed}"

    @property
    def diameter_ang(self) -> int:
        """Longest extent."""
        return MOLECULES[self.molecule]

    @property
    def micrographs(self) -> list[Path]:
        """All micrographs, those with labels first."""
        return sorted((self.folder / "micrographs").glob("*.mrc"))

    def listed(self, part: str) -> str:
        """Return the micrographs `labelled`, `test` or `all` as one word of a command line."""
        parts = {"labelled": slice(LABELLED), "test": slice(LABELLED, None), "all": slice(None)}
        return listed(self.micrographs[parts[part]], self.folder / part)

    def truth(self) -> Picks:
        """Return the particles on the labelled micrographs."""
        paths = self.micrographs[:LABELLED]
        return match_names(read_picks(self.folder / "particles.tsv"), paths).picks

    def simulate(self) -> None:
        """Simulate the micrographs, unless they exist."""
        if not (self.folder / "particles.tsv").exists():
            cryopick(
                *("simulate", self.folder, "--count", COUNT, "--molecule", self.molecule),
                *("--particles", PARTICLES, "--width-px", 1024, "--height-px", 1024),
                *("--pixel-size-ang", PIXEL_ANG, "--ice-thickness-ang", 700),
                *("--dose-e-per-ang2", 30, "--seed", 31 + self.seed, "--force"),
            )

    def result(self, name: str, pick: Method) -> dict[str, Any]:
        """Return the evaluation of a method, as JSON values."""
        out = self.folder / f"{name.replace(' ', '-').replace(',', '')}.json"
        if not out.exists():
            out.write_text(self.evaluate(pick(self, out.with_suffix(".star"))))
        return json.loads(out.read_text())

    def evaluate(self, picks: Path) -> str:
        """Evaluate picks on the test micrographs, and return JSON."""
        names = self.folder / "test-names.txt"
        names.write_text("".join(f"{path.stem}\n" for path in self.micrographs[LABELLED:]))
        words = (
            *("evaluate", picks, self.folder / "particles.tsv", "--by-view", "--json"),
            *("--diameter-ang", self.diameter_ang / 1.5, "--pixel-size-ang", PIXEL_ANG),
            *("--only", names),
        )
        return run(CRYOPICK, *words)


def main() -> None:
    """Run missing steps, print the tables, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", nargs="+", default=list(MOLECULES), choices=MOLECULES)
    parser.add_argument("--methods", nargs="+", help="only these", choices=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="draw recall by view to this file")
    chosen = parser.parse_args()
    recalls = {}
    for molecule in chosen.molecules:
        print(f"\n### {molecule}, {chosen.seeds} seeds\n")
        print("| method | AP | best F1 | recall | recall by view, least to most | P of equality |")
        print("|---|---|---|---|---|---|", flush=True)
        for name in chosen.methods or METHODS:
            runs = [Run(molecule, seed) for seed in range(chosen.seeds)]
            for one in runs:
                one.simulate()
            results = [one.result(name, METHODS[name]) for one in runs]
            counts = pool_views(results)
            recalls[molecule, name] = {label: found / n for label, (n, found) in counts.items()}
            print(describe(name, results, counts), flush=True)
    if chosen.figure:
        draw(recalls, chosen.figure)


def pool_views(results: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Add the particles and the found ones of each view over the seeds."""
    counts: dict[str, tuple[int, int]] = {}
    for result in results:
        for one in result["recall_profile"]["bins"]["view"]:
            n, found = counts.get(one["label"], (0, 0))
            counts[one["label"]] = (n + one["n_truth"], found + one["n_found"])
    return counts


def describe(
    name: str, results: Sequence[Mapping[str, Any]], counts: Mapping[str, tuple[int, int]]
) -> str:
    """Return the row of a method."""
    from scipy.stats import chi2_contingency

    columns = (
        [result["average_precision"] for result in results],
        [result["best"]["f1"] for result in results],
        [result["recall_profile"]["recall"] for result in results],
    )
    table = np.array([(found, n - found) for n, found in counts.values()])
    p_value = float(chi2_contingency(table, correction=False).pvalue)
    recall = sorted(found / n for n, found in counts.values())
    cells = [name, *map(spread, columns), f"{recall[0]:.2f} to {recall[-1]:.2f}", f"{p_value:.2g}"]
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float]) -> str:
    """Return mean ± standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def pick_blobs(one: Run, out: Path) -> Path:
    """Pick by difference of Gaussians."""
    words = ("--diameter-ang", 0.6 * one.diameter_ang, "-o", out, "--force")
    cryopick("propose", one.listed("test"), *words)
    return out


def match_templates(templates: Callable[[Run], Path]) -> Method:
    """Return a method that matches templates."""

    def pick(one: Run, out: Path) -> Path:
        cryopick(
            *("propose", one.listed("all"), "--diameter-ang", 0.6 * one.diameter_ang),
            *("--templates", templates(one), "-o", out, "--force"),
        )
        return out

    return pick


def write_map(one: Run) -> Path:
    """Write the density of the simulated molecule."""
    path = one.folder / "molecule.mrc"
    molecule = load_molecule(one.molecule)
    side = 2 * int(0.75 * one.diameter_ang / MAP_VOXEL_ANG)
    at = np.rint(molecule.xyz_ang / MAP_VOXEL_ANG).astype(int) + side // 2
    density = np.zeros((side, side, side), np.float32)
    np.add.at(density, tuple(at.T[::-1]), molecule.mass_da)
    with mrcfile.new(path, density, overwrite=True) as file:
        file.voxel_size = MAP_VOXEL_ANG
    return path


def pick_without_labels(one: Run, out: Path) -> Path:
    """Pick with the general model."""
    cryopick("pick", one.listed("test"), "--diameter-ang", one.diameter_ang, "-o", out, "--force")
    return out


def pick_by_peer(one: Run, out: Path) -> Path:
    """Pick with the pretrained detector of the peer."""
    return run_peer(one.micrographs[LABELLED:], one.diameter_ang, out)


def run_peer(micrographs: Sequence[Path], diameter_ang: float, out: Path) -> Path:
    """Pick micrographs of 2 Å per pixel with the pretrained detector of the peer."""
    small, maps, table = (out.with_suffix(suffix) for suffix in (".small", ".maps", ".txt"))
    small.mkdir(exist_ok=True)
    quiet = ("-d", -1, "-j", 1)
    run(TOPAZ, "preprocess", "-s", PEER_BINNING, *quiet, "-o", f"{small}/", *micrographs)
    prepared = [small / path.name for path in micrographs]
    run(TOPAZ, "segment", "-m", "resnet16", *quiet, "-o", f"{maps}/", *prepared)
    radius_px = round(diameter_ang / 2 / PIXEL_ANG / PEER_BINNING)
    run(
        *(TOPAZ, "extract", "-m", "none", "-r", radius_px, "-x", PEER_BINNING, "-t", -6, *quiet),
        *("-o", table, *[maps / f"{path.stem}.tiff" for path in micrographs]),
    )
    return table


def train_on(labels: Callable[[Run], tuple[Path, Path | None]]) -> Method:
    """Return a method that trains on labels, and on negatives if there are any."""

    def pick(one: Run, out: Path) -> Path:
        model = out.with_suffix(".safetensors")
        table, negatives = labels(one)
        cryopick(
            *("train", "-m", one.listed("labelled"), "-p", table, "-o", model, "--force"),
            *("--diameter-ang", one.diameter_ang, "--particles-per-micrograph", PARTICLES),
            *(("--negatives", negatives) if negatives else ()),
        )
        cryopick("pick", one.listed("test"), "--model", model, "-o", out, "--force")
        return out

    return pick


def draw_random_labels(one: Run) -> tuple[Path, None]:
    """Write random labels."""
    truth = one.truth()
    order = np.random.default_rng(one.seed).permutation(len(truth))
    return write_labels(one, "random", truth.select(np.sort(order[:LABELS]))), None


def draw_labels_of_one_view(one: Run) -> tuple[Path, None]:
    """Write the labels whose views are nearest to that of a random particle."""
    truth = one.truth()
    azimuth, polar = np.radians(find_angles(truth)).T
    view = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], 1
    )
    first = np.random.default_rng(one.seed).integers(len(truth))
    order = np.argsort(-(view @ view[first]))[:LABELS]
    reach_deg = np.degrees(np.arccos(np.clip((view @ view[first])[order[-1]], -1, 1)))
    print(f"views of {one.folder.name} within {reach_deg:.0f}°", file=sys.stderr)
    return write_labels(one, "one-view", truth.select(np.sort(order))), None


def answer_suggestions(one: Run) -> tuple[Path, Path]:
    """Write the answers to 25 suggestions of the general model: labels and negatives."""
    suggested = one.folder / "suggested.star"
    words = ("--count", LABELS, "-o", suggested, "--diameter-ang", one.diameter_ang, "--force")
    cryopick("suggest", one.listed("labelled"), *words)
    candidates = match_names(read_picks(suggested), one.micrographs[:LABELLED]).picks
    truth = one.truth()
    candidates = candidates.restrict(truth.micrographs)
    rows = match_picks(candidates, truth, one.diameter_ang / 3 / PIXEL_ANG)
    labels = write_labels(one, "suggested", truth.select(np.unique(rows[rows >= 0])))
    return labels, write_labels(one, "rejected", candidates.select(rows < 0))


def write_labels(one: Run, name: str, labels: Picks) -> Path:
    """Write a table and return its path."""
    path = one.folder / f"labels-{name}.tsv"
    write_picks(labels, path, overwrite=True)
    return path


METHODS: dict[str, Method] = {
    "blob detection": pick_blobs,
    "templates, mean of 25 random labels": match_templates(lambda one: draw_random_labels(one)[0]),
    "templates, projections of the true map": match_templates(write_map),
    "peer, pretrained": pick_by_peer,
    "general model, no labels": pick_without_labels,
    "trained, 25 random labels": train_on(draw_random_labels),
    "trained, 25 labels of one view": train_on(draw_labels_of_one_view),
    "trained, 25 answered suggestions": train_on(answer_suggestions),
}


def draw(recalls: Mapping[tuple[str, str], Mapping[str, float]], path: Path) -> None:
    """Draw the recall of each method in each view, one panel per molecule."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    molecules = list(dict.fromkeys(molecule for molecule, _ in recalls))
    figure = Figure(figsize=(9, 3.2 * len(molecules)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(molecules), squeeze=False)[:, 0]
    for molecule, axes in zip(molecules, panels, strict=True):
        rows = {name: values for (kind, name), values in recalls.items() if kind == molecule}
        views = list(dict.fromkeys(label for values in rows.values() for label in values))
        image = axes.imshow(
            [[values.get(label, np.nan) for label in views] for values in rows.values()],
            vmin=0,
            vmax=1,
            cmap="viridis",
            aspect="auto",
        )
        axes.set_yticks(range(len(rows)), rows, fontsize="small")
        axes.set_xticks(range(len(views)), views, rotation=90, fontsize="xx-small")
        axes.set_title(f"{molecule}: recall by view", loc="left", fontsize="medium")
        figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=110)


def cryopick(*arguments: object) -> None:
    """Run a cryopick command."""
    run(CRYOPICK, *arguments)


def run(*words: object) -> str:
    """Run a program and return its output; its messages go to stderr."""
    line = list(map(str, words))
    print("$", *line, file=sys.stderr, flush=True)
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
