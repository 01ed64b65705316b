"""What the picks of a run show: numbers, and pictures to look at.

- `Evidence`, `evidence_of`: everything that a report tells of picks.
- `Shown`, `Crop`: a micrograph, and a single pick.
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
from cryopick.report.pictures import Marks, View, close_ups
from cryopick.report.run_files import Run

__all__ = ["Crop", "Evidence", "Shown", "evidence_of", "label_pictures"]

_CROPS = 12  # pictures in a row of the gallery
_PER_CELL = 8  # picks in a cell of the map, on average, so that chance does not rule it
_LABELS = 36  # labels to show: three rows


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """A micrograph to look at.

    Attributes:
        rank: Which it is of all: "best", "median" or "worst".
        name: Its path.
        why: The number by which it was ranked.
        view: The micrograph.
        marks: Picks at or above the threshold; all count as right where truth is not known.
        logits: Its scores; None without a model.
        raw_per_score: Raw pixels between two scores.
    """

    rank: str
    name: str
    why: str
    view: View
    marks: Marks
    logits: Real[np.ndarray, "rows columns"] | None
    raw_per_score: float


@dataclass(frozen=True)
class Crop:
    """A single pick: its picture as a data address, its score, whether it is right."""

    address: str
    score: float
    is_right: bool | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Everything that a report tells of picks.

    Attributes:
        threshold: The score at or above which a pick is kept.
        why: Where the threshold comes from.
        radius_px: Greatest distance between a pick and its particle.
        n_kept: Picks that are kept.
        hit: Whether each pick is right, if truth is known.
        judged: The picks against the truth, if it is known.
        band: Intervals of the curve, from two micrographs on.
        groups: What scores promise, and what is so.
        counts: Picks kept on each micrograph.
        is_far: Which counts are far from the others.
        grid: Density of the kept picks across the micrograph.
        near: The same near the edges.
        shown: Micrographs to look at.
        crops: Single picks, by what they are an example of.
    """

    threshold: float
    why: str
    radius_px: float
    n_kept: int
    hit: Bool[np.ndarray, " picks"] | None
    judged: Evaluation | None
    band: PrecisionBand | None
    groups: CalibrationCurve | None
    counts: Integer[np.ndarray, " micrographs"]
    is_far: Bool[np.ndarray, " micrographs"]
    grid: Float[np.ndarray, "cells cells"]
    near: EdgeDensity
    shown: Sequence[Shown]
    crops: Mapping[str, Sequence[Crop]]


def evidence_of(run: Run, threshold: float | None, radius_px: float | None) -> Evidence:
    """Look at the picks of a run from all sides.

    Args:
        run: The run.
        threshold: What to keep; None takes the threshold of best F1 where truth is known,
            elsewhere the one that keeps as many as were expected, and else even odds.
        radius_px: Greatest distance between a pick and its particle; None takes a third of
            the diameter.
    """
    picks, truth = run.picks, run.truth
    radius_px = radius_px or run.diameter_px / 3
    judged = evaluate_picks(picks, truth, radius_px, picks.micrographs) if truth else None
    hit = match_picks(picks, truth, radius_px) >= 0 if truth else None
    threshold, why = _cut(run, judged, threshold)
    kept = apply_threshold(picks, threshold)
    counts = np.bincount(kept.index, minlength=len(picks.micrographs))
    cells = int(np.clip(np.sqrt(len(kept) / _PER_CELL), 4, 24))
    shapes = np.array([read_micrograph_shape(Path(name)) for name in picks.micrographs])
    band = groups = None
    if truth is not None and hit is not None:
        known = np.bincount(truth.index, minlength=len(truth.micrographs))
        band = bootstrap_precision_band(picks.score, hit, picks.index, known)
        groups = compute_calibration_curve(picks.score, hit)
    return Evidence(
        threshold=threshold,
        why=why,
        radius_px=radius_px,
        n_kept=len(kept),
        hit=hit,
        judged=judged,
        band=band,
        groups=groups,
        counts=counts,
        is_far=find_outliers(counts),
        grid=compute_density(kept.xy_px, shapes[kept.index], cells),
        near=compute_edge_density(kept.xy_px, kept.index, shapes, run.diameter_px),
        shown=_shown(run, kept, judged, radius_px),
        crops=_crops(run, hit, threshold),
    )


def _cut(run: Run, judged: Evaluation | None, given: float | None) -> tuple[float, str]:
    if given is not None:
        return given, "as asked for"
    if judged and judged.best and judged.best.threshold is not None:
        return judged.best.threshold, "where F1 is best"
    settings = run.model.summary.get("settings", {}) if run.model else {}
    expected = settings.get("particles_per_micrograph")
    if isinstance(expected, int | float):
        many = round(expected * len(run.picks.micrographs))
        if 0 < many <= len(run.picks):
            at = np.sort(run.picks.score)[-many]
            return float(at), f"as {expected:g} particles a micrograph were expected"
    return 0.0, "even odds if the scores are calibrated"


def _shown(run: Run, kept: Picks, judged: Evaluation | None, radius_px: float) -> list[Shown]:
    """The best, the median and the worst micrograph, with what is on them."""
    worth = _worth(kept, judged)
    order = sorted(worth, key=lambda name: worth[name][0], reverse=True)
    places = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    chosen: dict[str, str] = {}
    for rank, place in places.items():
        chosen.setdefault(order[place], rank)
    return [
        _one(run, kept, name, (rank, worth[name][1]), radius_px) for name, rank in chosen.items()
    ]


def _worth(kept: Picks, judged: Evaluation | None) -> dict[str, tuple[float, str]]:
    """How good each micrograph is: average precision, or else the median of the kept scores."""
    if judged:
        areas = {own.name: own.average_precision for own in judged.micrographs}
        return {
            name: (area, f"average precision {area:.3f}")
            for name, area in areas.items()
            if area is not None
        } or dict.fromkeys(areas, (0.0, "no known particle"))
    worth = {}
    for name, rows in kept.rows_by_micrograph().items():
        middle = float(np.median(kept.score[rows])) if len(rows) else -np.inf
        told = f"median score {middle:.2f}".replace("-", "\u2212") if len(rows) else "no pick kept"
        worth[name] = (middle, told)
    return worth


def _one(run: Run, kept: Picks, name: str, rank: tuple[str, str], radius_px: float) -> Shown:
    """One micrograph with its share of the picks, and its scores if the model is at hand."""
    own, pixels = kept.restrict([name]), read_micrograph(Path(name)).pixels
    if run.truth is not None:
        known = run.truth.restrict([name]).xy_px
        marks = Marks.of(own.xy_px, own.score, known, radius_px)
    else:
        nothing = np.zeros((0, 2))
        marks = Marks(right=own.xy_px, wrong=nothing, missed=nothing)
    logits, raw_per_score = None, 1.0
    if run.picker:
        scored = run.picker.score(Path(name))
        logits = scored.scores.logits
        raw_per_score = scored.scores.step_px * float(np.mean(scored.prepared.scale_yx))
    return Shown(
        rank=rank[0],
        name=name,
        why=rank[1],
        view=View.of(pixels, run.diameter_px),
        marks=marks,
        logits=logits,
        raw_per_score=raw_per_score,
    )


def _crops(
    run: Run, hit: Bool[np.ndarray, " picks"] | None, threshold: float
) -> dict[str, list[Crop]]:
    """Pictures of the highest picks, of those just above the threshold, and of the lowest."""
    order = np.argsort(-run.picks.score, kind="stable")
    n_kept = int((run.picks.score >= threshold).sum())
    rows = {
        "The surest": order[:_CROPS],
        "Just kept": order[max(0, n_kept - _CROPS) : n_kept],
        "Just left out": order[n_kept : n_kept + _CROPS],
        "The least sure": order[-_CROPS:],
    }
    wanted = np.unique(np.concatenate(list(rows.values())))
    addresses = _pictures(run.picks.select(wanted), run.diameter_px)
    pictures = dict(zip(wanted.tolist(), addresses, strict=True))
    return {
        title: [
            Crop(pictures[i], float(run.picks.score[i]), None if hit is None else bool(hit[i]))
            for i in own.tolist()
        ]
        for title, own in rows.items()
        if len(own)
    }


def _pictures(picks: Picks, diameter_px: float) -> list[str]:
    """A picture of each pick, in stored order; each micrograph is read once."""
    made = [""] * len(picks)
    for name, rows in picks.rows_by_micrograph().items():
        if len(rows):
            pixels = read_micrograph(Path(name)).pixels
            pictures = close_ups(pixels, picks.xy_px[rows], diameter_px)
            for row, picture in zip(rows.tolist(), pictures, strict=True):
                made[row] = picture
    return made


def label_pictures(labels: Picks, diameter_px: float) -> list[str]:
    """Pictures of some labels, evenly drawn, as data addresses."""
    return _pictures(labels.select(choose_evenly(len(labels), _LABELS)), diameter_px)
