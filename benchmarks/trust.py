"""Compare predicted counts, rates, thresholds and verdicts with the truth of each set.

    .venv/bin/python benchmarks/trust.py           print the tables
    .venv/bin/python benchmarks/trust.py --fit     fit the constants again, for a new general model

Each set of `foreign_sets.py` is evaluated with constants that were fitted without it. The general
model picks a few micrographs of each; the peaks are cached by the version of the model. With
labels, these are drawn at random, and their scores by the general model, which did not learn from
them, are used as well. `--fit` writes `src/cryopick/evaluate/score_prior.json`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.special import expit
from trust_fit import Trial, draw_labels, leave_out, search, true_rates
from trust_peaks import Peaks, load_peaks

from cryopick.evaluate.emptiness import classify_micrographs
from cryopick.evaluate.precision_recall import compute_precision_recall
from cryopick.evaluate.score_distribution import Interval, fit_score_distribution
from cryopick.evaluate.score_prior import SCORE_PRIOR_FILE, ScorePrior

DEVIATIONS = ("precision_deviation", "recall_deviation", "count_deviation", "labelled_deviation")
SIMULATORS = ("aspire", "cryojax", "own")
HEAD = (
    "| set | particles | expected | precision | promised | recall | promised | F1, automatic "
    "| best | calibration error | of the score column | verdicts |"
)


@dataclass(frozen=True)
class Row:
    """Promises and truth of one set; pairs are the truth and what was promised."""

    name: str
    is_complete: bool
    count: tuple[int, Interval]
    precision: tuple[float, Interval]
    recall: tuple[float, Interval]
    f1: tuple[float, float]
    calibration_error: tuple[float, float]
    verdicts: str

    def cells(self) -> list[str]:
        """Cells of the table."""
        wrong = "" if not self.is_complete or covers(self.count) else " ✗"
        return [
            self.name,
            f"{self.count[0]}",
            f"{describe(self.count[1], 0)}{wrong}",
            f"{self.precision[0]:.2f}",
            describe(self.precision[1], 2),
            f"{self.recall[0]:.2f}",
            describe(self.recall[1], 2),
            *(f"{f1:.3f}" for f1 in self.f1),
            *(f"{error:.3f}" for error in self.calibration_error),
            self.verdicts,
        ]


def main(words: Sequence[str] | None = None) -> None:
    """Fit the constants if asked to, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--trials", type=int, default=60, help="of the fit [60]")
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 25])
    parser.add_argument("--sets", nargs="+")
    chosen = parser.parse_args(words)
    sets = load_peaks(chosen.sets)
    stored = SCORE_PRIOR_FILE.read_text()
    prior, trial = ScorePrior.from_json(stored), Trial(**json.loads(stored)["fit"])
    if chosen.fit:
        prior, trial = search(sets, chosen.trials, trial)
        values = asdict(prior) | {"fit": asdict(trial)}
        SCORE_PRIOR_FILE.write_text(json.dumps(values, indent=1) + "\n")
    deviations = {name: getattr(prior, name) for name in DEVIATIONS}
    known = load_peaks() if chosen.sets else sets
    priors = {name: replace(one, **deviations) for name, one in leave_out(known, trial).items()}
    judged = [peaks for peaks in sets if len(peaks.particle_score)]
    for labels in chosen.labels:
        print_table([judge(peaks, priors[peaks.family], labels) for peaks in judged], labels)
    print_empty([peaks for peaks in sets if not len(peaks.particle_score)])


def judge(peaks: Peaks, prior: ScorePrior, n_labels: int, draw: int = 0) -> Row:
    """Compare the promises on one set with the truth."""
    labels = draw_labels(peaks, n_labels, draw)
    fit = fit_score_distribution(peaks.picks.score, labels, prior)
    at = fit.best_threshold
    precision, recall = true_rates(peaks, at)
    n_true = len(peaks.particle_score)
    curve = compute_precision_recall(peaks.score, peaks.is_particle, n_true)
    rows = peaks.score >= -6
    score, is_particle = peaks.score[rows], peaks.is_particle[rows]
    errors = [
        calibration_error(probability, is_particle)
        for probability in (fit.compute_probability(score), expit(score))
    ]
    verdicts = [
        verdict.name.lower().replace("_", " ") for verdict in classify_micrographs(peaks.picks)
    ]
    counted = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
    return Row(
        name=peaks.name,
        is_complete=peaks.is_complete,
        count=(n_true, fit.count),
        precision=(precision, fit.estimate_precision(at)),
        recall=(recall, fit.estimate_recall(at)),
        f1=(curve.at_threshold(at).f1, float(curve.f1.max())),
        calibration_error=(errors[0], errors[1]),
        verdicts=counted,
    )


def calibration_error(probability: np.ndarray, is_particle: np.ndarray, groups: int = 10) -> float:
    """Expected calibration error over all picks of a table, in groups of equal size."""
    parts = np.array_split(np.argsort(probability, kind="stable"), groups)
    differences = [abs(probability[rows].mean() - is_particle[rows].mean()) for rows in parts]
    return float(np.average(differences, weights=[len(rows) for rows in parts]))


def covers(pair: tuple[float, Interval]) -> bool:
    """Test if an interval contains the truth."""
    truth, interval = pair
    return interval.low <= truth <= interval.high


def describe(interval: Interval, digits: int) -> str:
    """Describe an estimate and its interval."""
    value, low, high = (f"{x:.{digits}f}" for x in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def print_table(rows: Sequence[Row], labels: int) -> None:
    """Print one line a set, and the summary."""
    print(f"\n{labels} labels\n\n{HEAD}\n|" + "---|" * HEAD.count("|"))
    for row in rows:
        print("| " + " | ".join(row.cells()) + " |")
    losses = np.array([row.f1[1] - row.f1[0] for row in rows])
    print(
        f"\nF1 lost by the automatic threshold: mean {losses.mean():.3f}, largest "
        f"{losses.max():.3f}; {(losses > 0.08).sum()} of {len(losses)} sets lose more than 0.08"
    )
    complete = [row for row in rows if row.is_complete]
    for name in ("count", "precision", "recall"):
        covered = [covers(getattr(row, name)) for row in complete]
        print(f"95 % intervals of {name} that contain the truth: {sum(covered)} of {len(covered)}")
    simulated = [row for row in complete if row.name.startswith(SIMULATORS)]
    errors = np.array([row.calibration_error for row in simulated])
    for column, what in enumerate(("calibration error", "calibration error of the score column")):
        values = errors[:, column]
        print(
            f"{what}, simulated sets: at most {values.max():.3f}; at most 0.05 on "
            f"{(values <= 0.05).sum()} of {len(values)}"
        )


def print_empty(sets: Sequence[Peaks]) -> None:
    """Print the verdicts on micrographs without particles."""
    print("\n| no particles | verdicts |\n|---|---|")
    for peaks in sets:
        verdicts = ", ".join(str(verdict) for verdict in classify_micrographs(peaks.picks))
        print(f"| {peaks.name} | {verdicts} |")


if __name__ == "__main__":
    main()
