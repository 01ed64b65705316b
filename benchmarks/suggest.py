"""Active learning: suggested labels compared with random ones.

Compares three strategies with the same number of answers on the training micrographs of
EMPIAR-10017, or of a folder with the same layout, by average precision on its test micrographs:

- suggested: `cryopick suggest` proposes, each time with the model trained on the answers so
  far; a person accepts or rejects them.
- particles: a person labels random particles; every answer is a label.
- candidates: random picks of the first model; a person accepts or rejects them.

The person is simulated by the table of all particles: a candidate near a particle becomes
a label at the position of the particle, any other is rejected, counts as an answer and becomes a
negative. All steps are cryopick commands; existing results are reused. The first suggestions do
not depend on the seed, the models trained on them do.

    .venv/bin/python benchmarks/suggest.py [--answers 10 25 50 100] [--seeds 3] [--init general]
"""

import argparse
import json
import shlex
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import cryopick, listed

from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.io.names import MICROGRAPH_SUFFIXES, match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate
from cryopick.runs.text_files import read_name_list

ROOT = Path(__file__).resolve().parents[1]
WAYS = ("suggested", "particles", "candidates")


@dataclass(frozen=True)
class Experiment:
    """Settings of all runs.

    Attributes:
        data: Folder with micrographs/, particles.tsv, train.txt and test.txt.
        radius_px: Largest distance of a correct pick from a particle.
        out: Folder of the results.
        init: Initialization of training, and model of the first suggestions.
        scale: Options for the particle diameter and the pixel size.
        expected: Options for the expected number of particles.
        train: More options of training.
    """

    data: Path
    radius_px: float
    out: Path
    init: str
    scale: tuple[str, ...]
    expected: tuple[str, ...]
    train: tuple[str, ...]

    def micrographs(self, split: str) -> list[Path]:
        """Return the micrographs of train.txt or test.txt."""
        folder = self.data / "micrographs"
        found = (
            folder / f"{name}{suffix}"
            for name in read_name_list(self.data / f"{split}.txt")
            for suffix in MICROGRAPH_SUFFIXES
        )
        return [path for path in found if path.exists()]

    def listed(self, split: str) -> str:
        """Return the list of micrographs as an argument of a command."""
        return listed(self.micrographs(split), self.out / f"{split}-list")

    def truth(self, split: str) -> Picks:
        """Return the true particles on them."""
        return match_names(read_picks(self.data / "particles.tsv"), self.micrographs(split)).picks

    def first_model(self) -> tuple[str, ...]:
        """Return options for the first model, without answers."""
        return () if self.init == "general" else ("--model", self.init)


@dataclass(frozen=True)
class Run:
    """One strategy with one seed: its folder contains answers, models and picks."""

    experiment: Experiment
    way: str
    seed: int

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.experiment.out / f"{self.way}-{self.seed}"

    def file(self, name: str, answers: int, suffix: str) -> Path:
        """Return a file of the stage that ends with a number of answers."""
        return self.folder / f"{name}-{answers}.{suffix}"

    def stage(self, before: int, answers: int) -> dict[str, object]:
        """Add answers, unless done; return the result."""
        notes = self.file("result", answers, "json")
        if not notes.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            asked, labels, negatives = self.answered(before, answers)
            for name, table in (("asked", asked), ("labels", labels), ("negatives", negatives)):
                write_picks(table, self.file(name, answers, "star"), overwrite=True)
            precision = self.trained(answers) if len(labels) else self.untrained(answers)
            result = {
                "way": self.way,
                "seed": self.seed,
                "answers": answers,
                "labels": len(labels),
                "average_precision": precision,
            }
            notes.write_text(json.dumps(result))
        return json.loads(notes.read_text())

    def answered(self, before: int, answers: int) -> tuple[Picks, Picks, Picks]:
        """Return all questions so far, and the resulting labels and negatives."""
        truth = self.experiment.truth("train")
        if self.way == "particles":
            drawn = truth.select(self.drawn(len(truth), answers))
            return drawn, drawn, drawn.select(np.zeros(0, np.int64))
        if self.way == "candidates":
            picks = read_picks(self.first_picks())
            asked = picks.select(self.drawn(len(picks), answers))
        else:
            asked = self.suggested(before, answers)
        rows = match_picks(asked, truth, self.experiment.radius_px)
        return asked, truth.select(np.unique(rows[rows >= 0])), asked.select(rows < 0)

    def drawn(self, total: int, answers: int) -> np.ndarray:
        """Draw rows at random; larger samples contain the smaller ones."""
        return np.random.default_rng(self.seed).permutation(total)[:answers]

    def first_picks(self) -> Path:
        """Return training-set picks of the first model with scores of at least 0."""
        table = self.experiment.out / "first-picks.star"
        if not table.exists():
            made = self.experiment
            cryopick(
                *("pick", made.listed("train"), *made.first_model(), *made.scale),
                *("--threshold", 0, "-o", table),
            )
        return table

    def suggested(self, before: int, answers: int) -> Picks:
        """Return the suggestions so far, with those after the latest answers."""
        made, table = self.experiment, self.file("candidates", answers, "star")
        known: tuple[object, ...] = made.first_model()
        if before:
            known = ("--asked", self.file("asked", before, "star"))
            if self.file("model", before, "safetensors").exists():
                known += ("--labels", self.file("labels", before, "star"))
                known += ("--model", self.file("model", before, "safetensors"))
            else:
                known += made.first_model()
        cryopick(
            *("suggest", made.listed("train"), *known, *made.scale),
            *("--count", answers - before, "-o", table, "--force"),
        )
        asked = [read_picks(self.file("asked", before, "star"))] if before else []
        return concatenate([*asked, read_picks(table)])

    def trained(self, answers: int) -> float:
        """Train on the labels, pick the test micrographs, and evaluate."""
        made, model = self.experiment, self.file("model", answers, "safetensors")
        if not model.exists():
            negatives = self.file("negatives", answers, "star")
            cryopick(
                *("train", "-m", made.listed("train"), "-o", model, "--seed", self.seed),
                *(("--negatives", negatives) if len(read_picks(negatives)) else ()),
                *("-p", self.file("labels", answers, "star"), "--init", made.init),
                *(*made.scale, *made.expected, *made.train),
            )
        return self.judged(answers, ("--model", str(model)))

    def untrained(self, answers: int) -> float:
        """Evaluate the first model if all candidates were rejected."""
        return self.judged(answers, self.experiment.first_model())

    def judged(self, answers: int, model: tuple[str, ...]) -> float:
        """Return the average precision of a model on the test micrographs."""
        made, table = self.experiment, self.file("picks", answers, "star")
        cryopick(
            *("pick", made.listed("test"), *model, *made.scale),
            *("--threshold", -6, "-o", table, "--force"),
        )
        judged = evaluate_picks(read_picks(table), made.truth("test"), made.radius_px)
        return judged.average_precision or 0.0


def main() -> None:
    """Run missing experiments, write the table, draw the figure."""
    results = ROOT / "docs" / "results"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, nargs="+", default=[10, 25, 50, 100])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--init", default="general", help="general, or a model file")
    parser.add_argument("--train", default="", help="more options of cryopick train")
    parser.add_argument("--diameter-ang", default="190")
    parser.add_argument("--pixel-size-ang", default="1.77")
    parser.add_argument("--particles-per-micrograph", default="650")
    parser.add_argument("--radius-px", type=float, default=40.0)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/empiar10017")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "suggest")
    parser.add_argument("--table", type=Path, default=results / "suggest.tsv")
    parser.add_argument("--figure", type=Path, default=results / "suggest.png")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    made = Experiment(
        data=chosen.data.absolute(),
        radius_px=chosen.radius_px,
        out=chosen.out.absolute(),
        init=chosen.init,
        scale=("--diameter-ang", chosen.diameter_ang, "--pixel-size-ang", chosen.pixel_size_ang),
        expected=("--particles-per-micrograph", chosen.particles_per_micrograph),
        train=tuple(shlex.split(chosen.train)),
    )
    stages = sorted(chosen.answers)
    rows = []
    for seed in range(chosen.seeds):
        for way in chosen.ways:
            run = Run(made, way, seed)
            for before, answers in zip([0, *stages], stages, strict=False):
                rows.append(run.stage(before, answers))
                write(rows, chosen.table)
    show(rows, stages)
    draw(rows, chosen.figure)


def write(rows: list[dict[str, object]], path: Path) -> None:
    """Write a table with one row per run."""
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join([*lines, ""]))


def by_way(rows: list[dict[str, object]], name: str) -> dict[str, dict[int, list[float]]]:
    """Return values of a column over the seeds, by strategy and number of answers."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        at = found.setdefault(str(row["way"]), {}).setdefault(int(str(row["answers"])), [])
        at.append(float(str(row[name])))
    return found


def show(rows: list[dict[str, object]], stages: list[int]) -> None:
    """Print means and standard deviations over the seeds, and the numbers of labels."""
    print("| labels | " + " | ".join(f"{answers} answers" for answers in stages) + " |")
    print("|---|" + "---|" * len(stages))
    labels = by_way(rows, "labels")
    for way, points in by_way(rows, "average_precision").items():
        cells = []
        for answers in stages:
            values, given = points[answers], statistics.mean(labels[way][answers])
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread} ({given:.0f} labels)")
        print(f"| {way} | " + " | ".join(cells) + " |")


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Plot average precision against answers: mean over the seeds, and each run as a dot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (way, points) in enumerate(by_way(rows, "average_precision").items()):
        stages = sorted(points)
        means = [statistics.mean(points[answers]) for answers in stages]
        axes.plot(stages, means, "-", color=f"C{number}", label=way)
        for answers in stages:
            values = points[answers]
            axes.plot([answers] * len(values), values, ".", color=f"C{number}", alpha=0.5)
    axes.set(xscale="log", xlabel="answers", ylabel="average precision on the test micrographs")
    axes.set_xticks(sorted({int(str(row["answers"])) for row in rows}))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
