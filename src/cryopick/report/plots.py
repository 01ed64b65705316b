"""Plots of picks, to stand inside a page.

- `scores_svg`: how many picks have which score, and where the threshold lies.
- `kept_svg`: picks a micrograph at every threshold.
- `counts_svg`: picks on each micrograph.
- `reliability_svg`: whether scores keep their promise.
- `density_svg`, `edges_svg`: where on the micrograph picks lie.
"""

from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.confidence import CalibrationCurve
from cryopick.evaluate.distribution import EdgeDensity
from cryopick.report.drawing import FAINT, FIRST, INK, SECOND, THIRD, dress, figure_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["counts_svg", "density_svg", "edges_svg", "kept_svg", "reliability_svg", "scores_svg"]

_HALF = (5.6, 3.5)  # inches of a plot that has half the page
_MANY = 1500  # points beyond which single shapes make the page heavy
_POINTS = 200


def scores_svg(
    score: Float[np.ndarray, " picks"],
    hit: Bool[np.ndarray, " picks"] | None,
    threshold: float,
) -> str:
    """A histogram of scores, the right ones on top of the wrong ones where truth is known.

    Args:
        score: Logits of all picks.
        hit: Whether each is right, if that is known.
        threshold: Where to draw the line.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        edges = np.histogram_bin_edges(score, min(60, max(10, len(score) // 20))).tolist()
        if hit is None:
            axes.hist(score, edges, color=FIRST, alpha=0.75)
        else:
            parts, colors = [score[~hit], score[hit]], [SECOND, FIRST]
            axes.hist(
                parts, edges, stacked=True, color=colors, alpha=0.75, label=["wrong", "right"]
            )
        _mark(axes, threshold)
        axes.set(xlabel="score (logit)", ylabel="picks")
        dress(axes, "Scores of all picks")

    return figure_svg(draw, _HALF, "Histogram of scores with the threshold")


def kept_svg(
    score: Float[np.ndarray, " picks"],
    hit: Bool[np.ndarray, " picks"] | None,
    threshold: float,
    n_micrographs: int,
) -> str:
    """Picks a micrograph at or above every threshold, and how many of them are right.

    Where truth is not known, the number right is what the scores promise.
    """
    from scipy.special import expit

    ranked = np.argsort(-score, kind="stable")
    descending = score[ranked]
    worth = expit(descending) if hit is None else hit[ranked]
    at = np.linspace(score.min(), score.max(), _POINTS)
    kept = np.searchsorted(-descending, -at, side="right")
    right = np.concatenate([[0.0], np.cumsum(worth)])[kept]

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot(at, kept / n_micrographs, color=FIRST, label="kept")
        told = "right, by their scores" if hit is None else "right"
        axes.plot(at, right / n_micrographs, color=THIRD, label=told)
        _mark(axes, threshold)
        axes.set(xlabel="threshold (logit)", ylabel="picks a micrograph", ylim=(0, None))
        dress(axes, "What a threshold keeps")

    return figure_svg(draw, _HALF, "Picks a micrograph at every threshold")


def counts_svg(
    counts: Integer[np.ndarray, " micrographs"], is_far: Bool[np.ndarray, " micrographs"]
) -> str:
    """Picks on each micrograph, in the order of the run; those far from the others stand out."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        number = np.arange(1, len(counts) + 1)
        size = 5 if len(counts) < 200 else 2.5
        axes.axhline(float(np.median(counts)), color=INK, linewidth=0.8, label="median")
        kinds = ((~is_far, "o", FIRST, None), (is_far, "D", SECOND, "outlier"))
        for rows, marker, color, label in kinds:
            if rows.any():
                (points,) = axes.plot(number[rows], counts[rows], marker, color=color, label=label)
                points.set(markersize=size, rasterized=len(counts) > _MANY, clip_on=False)
        axes.set(xlabel="micrograph, in order", ylabel="picks", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(axes)
        dress(axes, "Picks on each micrograph")

    return figure_svg(draw, (11.4, 3.1), "Picks on each micrograph")


def reliability_svg(groups: CalibrationCurve) -> str:
    """The share of picks that is right against the share that their scores promise."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot(
            [0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="as promised"
        )
        reach = np.clip([groups.observed - groups.low, groups.high - groups.observed], 0, None)
        axes.errorbar(
            groups.predicted,
            groups.observed,
            reach,
            color=FIRST,
            marker="o",
            markersize=5,
            capsize=2,
        )
        axes.set(xlabel="promised by the scores", ylabel="right", xlim=(0, 1), ylim=(0, 1.02))
        _legend(axes)
        dress(
            axes, f"Share of picks that is right, off by {groups.calibration_error:.3f} on average"
        )

    return figure_svg(draw, (5.6, 4.2), "Calibration: share right against share promised")


def density_svg(grid: Float[np.ndarray, "rows columns"]) -> str:
    """Picks by place, all micrographs laid over each other; row 0 on top."""
    from matplotlib.colors import to_rgb

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        high = max(2.0, float(grid.max()))
        layer = np.empty((*grid.shape, 4))
        layer[..., :3] = to_rgb(FIRST)
        layer[..., 3] = grid / high  # see-through where there is nothing, by day and by night
        axes.imshow(layer, extent=(0, 1, 1, 0), interpolation="nearest", aspect="auto")
        axes.set(xlabel="share of the width", ylabel="share of the height")
        dress(axes, f"Density of picks; full colour is {high:.1f} times the mean")
        axes.grid(visible=False)

    return figure_svg(draw, _HALF, "Density of picks across the micrograph")


def edges_svg(near: EdgeDensity) -> str:
    """Picks near the edges against what an even spread would have there."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="evenly spread")
        density = np.nan_to_num(near.density)
        axes.stairs(density, near.edges, baseline=None, color=FIRST, linewidth=2)
        top = max(1.6, 1.1 * float(np.nanmax(near.density, initial=1)))
        axes.set(
            xlabel="distance to the nearest edge, in diameters", ylabel="density", ylim=(0, top)
        )
        axes.set(xlim=(0, float(near.edges[-1])))
        _legend(axes)
        dress(axes, "Density near the edges")

    return figure_svg(draw, _HALF, "Density of picks by distance to the nearest edge")


def _mark(axes: "Axes", threshold: float) -> None:
    """Draw the threshold, and say what it is."""
    shown = f"threshold {threshold:.2f}".replace("-", "\u2212")
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=shown)
    _legend(axes)


def _legend(axes: "Axes") -> None:
    axes.legend(frameon=False, labelcolor=INK, fontsize="small", edgecolor=FAINT)
