"""Precision and recall of a ranking.

A ranking is a score and a hit for each prediction, and the number of things there were to
find. Equal scores enter together, as one step: their order never matters.

- `precision_recall`: the curve, one point for each distinct score.
- `average_precision`: the area under it, as the paper sums it.
- `Curve`, `Point`: the curve, and one point on it.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Integer

__all__ = ["Curve", "Point", "average_precision", "precision_recall"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """How good the predictions at or above one threshold are.

    Attributes:
        threshold: Least score kept; None where the predictions carry no scores.
        precision: Share of the kept predictions that are right; NaN where none is kept.
        recall: Share of the things to find that are found; NaN where there are none.
        f1: Harmonic mean of the two, 2 TP / (kept + to find); NaN where both are 0.
    """

    threshold: float | None
    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, threshold: float | None, *, found: int, kept: int, total: int) -> "Point":
        """The point at which `found` of `kept` predictions and of `total` things are pairs."""
        return cls(
            threshold=threshold,
            precision=found / kept if kept else float("nan"),
            recall=found / total if total else float("nan"),
            f1=2 * found / (kept + total) if kept + total else float("nan"),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """Counts at each distinct score, from the highest down.

    Attributes:
        threshold: The distinct scores, descending.
        found: True positives among the predictions at or above each threshold.
        kept: Predictions at or above each threshold.
        total: Things there were to find.
    """

    threshold: Float[np.ndarray, " steps"]
    found: Integer[np.ndarray, " steps"]
    kept: Integer[np.ndarray, " steps"]
    total: int

    @property
    def precision(self) -> Float[np.ndarray, " steps"]:
        """Share of the kept predictions that are right."""
        return self.found / self.kept

    @property
    def recall(self) -> Float[np.ndarray, " steps"]:
        """Share of the things to find that are found; NaN where there are none."""
        return self.found / self.total if self.total else np.full(len(self.found), np.nan)

    @property
    def f1(self) -> Float[np.ndarray, " steps"]:
        """Harmonic mean of precision and recall."""
        return 2 * self.found / (self.kept + self.total)

    def average_precision(self) -> float:
        """Sum of precision times change in recall; NaN where there is nothing to find."""
        if not self.total:
            return float("nan")
        return float(np.sum(self.precision * np.diff(self.found, prepend=0)) / self.total)

    def at(self, threshold: float) -> Point:
        """The point of all predictions that score at least `threshold`."""
        step = int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1
        if step < 0:
            return Point.of(threshold, found=0, kept=0, total=self.total)
        return Point.of(
            threshold, found=int(self.found[step]), kept=int(self.kept[step]), total=self.total
        )

    def best_f1(self) -> Point | None:
        """The point of highest F1, the strictest of equals; None on a curve of no steps."""
        return self.at(float(self.threshold[np.argmax(self.f1)])) if len(self.threshold) else None


def precision_recall(
    score: Float[np.ndarray, " predictions"],
    hit: Bool[np.ndarray, " predictions"] | Integer[np.ndarray, " predictions"],
    total: int | None = None,
) -> Curve:
    """Rank predictions by score and count what is found at each distinct score.

    Args:
        score: Score of each prediction, higher is surer; no NaN.
        hit: Whether each prediction is right, as a truth value or as 0 and 1.
        total: How many things there were to find. Regions: leave it out, the hits are all.
            Particles: their number, so that one which no pick found lowers the recall.

    Raises:
        ValueError: A score is NaN, a hit is neither 0 nor 1, or `total` is less than the
            number of hits.
    """
    if np.isnan(score).any():
        raise ValueError("a score is NaN; predictions without scores have no ranking")
    if hit.dtype != np.bool_ and not np.isin(hit, (0, 1)).all():
        raise ValueError("hit must hold only 0 and 1")
    order = np.argsort(-score)  # any order of equals will do: they count as one step
    ranked = score[order]
    is_last_of_equals = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    last = np.flatnonzero(is_last_of_equals)
    found = np.cumsum(hit[order], dtype=np.int64)
    hits = int(found[-1]) if len(found) else 0
    if total is not None and total < hits:
        raise ValueError(f"total must be at least the {hits} hits; got {total}")
    return Curve(
        threshold=ranked[last],
        found=found[last],
        kept=last.astype(np.int64) + 1,
        total=hits if total is None else total,
    )


def average_precision(
    score: Float[np.ndarray, " predictions"],
    hit: Bool[np.ndarray, " predictions"] | Integer[np.ndarray, " predictions"],
    total: int | None = None,
) -> float:
    """Area under the precision-recall curve: the sum of Pr(k) (Re(k) - Re(k - 1)).

    Arguments and errors are those of `precision_recall`.

    Returns:
        A value from 0 to 1; NaN where there is nothing to find.

    Source: Bepler et al. 2019, Nat. Methods 16:1153, "Classifier evaluation"; equal scores
    count as one step (decision 0004).

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    return precision_recall(score, hit, total).average_precision()
