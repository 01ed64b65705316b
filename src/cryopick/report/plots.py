"""Plots of picks for report pages.

- `score_histogram_svg`: histogram of scores.
- `threshold_svg`: number of picks as a function of the threshold.
- `counts_svg`: number of picks on each micrograph.
- `calibration_svg`: observed precision against probability.
- `density_svg`, `edge_density_svg`: distribution of picks across the micrograph.
"""

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.confidence import CalibrationCurve
from cryopick.evaluate.distribution import EdgeDensity
from cryopick.evaluate.score_distribution import ScoreDistribution
from cryopick.report.drawing import FAINT, FIRST, INK, SECOND, THIRD, figure_svg, style_axes
from cryopick.report.number_format import format_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "calibration_svg",
    "counts_svg",
    "density_svg",
    "edge_density_svg",
    "score_histogram_svg",
    "threshold_svg",
]

_HALF_PAGE = (5.6, 3.5)  # inches of a plot of half the width of the page
_MAX_VECTOR_POINTS = 1500  # more points are drawn as pixels, to keep the page small
_THRESHOLDS = 200


def score_histogram_svg(
    score: Float[np.ndarray, " picks"],
    is_right: Bool[np.ndarray, " picks"] | None,
    threshold: float,
) -> Markup:
    """Plot a histogram of scores, with correct and false picks stacked if the truth is given.

    Args:
        score: Logits of all picks.
        is_right: Picks that match a particle; None without truth.
        threshold: Threshold to mark.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        edges = np.histogram_bin_edges(score, min(60, max(10, len(score) // 20))).tolist()
        if is_right is None:
            axes.hist(score, edges, color=FIRST, alpha=0.75)
        else:
            parts, colors = [score[~is_right], score[is_right]], [SECOND, FIRST]
            axes.hist(
                parts, edges, stacked=True, color=colors, alpha=0.75, label=["false", "correct"]
            )
        _mark_threshold(axes, threshold)
        axes.set(xlabel="score (logit)", ylabel="picks")
        style_axes(axes, "Scores of all picks")

    return figure_svg(draw, _HALF_PAGE, "Histogram of scores with the threshold")


def threshold_svg(
    score: Float[np.ndarray, " picks"],
    is_right: Bool[np.ndarray, " picks"] | None,
    threshold: float,
    n_micrographs: int,
    distribution: ScoreDistribution | None = None,
) -> Markup:
    """Plot the picks per micrograph at or above each threshold, and how many are correct.

    Args:
        score: Scores of all picks.
        is_right: Picks that match a true particle; None without truth.
        threshold: The threshold to mark.
        n_micrographs: Number of micrographs.
        distribution: Without truth, the number of correct picks is the sum of the probabilities
            of this distribution; it is not drawn without one.
    """
    fraction, label = np.full(len(score), np.nan), "correct, expected from scores"
    if is_right is not None:
        fraction, label = is_right.astype(np.float64), "correct"
    elif distribution is not None:
        fraction = distribution.compute_probability(score)
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    correctness = fraction[order]
    thresholds = np.linspace(score.min(), score.max(), _THRESHOLDS)
    n_selected = np.searchsorted(-descending, -thresholds, side="right")
    n_correct = np.concatenate([[0.0], np.cumsum(correctness)])[n_selected]

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot(thresholds, n_selected / n_micrographs, color=FIRST, label="selected")
        if is_right is not None or distribution is not None:
            axes.plot(thresholds, n_correct / n_micrographs, color=THIRD, label=label)
        _mark_threshold(axes, threshold)
        axes.set(xlabel="threshold (logit)", ylabel="picks per micrograph", ylim=(0, None))
        style_axes(axes, "Picks at or above the threshold")

    return figure_svg(draw, _HALF_PAGE, "Picks per micrograph against the threshold")


def counts_svg(
    counts: Integer[np.ndarray, " micrographs"], is_outlier: Bool[np.ndarray, " micrographs"]
) -> Markup:
    """Plot the number of picks on each micrograph, in order, and mark the outliers."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        number = np.arange(1, len(counts) + 1)
        size = 5 if len(counts) < 200 else 2.5
        axes.axhline(float(np.median(counts)), color=INK, linewidth=0.8, label="median")
        styles = ((~is_outlier, "o", FIRST, None), (is_outlier, "D", SECOND, "outlier"))
        for rows, marker, color, label in styles:
            if rows.any():
                (points,) = axes.plot(number[rows], counts[rows], marker, color=color, label=label)
                is_large = len(counts) > _MAX_VECTOR_POINTS
                points.set(markersize=size, rasterized=is_large, clip_on=False)
        axes.set(xlabel="micrograph, in order", ylabel="picks", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _add_legend(axes)
        style_axes(axes, "Picks on each micrograph")

    return figure_svg(draw, (11.4, 3.1), "Picks on each micrograph")


def calibration_svg(calibration: CalibrationCurve) -> Markup:
    """Plot the fraction of correct picks against their mean probability."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot(
            [0, 1],
            [0, 1],
            color=INK,
            linewidth=0.8,
            linestyle=(0, (4, 3)),
            label="perfectly calibrated",
        )
        low, high = calibration.observed - calibration.low, calibration.high - calibration.observed
        axes.errorbar(
            calibration.predicted,
            calibration.observed,
            np.clip([low, high], 0, None),
            color=FIRST,
            marker="o",
            markersize=5,
            capsize=2,
        )
        axes.set(xlabel="mean probability", ylabel="fraction correct", xlim=(0, 1), ylim=(0, 1.02))
        _add_legend(axes)
        style_axes(axes, f"Expected calibration error {calibration.calibration_error:.3f}")

    return figure_svg(draw, (5.6, 4.2), "Calibration: fraction correct against probability")


def density_svg(density: Float[np.ndarray, "rows columns"]) -> Markup:
    """Plot the density of picks across all micrographs, with row 0 on top."""
    from matplotlib.colors import to_rgb

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        high = max(2.0, float(density.max()))
        layer = np.empty((*density.shape, 4))
        layer[..., :3] = to_rgb(FIRST)
        layer[..., 3] = density / high  # transparent where empty, in light and dark mode
        axes.imshow(layer, extent=(0, 1, 1, 0), interpolation="nearest", aspect="auto")
        axes.set(xlabel="x, fraction of the width", ylabel="y, fraction of the height")
        style_axes(axes, f"Density of picks; strongest colour: {high:.1f} times the mean")
        axes.grid(visible=False)

    return figure_svg(draw, _HALF_PAGE, "Density of picks across the micrograph")


def edge_density_svg(edge_density: EdgeDensity) -> Markup:
    """Plot the density of picks near the edges, relative to a uniform distribution."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="uniform")
        density = np.nan_to_num(edge_density.density)
        axes.stairs(density, edge_density.edges, baseline=None, color=FIRST, linewidth=2)
        top = max(1.6, 1.1 * float(np.nanmax(edge_density.density, initial=1)))
        axes.set(
            xlabel="distance to the nearest edge, in particle diameters",
            ylabel="relative density",
            xlim=(0, float(edge_density.edges[-1])),
            ylim=(0, top),
        )
        _add_legend(axes)
        style_axes(axes, "Density of picks near the edges")

    return figure_svg(draw, _HALF_PAGE, "Density of picks by distance to the nearest edge")


def _mark_threshold(axes: "Axes", threshold: float) -> None:
    """Draw the threshold as a labelled line."""
    label = f"threshold {format_score(threshold)}"
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=label)
    _add_legend(axes)


def _add_legend(axes: "Axes") -> None:
    axes.legend(frameon=False, labelcolor=INK, fontsize="small", edgecolor=FAINT)
