"""Precision and recall of ranked predictions.

A ranking consists of a score and a hit for each prediction, and of the number of positives. Equal
scores form one step: their order never matters.

- `compute_precision_recall`: the curve, one point per distinct score.
- `average_precision`: area under the curve, summed as in the paper.
- `PrecisionRecallCurve`, `OperatingPoint`: the curve, and one point of it.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Integer

__all__ = [
    "OperatingPoint",
    "PrecisionRecallCurve",
    "average_precision",
    "compute_precision_recall",
]


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """Precision, recall and F1 of the predictions at or above a threshold.

    Attributes:
        threshold: Minimum score; None if the predictions have no scores.
        precision: Fraction of the selected predictions that are correct; NaN if none is selected.
        recall: Fraction of the positives that are found; NaN if there are none.
        f1: Harmonic mean of the two, 2 TP / (selected + positives); NaN if both are 0.
    """

    threshold: float | None
    precision: float
    recall: float
    f1: float

    @classmethod
    def from_counts(
        cls,
        threshold: float | None,
        *,
        true_positives: int,
        n_selected: int,
        n_positives: int,
    ) -> "OperatingPoint":
        """Compute the point from the numbers of true positives, selections and positives."""
        return cls(
            threshold=threshold,
            precision=true_positives / n_selected if n_selected else float("nan"),
            recall=true_positives / n_positives if n_positives else float("nan"),
            f1=2 * true_positives / (n_selected + n_positives)
            if n_selected + n_positives
            else float("nan"),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class PrecisionRecallCurve:
    """Counts at each distinct score, from the highest down.

    Attributes:
        threshold: Distinct scores, descending.
        true_positives: Correct predictions at or above each threshold.
        n_selected: Predictions at or above each threshold.
        n_positives: Number of positives.
    """

    threshold: Float[np.ndarray, " steps"]
    true_positives: Integer[np.ndarray, " steps"]
    n_selected: Integer[np.ndarray, " steps"]
    n_positives: int

    @property
    def precision(self) -> Float[np.ndarray, " steps"]:
        """Fraction of the selected predictions that are correct."""
        return self.true_positives / self.n_selected

    @property
    def recall(self) -> Float[np.ndarray, " steps"]:
        """Fraction of the positives that are found; NaN if there are none."""
        return (
            self.true_positives / self.n_positives
            if self.n_positives
            else np.full(len(self.true_positives), np.nan)
        )

    @property
    def f1(self) -> Float[np.ndarray, " steps"]:
        """Harmonic mean of precision and recall."""
        return 2 * self.true_positives / (self.n_selected + self.n_positives)

    def average_precision(self) -> float:
        """Sum precision times change in recall; NaN without positives."""
        if not self.n_positives:
            return float("nan")
        return float(
            np.sum(self.precision * np.diff(self.true_positives, prepend=0)) / self.n_positives
        )

    def at_threshold(self, threshold: float) -> OperatingPoint:
        """Return the point of all predictions with a score of at least `threshold`."""
        step = int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1
        if step < 0:
            return OperatingPoint.from_counts(
                threshold, true_positives=0, n_selected=0, n_positives=self.n_positives
            )
        return OperatingPoint.from_counts(
            threshold,
            true_positives=int(self.true_positives[step]),
            n_selected=int(self.n_selected[step]),
            n_positives=self.n_positives,
        )

    def best_f1(self) -> OperatingPoint | None:
        """Return the point of highest F1, with the highest threshold of ties; None if empty."""
        return (
            self.at_threshold(float(self.threshold[np.argmax(self.f1)]))
            if len(self.threshold)
            else None
        )


def compute_precision_recall(
    score: Float[np.ndarray, " predictions"],
    hit: Bool[np.ndarray, " predictions"] | Integer[np.ndarray, " predictions"],
    total: int | None = None,
) -> PrecisionRecallCurve:
    """Rank predictions by score and count true positives at each distinct score.

    Args:
        score: Score of each prediction, higher for more confident ones; no NaN.
        hit: True or 1 for each correct prediction.
        total: Number of positives. Omit it for regions, where the hits are all positives. For
            particles give their number, so that missed particles lower the recall.

    Raises:
        ValueError: A score is NaN, a hit is neither 0 nor 1, or `total` is less than the number of
            hits.
    """
    if np.isnan(score).any():
        raise ValueError("a score is NaN; predictions without scores have no ranking")
    if hit.dtype != np.bool_ and not np.isin(hit, (0, 1)).all():
        raise ValueError("hit must hold only 0 and 1")
    order = np.argsort(-score)  # ties may have any order, as they form one step
    sorted_scores = score[order]
    is_last_of_equals = np.append(sorted_scores[1:] != sorted_scores[:-1], True)[
        : len(sorted_scores)
    ]
    last = np.flatnonzero(is_last_of_equals)
    true_positives = np.cumsum(hit[order], dtype=np.int64)
    hits = int(true_positives[-1]) if len(true_positives) else 0
    if total is not None and total < hits:
        raise ValueError(f"total must be at least the {hits} hits; got {total}")
    return PrecisionRecallCurve(
        threshold=sorted_scores[last],
        true_positives=true_positives[last],
        n_selected=last.astype(np.int64) + 1,
        n_positives=hits if total is None else total,
    )


def average_precision(
    score: Float[np.ndarray, " predictions"],
    hit: Bool[np.ndarray, " predictions"] | Integer[np.ndarray, " predictions"],
    total: int | None = None,
) -> float:
    """Compute the area under the precision-recall curve: the sum of Pr(k) (Re(k) - Re(k - 1)).

    Arguments and errors are those of `compute_precision_recall`.

    Returns:
        A value from 0 to 1; NaN without positives.

    Source: Bepler et al. 2019, Nat. Methods 16:1153, "Classifier evaluation"; equal scores
    count as one step (decision 0004).

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    return compute_precision_recall(score, hit, total).average_precision()
