"""Summary of the picks of a run: numbers, and pictures to inspect.

- `PickSummary`, `summarize_picks`: everything that a report shows about picks.
- `MicrographSummary`, `PickCrop`: one micrograph, and one pick.
- `crop_labels`: pictures of labelled particles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float, Integer, Real
from cryopick.evaluate.confidence import (
    CalibrationCurve,
    PrecisionBand,
    bootstrap_precision_band,
    compute_calibration_curve,
)
from cryopick.evaluate.distribution import (
    EdgeDensity,
    compute_density,
    compute_edge_density,
    find_outliers,
)
from cryopick.evaluate.evaluation import Evaluation, evaluate_picks
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.thresholds import apply_threshold
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.sizes import read_micrograph_shape
from cryopick.picks import Picks, choose_evenly
from cryopick.report.expectation_section import Expectation, estimate_expectation
from cryopick.report.number_format import format_score
from cryopick.report.pictures import MicrographView, PickMarks, window_crop_uris
from cryopick.report.run_files import ReportedRun

__all__ = [
    "ABOVE",
    "BELOW",
    "MicrographSummary",
    "PickCrop",
    "PickSummary",
    "crop_labels",
    "summarize_picks",
]

_CROPS_PER_ROW = 12
_PICKS_PER_CELL = 8  # of the density map, on average, to limit its noise
_MAX_LABELS = 36  # three rows of pictures
ABOVE, BELOW = "Just above the threshold", "Just below the threshold"  # titles of rows of crops


@dataclass(frozen=True, eq=False, kw_only=True)
class MicrographSummary:
    """A micrograph that the report shows.

    Attributes:
        rank: Rank among all micrographs: "best", "median" or "worst".
        name: Path of the micrograph.
        measure: Text of the number by which it was ranked.
        view: The micrograph for display.
        marks: Picks at or above the threshold; all count as correct without truth.
        logits: Score map; None without a model.
        raw_per_score: Raw pixels between two scores.
    """

    rank: str
    name: str
    measure: str
    view: MicrographView
    marks: PickMarks
    logits: Real[np.ndarray, "rows columns"] | None
    raw_per_score: float


@dataclass(frozen=True)
class PickCrop:
    """A single pick: data URI of its picture, its score, and if it is correct (None: unknown)."""

    uri: str
    score: float
    is_right: bool | None


@dataclass(frozen=True, eq=False, kw_only=True)
class PickSummary:
    """Everything that a report shows about picks.

    Attributes:
        threshold: Minimum score of selected picks.
        threshold_source: Text that says how the threshold was set.
        radius_px: Maximum distance between a pick and its particle.
        n_selected: Number of selected picks.
        expectation: Estimates from the scores; None for a table without low scores.
        is_right: Picks that match a true particle; None without truth.
        evaluation: Comparison of the picks with the truth; None without truth.
        band: Confidence band of the precision-recall curve; needs two micrographs.
        calibration: Fraction of correct picks against their probability.
        counts: Selected picks on each micrograph.
        is_outlier: Micrographs with unusually many or few picks.
        density: Density of the selected picks across the micrograph.
        edge_density: Density of the selected picks near the edges.
        micrographs: Micrographs to show.
        crops: Single picks, by the title of their row.
    """

    threshold: float
    threshold_source: str
    radius_px: float
    n_selected: int
    expectation: Expectation | None
    is_right: Bool[np.ndarray, " picks"] | None
    evaluation: Evaluation | None
    band: PrecisionBand | None
    calibration: CalibrationCurve | None
    counts: Integer[np.ndarray, " micrographs"]
    is_outlier: Bool[np.ndarray, " micrographs"]
    density: Float[np.ndarray, "cells cells"]
    edge_density: EdgeDensity
    micrographs: Sequence[MicrographSummary]
    crops: Mapping[str, Sequence[PickCrop]]


def summarize_picks(
    run: ReportedRun, threshold: float | None, radius_px: float | None
) -> PickSummary:
    """Summarize the picks of a run.

    Args:
        run: The run.
        threshold: Minimum score of selected picks; None for the threshold of best F1 if the truth
            is given, else that of the highest expected F1, or all picks of a table without low
            scores.
        radius_px: Maximum distance between a pick and its particle; None for a third of the
            diameter.
    """
    picks, truth = run.picks, run.truth
    radius_px = radius_px or run.diameter_px / 3
    evaluation = evaluate_picks(picks, truth, radius_px, picks.micrographs) if truth else None
    is_right = match_picks(picks, truth, radius_px) >= 0 if truth else None
    expectation = estimate_expectation(picks, run.label_sample, is_filtered=run.has_filtered_scores)
    threshold, threshold_source = _choose_threshold(run, evaluation, expectation, threshold)
    selected = apply_threshold(picks, threshold)
    counts = np.bincount(selected.index, minlength=len(picks.micrographs))
    n_cells = int(np.clip(np.sqrt(len(selected) / _PICKS_PER_CELL), 4, 24))
    shapes = np.array([read_micrograph_shape(Path(name)) for name in picks.micrographs])
    band = calibration = None
    if truth is not None and is_right is not None:
        truth_counts = np.bincount(truth.index, minlength=len(truth.micrographs))
        band = bootstrap_precision_band(picks.score, is_right, picks.index, truth_counts)
        calibration = compute_calibration_curve(picks.score, is_right)
    return PickSummary(
        threshold=threshold,
        threshold_source=threshold_source,
        radius_px=radius_px,
        n_selected=len(selected),
        expectation=expectation,
        is_right=is_right,
        evaluation=evaluation,
        band=band,
        calibration=calibration,
        counts=counts,
        is_outlier=find_outliers(counts),
        density=compute_density(selected.xy_px, shapes[selected.index], n_cells),
        edge_density=compute_edge_density(selected.xy_px, selected.index, shapes, run.diameter_px),
        micrographs=_summarize_micrographs(run, selected, evaluation, radius_px),
        crops=_crop_picks(run, is_right, threshold),
    )


def _choose_threshold(
    run: ReportedRun,
    evaluation: Evaluation | None,
    expectation: Expectation | None,
    threshold: float | None,
) -> tuple[float, str]:
    """Return the threshold and a text that says how it was set."""
    if threshold is not None:
        return threshold, "given with --threshold"
    if evaluation and evaluation.best and evaluation.best.threshold is not None:
        return evaluation.best.threshold, "maximum of F1"
    if expectation is None:
        return float(run.picks.score.min()), "all picks: the table has no low scores"
    if expectation.is_capped:
        return expectation.automatic_threshold, "automatic: at most one pick of each micrograph"
    return expectation.automatic_threshold, "automatic: highest expected F1"


def _summarize_micrographs(
    run: ReportedRun, selected: Picks, evaluation: Evaluation | None, radius_px: float
) -> list[MicrographSummary]:
    """Summarize the best, the median and the worst micrograph."""
    measures = _measure_micrographs(selected, evaluation)
    order = sorted(measures, key=lambda name: measures[name][0], reverse=True)
    positions = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    ranks: dict[str, str] = {}
    for rank, position in positions.items():
        ranks.setdefault(order[position], rank)
    return [
        _summarize_micrograph(run, selected, name, (rank, measures[name][1]), radius_px)
        for name, rank in ranks.items()
    ]


def _measure_micrographs(
    selected: Picks, evaluation: Evaluation | None
) -> dict[str, tuple[float, str]]:
    """Return the average precision of each micrograph, or else the median score, and its text."""
    if evaluation:
        areas = {result.name: result.average_precision for result in evaluation.micrographs}
        return {
            name: (area, f"average precision {area:.3f}")
            for name, area in areas.items()
            if area is not None
        } or dict.fromkeys(areas, (0.0, "no true particles"))
    measures = {}
    for name, rows in selected.rows_by_micrograph().items():
        if len(rows):
            median = float(np.median(selected.score[rows]))
            measures[name] = (median, f"median score {format_score(median)}")
        else:
            measures[name] = (-np.inf, "no pick selected")
    return measures


def _summarize_micrograph(
    run: ReportedRun, selected: Picks, name: str, rank: tuple[str, str], radius_px: float
) -> MicrographSummary:
    """Summarize one micrograph, with its score map if the model was found."""
    picks, pixels = selected.restrict([name]), read_micrograph(Path(name)).pixels
    if run.truth is not None:
        truth_xy_px = run.truth.restrict([name]).xy_px
        marks = PickMarks.from_matching(picks.xy_px, picks.score, truth_xy_px, radius_px)
    else:
        empty = np.zeros((0, 2))
        marks = PickMarks(right=picks.xy_px, wrong=empty, missed=empty)
    logits, raw_per_score = None, 1.0
    if run.picker:
        scored = run.picker.score(Path(name))
        logits = scored.scores.logits
        raw_per_score = scored.scores.step_px * float(np.mean(scored.prepared.scale_yx))
    return MicrographSummary(
        rank=rank[0],
        name=name,
        measure=rank[1],
        view=MicrographView.from_pixels(pixels, run.diameter_px),
        marks=marks,
        logits=logits,
        raw_per_score=raw_per_score,
    )


def _crop_picks(
    run: ReportedRun, is_right: Bool[np.ndarray, " picks"] | None, threshold: float
) -> dict[str, list[PickCrop]]:
    """Cut the picks on both sides of the threshold, and those of the highest and lowest scores.

    Each pick is shown once, in the first row that it belongs to.
    """
    picks = run.picks
    order = np.argsort(-picks.score, kind="stable")
    n_selected = int((picks.score >= threshold).sum())
    rows_by_title = {
        ABOVE: order[max(0, n_selected - _CROPS_PER_ROW) : n_selected],
        BELOW: order[n_selected : n_selected + _CROPS_PER_ROW],
        "Highest scores": order[:_CROPS_PER_ROW],
        "Lowest scores": order[-_CROPS_PER_ROW:],
    }
    earlier_rows: list[int] = []
    for title, rows in rows_by_title.items():
        rows_by_title[title] = rows[~np.isin(rows, earlier_rows)]
        earlier_rows += rows.tolist()
    all_rows = np.unique(np.concatenate(list(rows_by_title.values())))
    uris = _crop_each(picks.select(all_rows), run.diameter_px)
    uri_by_row = dict(zip(all_rows.tolist(), uris, strict=True))
    return {
        title: [
            PickCrop(
                uri_by_row[row],
                float(picks.score[row]),
                None if is_right is None else bool(is_right[row]),
            )
            for row in rows.tolist()
        ]
        for title, rows in rows_by_title.items()
        if len(rows)
    }


def _crop_each(picks: Picks, diameter_px: float) -> list[str]:
    """Cut a picture of each pick, in order; each micrograph is read once."""
    uris = [""] * len(picks)
    for name, rows in picks.rows_by_micrograph().items():
        if len(rows):
            pixels = read_micrograph(Path(name)).pixels
            crops = window_crop_uris(pixels, picks.xy_px[rows], diameter_px)
            for row, uri in zip(rows.tolist(), crops, strict=True):
                uris[row] = uri
    return uris


def crop_labels(labels: Picks, diameter_px: float) -> list[str]:
    """Cut pictures of up to 36 evenly spaced labels, as data URIs."""
    return _crop_each(labels.select(choose_evenly(len(labels), _MAX_LABELS)), diameter_px)
