"""Accuracy of calibrated scores and particle counts on three simulated sets and EMPIAR-10017.

For each set and seed, 25 labels are drawn at random from the training micrographs, and
`cryopick train` and `cryopick pick` run without a given number of particles. The tables show
the estimated number of particles, the expected calibration error on the test micrographs, F1 at
the automatic and at the best threshold, and the same by defocus and by ice thickness.
Existing results in runs/calibration are reused.

    .venv/bin/python benchmarks/calibration.py [--sets compact rod] [--labels 25] [--seeds 2]
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import ROOT, cryopick, listed
from empiar10017 import RADIUS_PX, micrographs, with_spread
from pu_learning import MOLECULES, SETS, TRAINING, data

from cryopick.evaluate.confidence import compute_calibration_curve
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.expectation import estimate_metrics, find_best_threshold
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.model.model_file import load_model
from cryopick.picks import Picks

OUT = ROOT / "runs" / "calibration"
SIMULATED_PX_ANG = 2.0


@dataclass(frozen=True)
class Set:
    """A data set with complete ground truth.

    Attributes:
        name: Name of the set.
        training, test: Micrographs.
        truth: All particles on them.
        diameter_ang: Diameter of the particle.
        pixel_size_ang: Pixel size, if the files do not contain it.
        radius_px: Largest distance of a correct pick from a particle.
    """

    name: str
    training: list[Path]
    test: list[Path]
    truth: Picks
    diameter_ang: float
    pixel_size_ang: float | None
    radius_px: float

    @classmethod
    def of(cls, name: str) -> "Set":
        """Return a data set by name; a missing simulated one is made."""
        options = data(name, is_trial=False)
        table = read_picks(Path(str(options[options.index("-p") + 1])))
        if name == "empiar10017":
            parts = micrographs("train"), micrographs("test")
            return cls(name, *parts, table, 190, 1.77, RADIUS_PX)
        paths = sorted((ROOT / "runs" / "benchmark" / "data" / name / "micrographs").glob("*.mrc"))
        diameter = MOLECULES[name]
        within = diameter / SIMULATED_PX_ANG / 3
        return cls(name, paths[:TRAINING], paths[TRAINING:], table, diameter, None, within)

    def on(self, paths: Sequence[Path]) -> Picks:
        """Return the particles on some micrographs."""
        return match_names(self.truth, paths).picks

    @property
    def pixel_size(self) -> tuple[object, ...]:
        """Return the pixel size option, if needed."""
        return ("--pixel-size-ang", self.pixel_size_ang) if self.pixel_size_ang else ()


@dataclass(frozen=True)
class Run:
    """Results of one training run.

    Attributes:
        number: Estimated particles on a training micrograph, over the true number.
        interval: Confidence interval of that ratio.
        error: Expected calibration error.
        expected: Expected number of particles on the test micrographs, over the true number.
        f1: F1 at the best threshold, at the automatic one and at 0.
        area: Average precision.
        groups: Calibration error and F1 at the automatic threshold by kind of micrograph.
    """

    number: float
    interval: tuple[float, float]
    error: float
    expected: float
    f1: tuple[float, float, float]
    area: float
    groups: dict[str, tuple[float, float]]


def main() -> None:
    """Run missing experiments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--labels", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=2)
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    found = {}
    for seed in range(chosen.seeds):
        for name in chosen.sets:
            own = Set.of(name)
            found[name, seed] = judged(own, *trained(own, chosen.labels, seed))
    seeds = range(chosen.seeds)
    print("\n| set | particles, estimated / true | calibration error | expected / true on test |")
    print("|---|---|---|---|")
    for name in chosen.sets:
        runs = [found[name, seed] for seed in seeds]
        numbers = ", ".join(
            f"{r.number:.2f} ({r.interval[0]:.2f} to {r.interval[1]:.2f})" for r in runs
        )
        errors = ", ".join(f"{r.error:.3f}" for r in runs)
        print(f"| {name} | {numbers} | {errors} | {', '.join(f'{r.expected:.2f}' for r in runs)} |")
    print("\n| set | average precision | best F1 | F1, auto | F1, threshold 0 | auto below best |")
    print("|---|---|---|---|---|---|")
    for name in chosen.sets:
        runs = [found[name, seed] for seed in seeds]
        cells = [with_spread([r.area for r in runs])]
        cells += [with_spread([r.f1[i] for r in runs]) for i in range(3)]
        cells.append(", ".join(f"{r.f1[0] - r.f1[1]:.3f}" for r in runs))
        print(f"| {name} |", " | ".join(cells), "|")
    print("\n| test micrographs | " + " | ".join(n for n in chosen.sets if n in MOLECULES) + " |")
    print("|---|" + "---|" * sum(n in MOLECULES for n in chosen.sets))
    for kind in ("less defocus", "more defocus", "thinner ice", "thicker ice"):
        cells = []
        for name in chosen.sets:
            if name in MOLECULES:
                runs = [found[name, seed].groups[kind] for seed in seeds]
                errors, f1 = zip(*runs, strict=True)
                cells.append(f"{np.mean(errors):.3f}, F1 {np.mean(f1):.3f}")
        print(f"| {kind} |", " | ".join(cells), "|")


def trained(own: Set, labels: int, seed: int) -> tuple[Path, Path]:
    """Train a model and pick the test micrographs."""
    stem = f"{own.name}-{labels}-{seed}"
    table, model, picks = OUT / f"{stem}-labels.tsv", OUT / f"{stem}.safetensors", OUT / stem
    picks = picks.with_suffix(".tsv")
    if not table.exists():
        known = own.on(own.training)
        rows = np.random.default_rng(seed).choice(len(known), labels, replace=False)
        write_picks(known.select(np.sort(rows)), table)
    if not model.exists():
        cryopick(
            *("train", "-m", listed(own.training, OUT / f"{own.name}-train-list"), "-p", table),
            *("--diameter-ang", own.diameter_ang, *own.pixel_size, "--seed", seed, "-o", model),
        )
    if not picks.exists():
        cryopick(
            *("pick", listed(own.test, OUT / f"{own.name}-test-list"), "--model", model),
            *(*own.pixel_size, "-o", picks),
        )
    return model, picks


def judged(own: Set, model: Path, table: Path) -> Run:
    """Compare expected values with the truth."""
    known = own.on(own.test)
    picks = match_names(read_picks(table), own.test).picks
    estimate = load_model(model).summary["estimated_particles"]
    true = len(own.on(own.training)) / len(own.training)
    result = evaluate_picks(picks, known, own.radius_px, [str(path) for path in own.test])
    hit = match_picks(picks, known, own.radius_px) >= 0
    auto = find_best_threshold(picks)
    return Run(
        number=estimate["number"] / true,
        interval=(estimate["low"] / true, estimate["high"] / true),
        error=compute_calibration_curve(picks.score, hit).calibration_error,
        expected=estimate_metrics(picks).distribution.count.value / len(known),
        f1=(result.best.f1, f1_at(picks, known, auto, own), result.at_zero_threshold.f1),
        area=result.average_precision,
        groups=by_kind(picks, known, auto, own) if own.name in MOLECULES else {},
    )


def f1_at(picks: Picks, known: Picks, threshold: float, own: Set) -> float:
    """Return the F1 of picks at or above a threshold."""
    kept = apply_threshold(picks, threshold)
    return evaluate_picks(kept, known, own.radius_px, known.micrographs).all_picks.f1


def by_kind(
    picks: Picks, known: Picks, threshold: float, own: Set
) -> dict[str, tuple[float, float]]:
    """Return calibration error and F1 on halves of the test micrographs, by a property."""
    kinds = {}
    for column, names in (
        ("defocus_um", ("less defocus", "more defocus")),
        ("ice_frac", ("thinner ice", "thicker ice")),
    ):
        level = {
            name: float(np.mean(known.extra[column][rows].astype(float)))
            for name, rows in known.rows_by_micrograph().items()
        }
        order = sorted(level, key=level.get)
        half = len(order) // 2
        for name, part in zip(names, (order[:half], order[half:]), strict=True):
            few, truth = picks.restrict(part), known.restrict(part)
            hit = match_picks(few, truth, own.radius_px) >= 0
            error = compute_calibration_curve(few.score, hit).calibration_error
            kinds[name] = (error, f1_at(few, truth, threshold, own))
    return kinds


if __name__ == "__main__":
    main()
