"""Section of a report page on precision, recall and calibration.

- `render_evaluation_section`: the section.
- `evaluate_at`: precision and recall at one threshold.
"""

from markupsafe import Markup

from cryopick.evaluate.evaluation import Evaluation
from cryopick.evaluate.precision_recall import OperatingPoint
from cryopick.report import markup
from cryopick.report.curves import precision_recall_svg
from cryopick.report.number_format import format_fraction, format_score
from cryopick.report.pick_summary import PickSummary
from cryopick.report.plots import calibration_svg

__all__ = ["evaluate_at", "render_evaluation_section"]


def evaluate_at(evaluation: Evaluation, threshold: float) -> OperatingPoint:
    """Return precision and recall at a threshold, or those of all picks without scores."""
    return evaluation.curve.at_threshold(threshold) if evaluation.curve else evaluation.all_picks


def render_evaluation_section(summary: PickSummary, evaluation: Evaluation) -> Markup:
    """Render the curves and a table of operating points.

    Args:
        summary: Summary of the picks.
        evaluation: Comparison of the picks with the truth.
    """
    text = (
        f"A pick is correct if it lies within {summary.radius_px:.0f} pixels of a true particle "
        "that no higher-scoring pick has matched. Precision is the fraction of picks that are "
        "correct; recall is the fraction of true particles that were picked."
    )
    caption = "Each point of the curve is one threshold."
    if summary.band:
        low, high = summary.band.average_precision
        caption += (
            " The shaded band is the 95 % bootstrap confidence interval over micrographs; that of "
            f"the average precision is {low:.3f} to {high:.3f}."
        )
    figures = [markup.render_figure(precision_recall_svg(evaluation, summary.band), caption)]
    if summary.calibration:
        figures.append(
            markup.render_figure(
                calibration_svg(summary.calibration),
                "Picks in ten groups of similar scores, with 95 % confidence intervals. On the "
                "diagonal, scores are calibrated: a logit of 0 is a probability of 50 %.",
            )
        )
    rows = [
        [
            name,
            "–" if point.threshold is None else format_score(point.threshold),
            *map(format_fraction, (point.precision, point.recall, point.f1)),
        ]
        for name, point in _operating_points(evaluation, summary.threshold).items()
    ]
    table = markup.render_table(
        ("selection", "threshold", "precision", "recall", "F1"),
        rows,
        f"Comparison of {evaluation.n_picks} picks with {evaluation.n_truth} true particles.",
        has_total=False,
    )
    return markup.render_section(
        "Precision and recall", text, markup.render_columns(*figures), table
    )


def _operating_points(evaluation: Evaluation, threshold: float) -> dict[str, OperatingPoint]:
    points = {
        "threshold of this report": evaluate_at(evaluation, threshold),
        "threshold of best F1": evaluation.best,
        "probability of 50 %": evaluation.at_zero_threshold,
    }
    return {
        **{name: point for name, point in points.items() if point is not None},
        "all picks": evaluation.all_picks,
    }
