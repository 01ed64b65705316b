"""Compare the runs of a project: does labelling more particles still help?

- `compare_runs`: numbers of the latest runs, and a verdict.
"""

import json
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.errors import CryopickError
from cryopick.evaluate.matching import is_near, match_points
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.corrections import CorrectedPicks

__all__ = ["compare_runs"]

_MAX_RUNS = 6
_MAX_MICROGRAPHS = 20  # on which the picks of two runs are compared
_MIN_LEFT_OUT = 5  # labels for which a recall is shown
_SAME_LABEL_PX = 1.0
_SMALL_CHANGE = 0.05  # of the picks by ten more labels: more labels no longer help


def compare_runs(project: AnnotationProject) -> dict[str, Any]:
    """Compare the latest runs with picks, the newest first.

    `recall` is that on labels made by hand that a run was not trained on. `changed` is the
    fraction of picks that differ from the run before, 1 - F1 at the thresholds of both.
    """
    rows = [row for row in project.runs.list_all() if project.runs.has_picks(row["id"])]
    described: list[dict[str, Any]] = []
    previous: Selection | None = None
    for row in reversed(rows[:_MAX_RUNS]):
        corrected = project.corrections.correct(row["id"])
        threshold = project.runs.pick_filter(row["id"]).threshold
        selected = corrected.candidates & (corrected.picks.score >= threshold)
        current = (corrected, selected)
        changed = None if previous is None else _measure_change(project, previous, current)
        config = json.loads(row["config"])
        described.append(
            {
                "id": row["id"],
                "labels": config.get("labels"),
                "per_micrograph": int(selected.sum()) / max(1, len(corrected.picks.micrographs)),
                **_measure_left_out(project, row["id"], corrected, selected),
                "changed": changed,
            }
        )
        previous = current
    return {"runs": described[::-1], "advice": _advise(described)}


def _measure_left_out(
    project: AnnotationProject,
    run: str,
    corrected: CorrectedPicks,
    selected: Bool[np.ndarray, " picks"],
) -> dict[str, Any]:
    """Compute the recall on labels that were not used for the training of a run."""
    used = _training_labels(project, run)
    n_found = n_labels = 0
    positions: dict[int, list[tuple[float, float]]] = {}
    paths: dict[int, str] = {}
    rows = project.database.rows(
        "SELECT l.mid, l.x, l.y, m.path FROM label l JOIN micrograph m ON m.id = l.mid"
        " WHERE l.kind = 'pos' AND l.source IN ('hand', 'import') ORDER BY l.mid"
    )
    for row in rows:
        positions.setdefault(row["mid"], []).append((row["x"], row["y"]))
        paths[row["mid"]] = row["path"]
    for mid in sorted(positions.keys() & frozenset(corrected.picks.micrographs)):
        xy_px = np.array(positions[mid], np.float64)
        xy_px = xy_px[~is_near(xy_px, used.get(paths[mid], np.zeros((0, 2))), _SAME_LABEL_PX)]
        part = corrected.picks.rows_of(mid)
        picked_xy_px = corrected.picks.xy_px[part][selected[part]]
        n_labels += len(xy_px)
        n_found += int(is_near(xy_px, picked_xy_px, project.corrections.match_radius_px(mid)).sum())
    recall = n_found / n_labels if n_labels >= _MIN_LEFT_OUT else None
    return {"recall": recall, "left_out": n_labels}


def _training_labels(project: AnnotationProject, run: str) -> dict[str, Float[np.ndarray, "_ 2"]]:
    file = project.runs.folder(run) / "labels.json"
    if not file.exists():
        return {}
    try:
        table: Picks = read_picks(file)
    except CryopickError:
        return {}
    return {name: picks.xy_px for name, picks in table.split_by_micrograph()}


Selection = tuple[CorrectedPicks, Bool[np.ndarray, " picks"]]


def _measure_change(
    project: AnnotationProject, first: Selection, second: Selection
) -> float | None:
    """Compute 1 - F1 between the selected picks of two runs on common micrographs."""
    common = sorted({*first[0].picks.micrographs} & {*second[0].picks.micrographs})
    n_matched = n_selected = 0
    for mid in common[:_MAX_MICROGRAPHS]:
        positions, scores = [], []
        for corrected, selected in (first, second):
            part = corrected.picks.rows_of(mid)
            positions.append(corrected.picks.xy_px[part][selected[part]])
            scores.append(corrected.picks.score[part][selected[part]].astype(np.float64))
        radius_px = project.corrections.match_radius_px(mid)
        matches = match_points(positions[0], scores[0], positions[1], radius_px)
        n_matched += int((matches >= 0).sum())
        n_selected += len(positions[0]) + len(positions[1])
    return 1 - 2 * n_matched / n_selected if n_selected else None


def _advise(described: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return how much the last labels changed, for the last two trainings with more labels."""
    if len(described) < 2:
        return None
    last, before = described[-1], described[-2]
    more = (last["labels"] or 0) - (before["labels"] or 0)
    if before["labels"] is None or more <= 0 or last["changed"] is None:
        return None
    per_ten = last["changed"] * min(1.0, 10 / more)
    return {"labels": more, "changed": last["changed"], "enough": per_ten <= _SMALL_CHANGE}
