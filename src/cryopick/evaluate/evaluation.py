"""Evaluate a table of picks against reference particles.

- `evaluate_picks`: run the evaluation.
- `Evaluation`: its metrics; `MicrographEvaluation`: those of one micrograph.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cryopick.array_types import Bool
from cryopick.errors import SettingsError
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.precision_recall import (
    OperatingPoint,
    PrecisionRecallCurve,
    compute_precision_recall,
)
from cryopick.evaluate.spacing import merge_duplicates
from cryopick.picks import Picks

__all__ = ["Evaluation", "MicrographEvaluation", "evaluate_picks"]


@dataclass(frozen=True, kw_only=True)
class MicrographEvaluation:
    """Metrics of one micrograph.

    Attributes:
        name: The micrograph.
        n_picks: Number of picks, of any score.
        n_truth: Number of reference particles.
        average_precision: Over its own picks; None without scores or without particles.
        at_best_threshold: Precision, recall and F1 at the best threshold of the whole table.
    """

    name: str
    n_picks: int
    n_truth: int
    average_precision: float | None
    at_best_threshold: OperatingPoint


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """Metrics of picks over all evaluated micrographs.

    Attributes:
        radius_px: Maximum distance between a pick and its particle.
        n_picks: Number of evaluated picks, of any score.
        n_truth: Number of reference particles.
        n_matched: Number of particles matched by a pick.
        average_precision: Over all picks ranked together; None without scores or particles.
        all_picks: Precision, recall and F1 of all picks.
        best: Operating point of the highest F1; None without scores.
        at_zero_threshold: Operating point at threshold 0 (probability 0.5); None without scores.
        micrographs: Metrics by micrograph.
        not_evaluated: Micrographs with picks that the truth does not list; empty if the caller
            chose the micrographs.
        in_neither_table: Requested micrographs that neither table lists; they count as empty.
        n_duplicate_truth: Reference particles at the position of another one, merged with it.
        curve: The precision-recall curve; None without scores.
    """

    radius_px: float
    n_picks: int
    n_truth: int
    n_matched: int
    average_precision: float | None
    all_picks: OperatingPoint
    best: OperatingPoint | None
    at_zero_threshold: OperatingPoint | None
    micrographs: tuple[MicrographEvaluation, ...]
    not_evaluated: tuple[str, ...]
    in_neither_table: tuple[str, ...]
    n_duplicate_truth: int
    curve: PrecisionRecallCurve | None

    def to_dict(self) -> dict[str, object]:
        """Return everything but the curve as JSON values; undefined numbers are None."""
        values = {name: value for name, value in vars(self).items() if name != "curve"}
        values |= {
            name: asdict(value)
            for name, value in values.items()
            if isinstance(value, OperatingPoint)
        }
        values["micrographs"] = [asdict(micrograph) for micrograph in self.micrographs]
        return {name: _replace_nan(value) for name, value in values.items()}


def evaluate_picks(
    picks: Picks, truth: Picks, radius_px: float, only: Sequence[str] | None = None
) -> Evaluation:
    """Evaluate picks against reference particles, matched one to one within a distance.

    Args:
        picks: Picks to evaluate, best with all picks down to a low score.
        truth: Reference particles, with the same micrograph names.
        radius_px: Maximum distance between a pick and its particle.
        only: Micrographs to evaluate; by default those that `truth` lists. A micrograph that
            `picks` lacks counts as one without picks; one that only `picks` lists is not
            evaluated, as its particles are unknown.

    Raises:
        SettingsError: No micrograph is left to evaluate, or the tables share no names.
    """
    names = tuple(dict.fromkeys(truth.micrographs if only is None else only))
    listed_names = set(picks.micrographs) | set(truth.micrographs)
    _require_common_names(picks, truth, names, listed_names)
    evaluated_picks, particles = picks.restrict(names), truth.restrict(names)
    stated_count = len(particles)
    particles = merge_duplicates(particles)
    hit = match_picks(evaluated_picks, particles, radius_px) >= 0
    is_scored = evaluated_picks.is_scored
    curve = (
        compute_precision_recall(evaluated_picks.score, hit, len(particles)) if is_scored else None
    )
    best = curve.best_f1() if curve else None
    return Evaluation(
        radius_px=float(radius_px),
        n_picks=len(evaluated_picks),
        n_truth=len(particles),
        n_matched=int(hit.sum()),
        average_precision=_average_precision(curve),
        all_picks=_operating_point(evaluated_picks, hit, len(particles), None),
        best=best,
        at_zero_threshold=curve.at_threshold(0.0) if curve else None,
        micrographs=_evaluate_micrographs(evaluated_picks, hit, particles, best),
        not_evaluated=() if only is not None else _find_not_evaluated(names, picks),
        in_neither_table=tuple(name for name in names if name not in listed_names),
        n_duplicate_truth=stated_count - len(particles),
        curve=curve,
    )


def _require_common_names(
    picks: Picks, truth: Picks, names: Sequence[str], listed_names: set[str]
) -> None:
    """Reject tables whose micrograph names have nothing in common."""
    if not listed_names & set(names):
        raise SettingsError(
            f"no micrograph to evaluate: picks and truth list {len(listed_names)} micrographs, "
            f"none of which is among the {len(names)} requested"
        )
    if len(truth) and not set(truth.micrographs) & set(names):
        raise SettingsError(
            f"the truth has particles on none of the {len(names)} evaluated micrographs: it names "
            f"{truth.micrographs[0]!r}; check the list of micrographs"
        )
    if len(picks) and not set(picks.micrographs) & set(names):
        raise SettingsError(
            f"the picks are on none of the {len(names)} evaluated micrographs: "
            f"the picks name {picks.micrographs[0]!r}, the truth {names[0]!r}; "
            "check that both tables belong to the same data set"
        )


def _find_not_evaluated(names: Sequence[str], picks: Picks) -> tuple[str, ...]:
    evaluated = set(names)
    return tuple(
        n for n, rows in picks.rows_by_micrograph().items() if len(rows) and n not in evaluated
    )


def _evaluate_micrographs(
    picks: Picks, hit: Bool[np.ndarray, " picks"], truth: Picks, best: OperatingPoint | None
) -> tuple[MicrographEvaluation, ...]:
    n_truth = {name: len(rows) for name, rows in truth.rows_by_micrograph().items()}
    threshold = best.threshold if best else None
    results = []
    for name, rows in picks.rows_by_micrograph().items():
        micrograph_picks = picks.select(rows)
        curve = (
            compute_precision_recall(micrograph_picks.score, hit[rows], n_truth[name])
            if picks.is_scored
            else None
        )
        results.append(
            MicrographEvaluation(
                name=name,
                n_picks=len(micrograph_picks),
                n_truth=n_truth[name],
                average_precision=_average_precision(curve),
                at_best_threshold=_operating_point(
                    micrograph_picks, hit[rows], n_truth[name], threshold
                ),
            )
        )
    return tuple(results)


def _operating_point(
    picks: Picks, hit: Bool[np.ndarray, " picks"], total: int, threshold: float | None
) -> OperatingPoint:
    """Return the operating point of the picks at or above a threshold, or of all if it is None."""
    is_selected = np.ones(len(picks), bool) if threshold is None else picks.score >= threshold
    return OperatingPoint.from_counts(
        threshold,
        true_positives=int(hit[is_selected].sum()),
        n_selected=int(is_selected.sum()),
        n_positives=total,
    )


def _average_precision(curve: PrecisionRecallCurve | None) -> float | None:
    return curve.average_precision() if curve and curve.n_positives else None


def _replace_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _replace_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
