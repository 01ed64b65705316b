"""The workflow of the paper for a difficult particle, on simulated micrographs.

Blob detection, 2D classes, labels from the good classes, training, picking, removal of the known
particles, and 2D classes again: the commands of docs/howto/workflow.md. Prints how many picks each
step keeps, how many of them are right, and how many particles they find. Existing results in
runs/workflow are reused. Needs RELION.

    OMP_NUM_THREADS=1 nice -n 12 .venv/bin/python benchmarks/workflow.py [--molecules ring y-shaped]
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import CRYOPICK, ROOT

from cryopick.evaluate.matching import match_picks
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks

OUT = ROOT / "runs" / "workflow"
MOLECULES = {"ring": 150, "y-shaped": 150}  # longest extent in ångströms
PIXEL_ANG = 3.0
PARTICLES = 50  # on a micrograph
CLASSES, ITERATIONS = 8, 12


@dataclass(frozen=True)
class Workflow:
    """The steps for one molecule, in one folder."""

    molecule: str
    count: int

    @property
    def folder(self) -> Path:
        """Folder of all files."""
        return OUT / f"{self.molecule}-{self.count}"

    @property
    def diameter_ang(self) -> int:
        """Longest extent."""
        return MOLECULES[self.molecule]

    def run(self) -> Iterator[tuple[str, Path]]:
        """Run missing steps; yield the name and the table of each."""
        diameter = ("--diameter-ang", self.diameter_ang)
        self.step(
            "data/particles.tsv",
            *("simulate", "data", "--molecule", self.molecule, "--count", self.count),
            *("--particles", PARTICLES, "--width-px", 800, "--height-px", 800),
            *("--pixel-size-ang", PIXEL_ANG, "--seed", 23, "--force"),
        )
        micrographs = ("-m", "data/micrographs")
        blobs = ("propose", "data/micrographs", "--diameter-ang", 0.6 * self.diameter_ang)
        yield "blob detection, all", self.step("blobs.star", *blobs, "-o", "blobs.star", "--force")
        many = PARTICLES * self.count
        keep = ("threshold", "blobs.star", "--keep", many, "-o", "best.star", "--force")
        yield "blob detection, the best", self.step("best.star", *keep)
        first = self.classify("best.star", "first")
        self.step(
            "labels/labels.star",
            *("feedback", first, "--verdicts", "first/classes.tsv", "-o", "labels", "--force"),
            *("--max-negatives", many // 4),
        )
        yield "in classes of particles: labels", self.folder / "labels" / "labels.star"
        self.step(
            "particle.safetensors",
            *("train", *micrographs, "-p", "labels/labels.star", *diameter),
            *("--negatives", "labels/negatives.star", "-o", "particle.safetensors", "--force"),
        )
        self.step(
            "all.star",
            *("pick", "data/micrographs", "--model", "particle.safetensors", "-o", "all.star"),
            "--force",
        )
        auto = ("threshold", "all.star", "--at", "auto", "-o", "picks.star", "--force")
        yield "trained, automatic threshold", self.step("picks.star", *auto)
        radius_px = self.diameter_ang / 2 / PIXEL_ANG
        subtract = ("combine", "subtract", "picks.star", "labels/labels.star", "-o", "new.star")
        yield "of these, new", self.step("new.star", *subtract, "--radius-px", radius_px, "--force")
        second = self.classify("picks.star", "second")
        self.step(
            "final/labels.star",
            *("feedback", second, "--verdicts", "second/classes.tsv", "-o", "final", "--force"),
        )
        yield "trained, in classes of particles", self.folder / "final" / "labels.star"
        shares = [str(CRYOPICK), "validate", "shares", str(second), str(first)]
        subprocess.run(shares, cwd=self.folder, check=True, stdout=sys.stderr)

    def classify(self, picks: str, out: str) -> Path:
        """Classify the better half and all of some picks; return the data of all."""
        scores = read_picks(self.folder / picks).score
        at = [word for value in (np.median(scores), scores.min()) for word in ("--at", value)]
        self.step(
            f"{out}/classes.tsv",
            *("validate", "classes", picks, "-m", "data/micrographs", "-o", out, *at),
            *("--diameter-ang", self.diameter_ang, "--classes", CLASSES),
            *("--iterations", ITERATIONS, "--truth", "data/particles.tsv"),
        )
        return Path(out) / "set_2" / f"run_it{ITERATIONS:03d}_data.star"

    def step(self, made: str, *words: object) -> Path:
        """Run a cryopick command in the folder, unless its output exists, and return that."""
        if not (self.folder / made).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            command = [str(CRYOPICK), *map(str, words)]
            print("$", *command, file=sys.stderr, flush=True)
            subprocess.run(command, cwd=self.folder, check=True, stdout=sys.stderr)
        return self.folder / made

    def judge(self, table: Path) -> tuple[int, float, float]:
        """Return the number of picks, the fraction that is right, and that of found particles."""
        paths = sorted((self.folder / "data" / "micrographs").glob("*.mrc"))
        truth = match_names(read_picks(self.folder / "data" / "particles.tsv"), paths).picks
        picks = match_names(read_picks(table), paths).picks.restrict(truth.micrographs)
        partner = match_picks(picks, truth, self.diameter_ang / 3 / PIXEL_ANG)
        found = len(np.unique(partner[partner >= 0]))
        return len(picks), found / max(1, len(picks)), found / len(truth)


def main() -> None:
    """Run missing steps and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", nargs="+", default=list(MOLECULES), choices=MOLECULES)
    parser.add_argument("--count", type=int, default=8, help="micrographs")
    chosen = parser.parse_args()
    for molecule in chosen.molecules:
        workflow = Workflow(molecule, chosen.count)
        print(f"\n### {molecule}, {chosen.count} micrographs\n")
        print("| step | picks | right | particles found |\n|---|---|---|---|", flush=True)
        for name, table in workflow.run():
            count, precision, recall = workflow.judge(table)
            print(f"| {name} | {count} | {precision:.1%} | {recall:.1%} |", flush=True)


if __name__ == "__main__":
    main()
