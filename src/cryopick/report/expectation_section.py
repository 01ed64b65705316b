"""Section of a report page on the precision and recall that the scores let one expect.

- `Expectation`, `estimate_expectation`: the estimates for the picks of a run.
- `describe_expectation`: their headline numbers.
- `render_expectation_section`: the section.
"""

from dataclasses import dataclass

from markupsafe import Markup

from cryopick.errors import format_count
from cryopick.evaluate.expectation import ExpectedMetrics, estimate_metrics, select_automatically
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.score_distribution import Interval
from cryopick.picks import Picks
from cryopick.report import markup
from cryopick.report.number_format import format_score

__all__ = [
    "Expectation",
    "describe_expectation",
    "estimate_expectation",
    "render_expectation_section",
]

_MAX_LOWEST_SCORE = -2.5  # of a table in which the scores of the background are visible


@dataclass(frozen=True, eq=False, kw_only=True)
class Expectation:
    """Expected metrics of the picks of a run.

    Attributes:
        metrics: Metrics on the micrographs that are not probably empty.
        n_empty: Number of micrographs that are probably empty, if not all are.
        automatic_threshold: The automatic threshold.
        is_capped: It selects at most one pick of each micrograph, as none clearly shows particles.
    """

    metrics: ExpectedMetrics
    n_empty: int
    automatic_threshold: float
    is_capped: bool = False


def estimate_expectation(
    picks: Picks, labels: LabelSample | None, *, is_filtered: bool = False
) -> Expectation | None:
    """Estimate the metrics of picks from their scores.

    Args:
        picks: Picks with scores.
        labels: Scores of labels that the model did not learn from, if there are any.
        is_filtered: The scores are filtered along elongated particles.

    Returns:
        The estimates; None for a table without low scores, which shows no background.
    """
    if float(picks.score.min()) > _MAX_LOWEST_SCORE:
        return None
    selection = select_automatically(picks, labels=labels, is_filtered=is_filtered)
    return Expectation(
        metrics=selection.expected or estimate_metrics(picks, labels),
        n_empty=0 if selection.expected is None else len(selection.empty_micrographs),
        automatic_threshold=selection.threshold,
        is_capped=selection.is_capped,
    )


def describe_expectation(expectation: Expectation, threshold: float) -> dict[str, str]:
    """Describe the expected precision, recall and number of particles, with 95 % intervals."""
    distribution = expectation.metrics.distribution
    count = distribution.count
    precision = distribution.estimate_precision(threshold)
    recall = distribution.estimate_recall(threshold)
    return {
        f"expected precision, {_format_limits(precision)}": f"{precision.value:.2f}",
        f"expected recall, {_format_limits(recall)}": f"{recall.value:.2f}",
        f"expected particles, {count.low:.0f} to {count.high:.0f}": f"{count.value:.0f}",
    }


def render_expectation_section(expectation: Expectation | None, threshold: float) -> Markup:
    """Render the expected numbers at some thresholds.

    Args:
        expectation: The estimates; None if the table has no low scores.
        threshold: Threshold of the report.
    """
    title = "Expected precision and recall"
    if expectation is None:
        return markup.render_section(
            title,
            "This table contains no picks with low scores, so that particles cannot be "
            "distinguished from background, and precision and recall cannot be estimated. For the "
            "estimates, make the report of the table before the threshold.",
        )
    metrics = expectation.metrics
    distribution = metrics.distribution
    source = (
        f"of the picks and of {distribution.n_labels} labels that the model did not learn from"
        if distribution.n_labels
        else "of the picks alone; without labels the intervals are wide"
    )
    text = (
        f"Estimated from the scores {source}. Brackets contain 95 % intervals. "
        "Precision is the fraction of the selected picks that are particles; recall is the "
        "fraction of all particles that are selected."
    )
    if expectation.is_capped:
        text += (
            " No micrograph clearly shows particles, so the automatic threshold selects at most "
            "one pick of each: check the micrographs, the diameter and the pixel size."
        )
    elif expectation.n_empty:
        verb = "is" if expectation.n_empty == 1 else "are"
        text += (
            f" {format_count(expectation.n_empty, 'micrograph')} {verb} probably empty and "
            "excluded."
        )
    thresholds = {
        "threshold of this report": threshold,
        "automatic threshold": expectation.automatic_threshold,
        "score of 0": 0.0,
        "all picks": float(metrics.threshold[-1]),
    }
    rows = [[name, *_describe_row(metrics, value)] for name, value in thresholds.items()]
    head = ("selection", "threshold", "picks", "precision", "recall")
    caption = f"{_format_count(distribution.count)} particles are expected in all."
    table = markup.render_table(head, rows, caption, has_total=False)
    return markup.render_section(title, text, table)


def _describe_row(metrics: ExpectedMetrics, threshold: float) -> list[str]:
    n_selected = int(metrics.n_selected[metrics.threshold >= threshold].max(initial=0))
    precision = metrics.distribution.estimate_precision(threshold)
    recall = metrics.distribution.estimate_recall(threshold)
    fractions = map(_format_interval, (precision, recall))
    return [format_score(threshold), str(n_selected), *fractions]


def _format_interval(interval: Interval) -> str:
    return f"{interval.value:.2f} ({_format_limits(interval)})"


def _format_limits(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"


def _format_count(count: Interval) -> str:
    return f"{count.value:.0f} (95 %: {count.low:.0f} to {count.high:.0f})"
