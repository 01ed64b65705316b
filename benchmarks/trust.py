"""Compare predicted counts, rates, thresholds and verdicts with the truth of each set.

    .venv/bin/python benchmarks/trust.py           print the tables
    .venv/bin/python benchmarks/trust.py --fit     fit the constants again, for a new general model

Each set of `foreign_sets.py` is evaluated with constants that were fitted without it, on the picks
that `foreign.py` made; missing ones are picked. With `--labels`, these are drawn at random, and
their scores by the general model, which did not learn from them, are used as well. With
`--trained`, a model is trained on labels of each set, which takes minutes a set. `--fit` writes
`src/cryopick/evaluate/score_prior.json`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from foreign_sets import list_sets
from scipy.special import expit
from trust_conditions import CONDITIONS, measure_conditions
from trust_fit import (
    Trial,
    draw_labels,
    fit_deviations,
    leave_out,
    list_sparse,
    measure_loss,
    search,
    true_rates,
)
from trust_peaks import OUT, Peaks, load_peaks, load_trained_peaks

from cryopick.evaluate.emptiness import classify_micrographs
from cryopick.evaluate.expectation import select_automatically
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.precision_recall import compute_precision_recall
from cryopick.evaluate.score_distribution import Interval, fit_score_distribution
from cryopick.evaluate.score_prior import SCORE_PRIOR_FILE, ScorePrior, load_score_prior

MAX_VERDICTS = 4  # micrographs of a set that are classified
HEAD = (
    "| set | particles | expected | precision | promised | recall | promised | F1, automatic "
    "| best | calibration error | of the score column | verdicts |"
)


@dataclass(frozen=True)
class Row:
    """Promises and truth of one set; pairs are the truth and what was promised.

    Attributes:
        name: Of the set.
        is_complete: The truth lists all particles.
        count, precision, recall: Truth and promised interval.
        f1: At the automatic threshold, and at the best one.
        calibration_error: Of the distribution of scores, and of the score column.
        conditions: Calibration errors by the names of `trust_conditions.CONDITIONS`.
        verdicts: Numbers of the first micrographs by verdict.
    """

    name: str
    is_complete: bool
    count: tuple[int, Interval]
    precision: tuple[float, Interval]
    recall: tuple[float, Interval]
    f1: tuple[float, float]
    calibration_error: tuple[float, float]
    conditions: dict[str, float]
    verdicts: str

    def cells(self) -> list[str]:
        """Cells of the table."""
        wrong = "" if not self.is_complete or covers(self.count) else " ✗"
        return [
            self.name,
            f"{'' if self.is_complete else 'over '}{self.count[0]}",
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
    parser.add_argument("--labels", type=int, nargs="*", default=[0, 25])
    parser.add_argument("--trained", type=int, nargs="*", default=[], help="labels to train on")
    parser.add_argument("--sets", nargs="+", help="to print; all are used for the fit")
    parser.add_argument("--tag", default="", help="ending of the version in names of records")
    parser.add_argument("--trained-tag", help="that of the records of trained models [--tag]")
    parser.add_argument("--only-picked", action="store_true", help="use only what is picked")
    parser.add_argument(
        "--kept-back",
        action="store_true",
        help="print the sets that are kept back, with the constants of the package",
    )
    chosen = parser.parse_args(words)
    records = {"tag": chosen.tag, "only_picked": chosen.only_picked}
    if chosen.kept_back:
        print_kept_back(chosen.labels, records)
        return
    known = load_peaks(**records)
    stored = SCORE_PRIOR_FILE.read_text()
    trial = Trial(**json.loads(stored)["fit"])
    if chosen.fit:
        prior, trial = search(known, chosen.trials, trial, OUT / "best-trial.json")
        values = asdict(prior) | {"fit": asdict(trial)}
        SCORE_PRIOR_FILE.write_text(json.dumps(values, indent=1) + "\n")
    priors = leave_out(known, trial)
    complete = [peaks for peaks in known if peaks.is_complete]
    priors = {
        family: replace(one, **fit_deviations(complete, priors, family))
        for family, one in priors.items()
    }
    sets = [peaks for peaks in known if not chosen.sets or peaks.name in chosen.sets]
    judged = [peaks for peaks in sets if peaks.n_particles]
    for labels in chosen.labels:
        rows = [
            judge(peaks, priors[peaks.family], draw_labels(peaks, labels, 0)) for peaks in judged
        ]
        print_table(rows, f"{labels} labels, scored by the general model")
    for labels in chosen.trained:
        names = chosen.sets or [*list_sets(), *list_sets(kept_back=True)]
        trained = load_trained_peaks(
            names, labels, **records | {"tag": chosen.trained_tag or chosen.tag}
        )
        shipped = load_score_prior()  # of sets that are kept back
        rows = [
            judge(peaks, priors.get(peaks.family, shipped), sample_elsewhere(peaks))
            for peaks in trained
        ]
        print_table(rows, f"models that were trained on {labels} labels")
    print_sparse(judged, priors)
    print_empty([peaks for peaks in sets if not peaks.n_particles])


def print_kept_back(labels: Sequence[int], records: dict[str, Any]) -> None:
    """Print the tables of the sets on which nothing was fitted."""
    prior = load_score_prior()
    for number in labels:
        rows = [
            judge(peaks, prior, draw_labels(peaks, number, 0))
            for peaks in load_peaks(list_sets(kept_back=True), **records)
        ]
        print_table(rows, f"sets kept back, {number} labels, scored by the general model")


def judge(peaks: Peaks, prior: ScorePrior, labels: LabelSample | None) -> Row:
    """Compare the promises on one set with the truth."""
    fit = fit_score_distribution(peaks.score, labels, prior)
    selection = select_automatically(peaks.picks, labels=labels, is_filtered=peaks.is_filtered)
    at = selection.threshold if selection.is_capped else fit.best_threshold
    precision, recall = true_rates(peaks, at)
    n_true = peaks.n_particles
    curve = compute_precision_recall(peaks.score, peaks.is_particle, n_true)
    probability = fit.compute_probability(peaks.score)
    errors = [
        calibration_error(predicted, peaks.is_particle)
        for predicted in (probability, expit(peaks.score))
    ]
    first = peaks.picks.restrict(peaks.picks.micrographs[:MAX_VERDICTS])
    found = classify_micrographs(first, is_filtered=peaks.is_filtered)
    verdicts = [verdict.name.lower().replace("_", " ") for verdict in found]
    counted = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
    return Row(
        name=peaks.name,
        is_complete=peaks.is_complete,
        count=(n_true, fit.count),
        precision=(precision, fit.estimate_precision(at)),
        recall=(recall, fit.estimate_recall(at)),
        f1=(curve.at_threshold(at).f1, float(curve.f1.max())),
        calibration_error=(errors[0], errors[1]),
        conditions=measure_conditions(peaks, probability) if peaks.is_simulated else {},
        verdicts=counted,
    )


def sample_elsewhere(peaks: Peaks) -> LabelSample | None:
    """Scores of the labels that a model was trained on, which lie on other micrographs."""
    return LabelSample.create(peaks.label_score.tolist(), (), peaks.picks.micrographs)


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


def print_table(rows: Sequence[Row], title: str) -> None:
    """Print one line a set, and the summary."""
    print(f"\n{title}\n\n{HEAD}\n|" + "---|" * (HEAD.count("|") - 1))
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
    errors = np.array([row.calibration_error for row in complete])
    for column, what in enumerate(("calibration error", "calibration error of the score column")):
        print_errors(what, errors[:, column])
    for name in CONDITIONS:
        values = [row.conditions[name] for row in rows if name in row.conditions]
        if values:
            print_errors(f"calibration error by {name}", np.array(values))


def print_errors(name: str, values: np.ndarray) -> None:
    """Summarize errors of several sets."""
    print(
        f"{name}: mean {values.mean():.3f}, largest {values.max():.3f}; at most 0.05 on "
        f"{(values <= 0.05).sum()} of {len(values)}, at most 0.10 on {(values <= 0.1).sum()}"
    )


def print_sparse(judged: Sequence[Peaks], priors: dict[str, ScorePrior]) -> None:
    """Print the loss of F1 on sets of which ten clear particles are left."""
    losses = [
        measure_loss(
            peaks, fit_score_distribution(peaks.score, prior=priors[peaks.family]).best_threshold
        )
        for peaks in list_sparse(judged)
    ]
    if losses:
        print(
            f"\n{len(losses)} simulated sets with ten particles left: F1 lost by the automatic "
            f"threshold: mean {np.mean(losses):.3f}, largest {max(losses):.3f}"
        )


def print_empty(sets: Sequence[Peaks]) -> None:
    """Print picks that the automatic threshold keeps on micrographs without particles."""
    print("\n| no particles | picks selected by micrograph | verdicts |\n|---|---|---|")
    for peaks in sets:
        verdicts = classify_micrographs(peaks.picks)
        selected = select_automatically(peaks.picks, verdicts=verdicts).picks
        counts = np.bincount(selected.index, minlength=peaks.n_micrographs)
        print(f"| {peaks.name} | {', '.join(map(str, counts))} | {', '.join(verdicts)} |")


if __name__ == "__main__":
    main()
