"""Benefit of negatives: labels alone, and labels with rejected picks.

A person trains on labels, inspects the highest-scoring picks on the training micrographs, rejects
the first wrong ones, and trains again. The rejection is simulated with the table of all particles:
a pick is wrong if it is about a particle radius or more from all of them. Other micrographs serve
for evaluation. There are two data sets: `dirty`, simulated with carbon and 120 ice contaminants
per micrograph, nearly as small as the particles; and `empiar10017`. Existing results are reused.

    .venv/bin/python benchmarks/negatives.py [dirty] [empiar10017] [--negatives 0 20] [--seeds 3]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import ROOT, cryopick, listed
from empiar10017 import DATA, micrographs, with_spread

from cryopick.evaluate.evaluation import Evaluation, evaluate_picks
from cryopick.evaluate.matching import is_near
from cryopick.evaluate.thresholds import select_strongest
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.pipeline import rescale_micrograph

OUT = ROOT / "runs" / "negatives"
FIGURE = ROOT / "docs" / "results" / "negatives.png"
CONTAMINATION = "specks = 120\ncontaminants = 10\ncrystals = 3\ncarbon_prob = 0.6\n"
SHOWN_AT = 4  # raw pixels to one of the figure
TRAINING = 5  # of the 8 dirty micrographs


def main() -> None:
    """Run missing experiments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=["dirty", "empiar10017"])
    parser.add_argument("--negatives", type=int, nargs="+", default=[0, 20])
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    for name in chosen.sets:
        data = {"dirty": dirty, "empiar10017": empiar10017}[name]()
        print(f"\n| {name}: labels | negatives | average precision | best F1 |")
        print("|---|---|---|---|")
        for labels in data.labels:
            for number in chosen.negatives:
                seeds = range(chosen.seeds)
                found = [data.judged(data.picked(labels, number, seed, "test")) for seed in seeds]
                area = with_spread([one.average_precision for one in found])
                f1 = with_spread([one.best.f1 for one in found])
                print(f"| {labels} | {number} | {area} | {f1} |", flush=True)
        if name == "dirty":
            draw(data, data.labels[0], chosen.negatives)


@dataclass(frozen=True)
class Data:
    """A data set with complete ground truth.

    Attributes:
        folder: Folder of the runs.
        train, test: Micrographs.
        particles: All particles.
        labels: Numbers of labels to train on.
        diameter_ang: Diameter of the particle.
        pixels: Options for the pixel size, if the files do not contain it.
        radius_px: Largest distance of a correct pick from a particle.
        per_micrograph: Particles per micrograph.
    """

    folder: Path
    train: list[Path]
    test: list[Path]
    particles: Path
    labels: tuple[int, ...]
    diameter_ang: int
    pixels: tuple[object, ...]
    radius_px: float
    per_micrograph: int

    def truth(self, split: str) -> Picks:
        """Return all particles on the micrographs of a split."""
        return match_names(read_picks(self.particles), getattr(self, split)).picks

    def judged(self, table: Path) -> Evaluation:
        """Evaluate picks on the test micrographs."""
        own = match_names(read_picks(table), self.test).picks
        return evaluate_picks(own, self.truth("test"), self.radius_px)

    def picked(self, labels: int, number: int, seed: int, split: str) -> Path:
        """Return picks on a split, by a model trained on some labels and negatives."""
        name = f"{labels}_{number}_{seed}"
        model, table = self.folder / f"{name}.safetensors", self.folder / f"{name}-{split}.tsv"
        if not model.exists():
            negatives = ("--negatives", self.rejected(labels, number, seed)) if number else ()
            cryopick(
                *("train", "-m", self.listed("train"), "-p", self.drawn(labels, seed), *negatives),
                *("--diameter-ang", self.diameter_ang, *self.pixels, "--seed", seed),
                *("--particles-per-micrograph", self.per_micrograph, "-o", model),
            )
        if not table.exists():
            cryopick("pick", self.listed(split), "--model", model, *self.pixels, "-o", table)
        return table

    def drawn(self, labels: int, seed: int) -> Path:
        """Draw particles on the training micrographs at random."""
        out = self.folder / f"labels-{labels}-{seed}.tsv"
        truth = self.truth("train")
        chosen = np.random.default_rng(seed).choice(len(truth), labels, replace=False)
        write_picks(truth.select(np.sort(chosen)), out, overwrite=True)
        return out

    def rejected(self, labels: int, number: int, seed: int) -> Path:
        """Return the highest-scoring wrong picks on the training micrographs."""
        table = read_picks(self.picked(labels, 0, seed, "train"))
        particles = dict(self.truth("train").split_by_micrograph())
        wrong: list[Picks] = []
        for name, own in match_names(table, self.train).picks.split_by_micrograph():
            near = is_near(own.xy_px, particles[name].xy_px, 1.5 * self.radius_px)
            wrong.append(own.select(np.flatnonzero(~near)))
        out = self.folder / f"{labels}_{number}_{seed}-rejected.tsv"
        write_picks(select_strongest(concatenate(wrong), number), out, overwrite=True)
        return out

    def listed(self, split: str) -> str:
        """Return the micrographs of a split as one word of a command line."""
        return listed(getattr(self, split), self.folder / f"{split}-list")


def dirty() -> Data:
    """Return Y-shaped particles with carbon, crystals and ice, simulated if missing."""
    folder = OUT / "dirty"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data" / "particles.tsv").exists():
        (folder / "contamination.toml").write_text(CONTAMINATION)
        cryopick(
            *("simulate", folder / "data", "--count", 8, "--molecule", "y-shaped"),
            *("--particles", 70, "--width-px", 1536, "--height-px", 1536, "--pixel-size-ang", 2),
            *("--ice-thickness-ang", 700, "--dose-e-per-ang2", 30, "--seed", 9),
            *("--config", folder / "contamination.toml"),
        )
    paths = sorted((folder / "data" / "micrographs").glob("*.mrc"))
    return Data(
        *(folder, paths[:TRAINING], paths[TRAINING:], folder / "data" / "particles.tsv", (6, 25)),
        diameter_ang=150,
        pixels=(),
        radius_px=25.0,
        per_micrograph=67,
    )


def empiar10017() -> Data:
    """Return real micrographs, on which experts skipped many particle-like objects."""
    folder = OUT / "empiar10017"
    folder.mkdir(parents=True, exist_ok=True)
    return Data(
        *(folder, micrographs("train"), micrographs("test"), DATA / "particles.tsv", (10,)),
        diameter_ang=190,
        pixels=("--pixel-size-ang", 1.77),
        radius_px=40.0,
        per_micrograph=650,
    )


def draw(data: Data, labels: int, negatives: list[int]) -> None:
    """Draw the first test micrograph with as many picks as particles, correct and wrong."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = data.test[0]
    truth = data.truth("test").restrict([str(path)])
    shown = rescale_micrograph(read_micrograph(path).pixels, SHOWN_AT)
    figure = Figure(figsize=(5 * len(negatives), 5.3), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, number in zip(figure.subplots(1, len(negatives)), negatives, strict=True):
        table = match_names(read_picks(data.picked(labels, number, 0, "test")), data.test).picks
        own = select_strongest(table.restrict([str(path)]), len(truth))
        right = is_near(own.xy_px, truth.xy_px, data.radius_px)
        low, high = np.percentile(shown.image, (1, 99))
        axes.imshow(shown.image, cmap="gray", vmin=low, vmax=high)
        for is_right, colour in ((True, "#3bd16f"), (False, "#ff5a4d")):
            x, y = shown.from_raw(own.xy_px[right == is_right]).T
            axes.scatter(x, y, s=110, facecolors="none", edgecolors=colour, linewidths=1.3)
        axes.set_title(f"{labels} labels, {number} negatives: {right.sum()} of {len(own)} right")
        axes.set_axis_off()
    figure.savefig(FIGURE, dpi=80)


if __name__ == "__main__":
    main()
