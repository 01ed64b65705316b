"""Metrics of the picks of a run, suggested thresholds, and picks to review next.

- `measure_run`: recall, precision and suggested thresholds, each with its evidence.
- `choose_picks_to_review`: picks for people to review.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.confidence import wilson_interval
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import is_near, match_picks
from cryopick.evaluate.thresholds import apply_threshold, select_strongest
from cryopick.picks import Picks
from cryopick.web.project.exports import match_radius_px
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.run_picks import PickFilter, RunPicks

__all__ = ["choose_picks_to_review", "measure_run"]

_MAX_PER_MICROGRAPH = 2  # uncertain picks to review
_F1_REASON = "Highest F1 expected from the distribution of the scores."
_CAPPED_REASON = "No micrograph clearly shows particles: at most one pick of each is selected."
_MIN_VERDICTS = 10  # with fewer reviewed picks the interval of the precision is too wide to show


def measure_run(project: AnnotationProject, run: str) -> dict[str, Any]:
    """Compute recall on held-out micrographs, precision, and suggested thresholds."""
    table = project.runs.table(run, project.runs.spacing_mask(run))
    pick_filter = project.runs.pick_filter(run)
    config = json.loads(project.runs.find(run)["config"])
    held_out = [str(project.micrographs.path(mid)) for mid in config.get("held_out", ())]
    trained_on = project.runs.training_micrographs(run)
    complete = [
        name
        for name in project.annotations.fully_labelled()
        if name in table.micrographs and name not in trained_on
    ]
    truth = project.annotations.table("pos")
    is_calibrated = project.jobs.is_calibrated(run)
    return {
        "is_calibrated": is_calibrated,
        "recall": _measure_recall(project, table, truth, held_out, pick_filter.threshold),
        "precision": _labelled_precision(project, table, truth, complete, pick_filter.threshold)
        or _reviewed_precision(project, run, pick_filter),
        "estimated": _estimate(project, run, pick_filter.threshold) if is_calibrated else None,
        "suggestions": _suggest_thresholds(project, run, table, truth, complete),
    }


def _estimate(project: AnnotationProject, run: str, threshold: float) -> dict[str, Any] | None:
    """Estimate precision, recall and the number of particles from the scores alone."""
    picks = project.runs.picks(run)
    if picks.selection is None:
        return None
    if picks.selection.is_capped:  # nothing is promised
        return {"is_capped": True}
    distribution = picks.distribution
    return {
        "is_capped": False,
        "precision": asdict(distribution.estimate_precision(threshold)),
        "recall": asdict(distribution.estimate_recall(threshold)),
        "count": asdict(distribution.count),
        "per_micrograph": distribution.count.value / max(1, len(picks.micrographs)),
    }


def _measure_recall(
    project: AnnotationProject, table: Picks, truth: Picks, held_out: list[str], threshold: float
) -> dict[str, Any]:
    particles = truth.restrict([name for name in held_out if name in truth.micrographs])
    if not len(particles):
        return {"value": None, "n": 0}
    picks = apply_threshold(table, threshold).restrict(particles.micrographs)
    matches = match_picks(picks, particles, _radius_px(project, particles))
    return {"value": float((matches >= 0).sum() / len(particles)), "n": len(particles)}


def _labelled_precision(
    project: AnnotationProject, table: Picks, truth: Picks, complete: list[str], threshold: float
) -> dict[str, Any] | None:
    """Compute the precision on fully labelled micrographs; None without any."""
    particles = truth.restrict([name for name in complete if name in truth.micrographs])
    picks = apply_threshold(table, threshold).restrict(complete)
    if not len(particles) or not len(picks):
        return None
    matches = match_picks(picks, particles, _radius_px(project, particles))
    n_true = int((matches >= 0).sum())
    source = "on fully labelled micrographs that were not used for training"
    return _describe_precision(n_true, len(picks), source)


def _reviewed_precision(
    project: AnnotationProject, run: str, pick_filter: PickFilter
) -> dict[str, Any]:
    """Compute the precision of the picks that were reviewed at random."""
    selected = project.runs.selection_mask(run)
    verdicts = project.verdicts.random_verdicts(run, pick_filter)
    answers = [is_particle for pick, is_particle in verdicts if selected[pick]]
    if len(answers) < _MIN_VERDICTS:
        return {"value": None, "low": None, "high": None, "n": len(answers), "from": None}
    return _describe_precision(sum(answers), len(answers), "reviewed at random")


def _describe_precision(n_true: int, total: int, source: str) -> dict[str, Any]:
    low, high = wilson_interval(np.array([float(n_true)]), np.array([total]))
    interval = {"low": float(low[0]), "high": float(high[0])}
    return {"value": n_true / total, **interval, "n": total, "from": source}


def _suggest_thresholds(
    project: AnnotationProject, run: str, table: Picks, truth: Picks, complete: list[str]
) -> list[dict[str, Any]]:
    suggestions: list[dict[str, Any]] = []
    if project.jobs.is_calibrated(run):
        picks = project.runs.picks(run)
        is_capped = picks.selection is not None and picks.selection.is_capped
        reason = _CAPPED_REASON if is_capped else _F1_REASON
        threshold = picks.automatic_threshold
        suggestions.append({"name": "Automatic", "threshold": threshold, "reason": reason})
    particles = truth.restrict([name for name in complete if name in truth.micrographs])
    if len(particles):
        radius_px = _radius_px(project, particles)
        best = evaluate_picks(table.restrict(complete), particles, radius_px, complete).best
        if best is not None:
            reason = (
                "Highest F1 on fully labelled micrographs that were not used for training: "
                f"{best.f1:.2f}."
            )
            suggestions.append({"name": "Best F1", "threshold": best.threshold, "reason": reason})
    config = json.loads(project.runs.find(run)["config"])
    expected = config.get("particles_per_micrograph")
    count = round(expected * len(table.micrographs)) if expected else 0
    if 0 < count < len(table):
        threshold = float(select_strongest(table, count).score.min())
        reason = f"Keeps about {expected:g} picks per micrograph, the expected number."
        suggestions.append({"name": "Expected number", "threshold": threshold, "reason": reason})
    return suggestions


def _radius_px(project: AnnotationProject, truth: Picks) -> float:
    return match_radius_px(project, truth.micrographs[0])


def choose_picks_to_review(
    project: AnnotationProject, run: str, kind: str, count: int
) -> list[dict[str, Any]]:
    """Choose picks to review: uncertain ones, contradictions to the labels, or a random sample."""
    picks, candidates = project.runs.picks(run), project.runs.spacing_mask(run).copy()
    candidates[project.verdicts.reviewed_picks(run, kind)] = False
    if kind == "random":
        rows = np.flatnonzero(project.runs.selection_mask(run) & candidates)
        chosen = _sample_rows(rows, count)
    else:
        on_label = _find_labelled(project, run)
        if kind == "uncertain":
            priority = -np.abs(picks.score.astype(np.float64))
            candidates &= ~on_label["pos"] & ~on_label["neg"]
        else:
            priority, is_contradiction = _find_contradictions(project, picks, on_label)
            candidates &= is_contradiction
        chosen = _choose_by_priority(priority, picks.mids, candidates, count)
    names = {
        mid: project.micrographs.find(int(mid))["name"] for mid in np.unique(picks.mids[chosen])
    }
    labels = _find_labels(project, picks, chosen) if kind == "disagree" else {}
    return [
        {
            "pick": int(row),
            "on": labels.get(int(row)),
            "mid": int(picks.mids[row]),
            "name": names[picks.mids[row]],
            "x": float(picks.xy_px[row, 0]),
            "y": float(picks.xy_px[row, 1]),
            "score": float(picks.score[row]),
        }
        for row in chosen
    ]


def _find_contradictions(
    project: AnnotationProject, picks: RunPicks, on_label: dict[str, Bool[np.ndarray, " picks"]]
) -> tuple[Float[np.ndarray, " picks"], Bool[np.ndarray, " picks"]]:
    """Find picks whose score contradicts the labels, and how strongly.

    Labels are incomplete: a pick without a label contradicts them only on a micrograph on which
    all particles are labelled. Negative labels with a high score contradict them everywhere.
    """
    complete = project.micrographs.numbers_of(project.annotations.fully_labelled())
    positive, negative = on_label["pos"] & ~on_label["neg"], on_label["neg"]
    is_unlabelled = np.isin(picks.mids, complete) & ~positive & ~negative
    score = picks.score.astype(np.float64)
    is_contradiction = (positive & (score < 0)) | ((negative | is_unlabelled) & (score > 0))
    return np.abs(score), is_contradiction


def _find_labels(
    project: AnnotationProject, picks: RunPicks, rows: Integer[np.ndarray, " chosen"]
) -> dict[int, dict[str, Any]]:
    """Return the nearest label of each pick that lies on one."""
    labels_by_pick = {}
    for row in rows.tolist():
        mid = int(picks.mids[row])
        distances = [
            (float(np.hypot(label["x"] - x, label["y"] - y)), label)
            for label in project.annotations.list_on(mid)["labels"]
            for x, y in [picks.xy_px[row]]
        ]
        if not distances:
            continue
        distance_px, label = min(distances, key=lambda one: one[0])
        if distance_px <= project.corrections.match_radius_px(mid):
            labels_by_pick[row] = {"id": label["id"], "kind": label["kind"]}
    return labels_by_pick


def _sample_rows(rows: Integer[np.ndarray, " n"], count: int) -> Integer[np.ndarray, " chosen"]:
    """Draw a random sample with a fixed seed, so that a reloaded page shows the same picks."""
    rng = np.random.default_rng(0)
    return rng.permutation(rows)[:count]


def _choose_by_priority(
    priority: Float[np.ndarray, " picks"],
    mids: Integer[np.ndarray, " picks"],
    candidates: Bool[np.ndarray, " picks"],
    count: int,
) -> Integer[np.ndarray, " chosen"]:
    """Choose the candidates of highest priority, at most two on a micrograph."""
    chosen: list[int] = []
    chosen_per_micrograph: dict[int, int] = {}
    order = np.argsort(-priority[candidates], kind="stable")
    for row in np.flatnonzero(candidates)[order].tolist():
        mid = int(mids[row])
        if chosen_per_micrograph.get(mid, 0) < _MAX_PER_MICROGRAPH:
            chosen_per_micrograph[mid] = chosen_per_micrograph.get(mid, 0) + 1
            chosen.append(row)
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)


def _find_labelled(project: AnnotationProject, run: str) -> dict[str, Bool[np.ndarray, " picks"]]:
    """Mark the picks that lie on a label, for each kind of label."""
    picks = project.runs.picks(run)
    on_label = {}
    for kind in ("pos", "neg"):
        mask = np.zeros(len(picks.score), bool)
        labels = dict(project.annotations.table(kind).split_by_micrograph())
        for mid in picks.micrographs:
            path = str(project.micrographs.path(mid))
            if path in labels:
                rows = picks.rows_of(mid)
                radius_px = match_radius_px(project, path)
                mask[rows] = is_near(picks.xy_px[rows], labels[path].xy_px, radius_px)
        on_label[kind] = mask
    return on_label
