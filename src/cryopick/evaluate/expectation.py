"""Expected particles, precision and recall, and the automatic threshold, from scores.

The distribution of the scores tells particles from background (`score_distribution`); without
labels it gives wide intervals. Particles without any pick are estimated too. Include all picks
down to a low score.

- `ExpectedMetrics`, `estimate_metrics`: numbers of picks by threshold, and the metrics of them.
- `find_best_threshold`: threshold with the highest expected F1.
- `select_automatically`, `AutomaticSelection`: picks above it, and micrographs probably empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float, Integer
from cryopick.errors import SettingsError
from cryopick.evaluate.emptiness import Verdict, classify_micrographs
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.score_distribution import ScoreDistribution, fit_score_distribution
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.picks import Picks

__all__ = [
    "AutomaticSelection",
    "ExpectedMetrics",
    "estimate_metrics",
    "find_best_threshold",
    "select_automatically",
]

_MIN_DECIDED = 3  # micrographs; one or two with faint particles often show no peak
_NO_SCORES = "expected numbers need picks with scores, such as `cryopick pick` writes"


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedMetrics:
    """Picks at or above each threshold, from the highest down, and the distribution of scores.

    Attributes:
        threshold: Distinct scores, descending.
        n_selected: Number of picks at or above each.
        distribution: Distribution of the scores; it estimates the metrics, with intervals.
    """

    threshold: Float[np.ndarray, " steps"]
    n_selected: Integer[np.ndarray, " steps"]
    distribution: ScoreDistribution

    @property
    def best_threshold(self) -> float:
        """Threshold of the highest expected F1; the highest score if none reaches it."""
        return min(self.distribution.best_threshold, float(self.threshold[0]))

    def describe(self, n_selected: int) -> str:
        """Describe the best picks of some number, with 95 % intervals."""
        total = self.n_selected[-1]
        if not n_selected:
            return f"0 picks of {total}"
        step = min(int(self.n_selected.searchsorted(n_selected)), len(self.threshold) - 1)
        threshold = float(self.threshold[step])
        count = self.distribution.count
        precision = self.distribution.estimate_precision(threshold)
        recall = self.distribution.estimate_recall(threshold)
        source = "labels and scores" if self.distribution.n_labels else "scores alone"
        return (
            f"{n_selected} picks of {total}, scores of {threshold:.3g} and more; expected from "
            f"{source}: {count.value:.0f} particles (95 %: {count.low:.0f} to {count.high:.0f}), "
            f"precision {precision.value:.2f} ({precision.low:.2f} to {precision.high:.2f}), "
            f"recall {recall.value:.2f} ({recall.low:.2f} to {recall.high:.2f})"
        )


def estimate_metrics(picks: Picks, labels: LabelSample | None = None) -> ExpectedMetrics:
    """Estimate metrics from the scores of picks.

    Args:
        picks: Picks with scores, down to a low minimum such as -6.
        labels: Scores of labels that the model did not learn from, if there are any.

    Raises:
        SettingsError: There are no picks, or some have no score.
    """
    if not len(picks) or not picks.is_scored:
        raise SettingsError(_NO_SCORES)
    score = np.sort(picks.score)[::-1]
    is_last = np.append(np.diff(score) != 0, True)  # equal scores are selected together
    return ExpectedMetrics(
        threshold=score[is_last],
        n_selected=np.flatnonzero(is_last) + 1,
        distribution=fit_score_distribution(picks.score, labels),
    )


def find_best_threshold(picks: Picks) -> float:
    """Find the threshold of the highest expected F1.

    Raises:
        SettingsError: There are no picks, or some have no score.

    Source: Lipton, Elkan and Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize
    F1 measure", ECML.
    """
    return estimate_metrics(picks).best_threshold


@dataclass(frozen=True, eq=False, kw_only=True)
class AutomaticSelection:
    """Result of the automatic threshold.

    Attributes:
        picks: The selected picks.
        threshold: Minimum score of the selected picks.
        expected: Expected metrics of the picks on micrographs with particles; None if there are
            no such micrographs.
        empty_micrographs: Micrographs that are probably empty.
        drops_empty: None of the picks on these micrographs are selected.
        is_capped: None of several micrographs clearly shows particles, so that at most one pick of
            each is selected.
    """

    picks: Picks
    threshold: float
    expected: ExpectedMetrics | None
    empty_micrographs: tuple[str, ...]
    drops_empty: bool = False
    is_capped: bool = False


def select_automatically(
    picks: Picks,
    *,
    drop_empty: bool = False,
    verdicts: Sequence[Verdict] | None = None,
    labels: LabelSample | None = None,
    is_filtered: bool = False,
) -> AutomaticSelection:
    """Select the picks above the best threshold of the micrographs that show particles.

    The same threshold applies to micrographs that are probably empty. If none of three or more
    micrographs clearly shows particles, at most one pick of each is selected, as all are likely
    wrong. Fewer micrographs are too little evidence, and labels show that there are particles.

    Args:
        picks: Picks with scores, down to a low minimum such as -6.
        drop_empty: Select no picks on micrographs that are probably empty.
        verdicts: Verdict on each micrograph; by default from the scores alone.
        labels: Scores of labels that the model did not learn from, if there are any.
        is_filtered: The scores are filtered along elongated particles.

    Raises:
        SettingsError: There are no picks, or some have no score.
    """
    if not len(picks) or not picks.is_scored:
        raise SettingsError(_NO_SCORES)
    if verdicts is None:
        verdicts = classify_micrographs(picks, is_filtered=is_filtered)
    is_populated = np.array([verdict != Verdict.PROBABLY_EMPTY for verdict in verdicts], bool)
    named_flags = zip(picks.micrographs, is_populated, strict=True)
    empty_micrographs = tuple(name for name, populated in named_flags if not populated)
    on_populated = picks.select(is_populated[picks.index])
    expected = estimate_metrics(on_populated, labels) if len(on_populated) else None
    is_capped = labels is None and _shows_nothing(verdicts)
    if is_capped:
        threshold = _find_strict_threshold(picks)
    else:
        threshold = (expected or estimate_metrics(picks, labels)).best_threshold
    return AutomaticSelection(
        picks=apply_threshold(on_populated if drop_empty else picks, threshold),
        threshold=threshold,
        expected=expected,
        empty_micrographs=empty_micrographs,
        drops_empty=drop_empty,
        is_capped=is_capped,
    )


def _shows_nothing(verdicts: Sequence[Verdict]) -> bool:
    """Test if several micrographs were decided on, and none of them shows particles."""
    decided = [verdict for verdict in verdicts if verdict != Verdict.UNDECIDED]
    return len(decided) >= _MIN_DECIDED and Verdict.PARTICLES not in decided


def _find_strict_threshold(picks: Picks) -> float:
    """Find the lowest threshold that selects at most one pick of each micrograph."""
    seconds = [
        float(np.partition(picks.score[rows], -2)[-2])
        for rows in picks.rows_by_micrograph().values()
        if len(rows) > 1
    ]
    lowest = float(picks.score.min())
    return max(lowest, float(np.nextafter(max(seconds), np.inf))) if seconds else lowest
