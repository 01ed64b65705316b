"""What can be known of a run's picks, and what to look at next.

- `measured`: recall, precision and thresholds worth a try, each with where it comes from.
- `review`: picks to judge.
"""

import json
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.evaluate.confidence import share_interval
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.evaluate.matching import is_near, match_picks
from cryopick.evaluate.thresholds import strongest, thresholded
from cryopick.picks import Picks
from cryopick.web.project.exports import near_px
from cryopick.web.project.project import Desk
from cryopick.web.project.run_picks import Cut

__all__ = ["measured", "review"]

_EACH = 2  # uncertain picks of one micrograph
_ENOUGH = 10  # judged picks, below which a share says nothing


def measured(desk: Desk, run: str) -> dict[str, Any]:
    """Recall on held-out micrographs, precision where it is known, and suggestions."""
    table = desk.runs.table(run, desk.runs.thinned(run))
    cut = desk.runs.cut(run)
    config = json.loads(desk.runs.one(run)["config"])
    held = [str(desk.micrographs.path(mid)) for mid in config.get("held_out", ())]
    learnt = desk.runs.learnt(run)
    complete = [
        name for name in desk.marks.complete() if name in table.micrographs and name not in learnt
    ]
    truth = desk.marks.table("pos")
    return {
        "recall": _recall(desk, table, truth, held, cut.threshold),
        "precision": _marked_precision(desk, table, truth, complete, cut.threshold)
        or _judged_precision(desk, run, cut),
        "suggestions": _suggestions(desk, run, table, truth, complete),
    }


def _recall(
    desk: Desk, table: Picks, truth: Picks, held: list[str], threshold: float
) -> dict[str, Any]:
    own = truth.restrict([name for name in held if name in truth.micrographs])
    if not len(own):
        return {"value": None, "n": 0}
    found = thresholded(table, threshold).restrict(own.micrographs)
    partners = match_picks(found, own, _radius_px(desk, own))
    return {"value": float((partners >= 0).sum() / len(own)), "n": len(own)}


def _marked_precision(
    desk: Desk, table: Picks, truth: Picks, complete: list[str], threshold: float
) -> dict[str, Any] | None:
    """Of the kept picks on fully marked micrographs, how many are right."""
    own = truth.restrict([name for name in complete if name in truth.micrographs])
    kept = thresholded(table, threshold).restrict(complete)
    if not len(own) or not len(kept):
        return None
    right = int((match_picks(kept, own, _radius_px(desk, own)) >= 0).sum())
    return _share(right, len(kept), "on fully marked micrographs it did not learn from")


def _judged_precision(desk: Desk, run: str, cut: Cut) -> dict[str, Any]:
    """Of the picks judged at random, how many are right."""
    kept = desk.runs.kept(run)
    answers = [right for pick, right in desk.verdicts.at_random(run, cut) if kept[pick]]
    if len(answers) < _ENOUGH:
        return {"value": None, "low": None, "high": None, "n": len(answers), "from": None}
    return _share(sum(answers), len(answers), "judged at random")


def _share(right: int, of: int, source: str) -> dict[str, Any]:
    low, high = share_interval(np.array([float(right)]), np.array([of]))
    share = {"low": float(low[0]), "high": float(high[0])}
    return {"value": right / of, **share, "n": of, "from": source}


def _suggestions(
    desk: Desk, run: str, table: Picks, truth: Picks, complete: list[str]
) -> list[dict[str, Any]]:
    found = [{"name": "Even odds", "threshold": 0.0, "why": "A score of 0 is even odds."}]
    own = truth.restrict([name for name in complete if name in truth.micrographs])
    if len(own):
        judged = evaluate_picks(table.restrict(complete), own, _radius_px(desk, own), complete)
        if judged.best is not None:
            why = (
                f"Best on fully marked micrographs it did not learn from: F1 {judged.best.f1:.2f}."
            )
            found.append({"name": "Best F1", "threshold": judged.best.threshold, "why": why})
    config = json.loads(desk.runs.one(run)["config"])
    expected = config.get("particles_per_micrograph")
    count = round(expected * len(table.micrographs)) if expected else 0
    if 0 < count < len(table):
        at = float(strongest(table, count).score.min())
        why = f"Keeps about {expected:g} picks a micrograph, as expected."
        found.append({"name": "Expected number", "threshold": at, "why": why})
    return found


def _radius_px(desk: Desk, truth: Picks) -> float:
    return near_px(desk, truth.micrographs[0])


def review(desk: Desk, run: str, kind: str, count: int) -> list[dict[str, Any]]:
    """Picks to judge: the least sure, those that contradict the labels, or any at random."""
    found, keep = desk.runs.found(run), desk.runs.thinned(run).copy()
    keep[desk.verdicts.asked(run, kind)] = False
    if kind == "random":
        chosen = _at_random(np.flatnonzero(desk.runs.kept(run) & keep), count)
    else:
        marked = _marked(desk, run)
        if kind == "uncertain":
            worth = -np.abs(found.score.astype(np.float64))
            keep &= ~marked["pos"] & ~marked["neg"]
        else:
            worth = np.where(marked["pos"], -found.score, found.score).astype(np.float64)
            keep &= marked["pos"] & (found.score < 0) | (~marked["pos"] & (found.score > 0))
            keep &= ~marked["neg"]
        chosen = _worthiest(worth, found.mids, keep, count)
    names = {mid: desk.micrographs.one(int(mid))["name"] for mid in np.unique(found.mids[chosen])}
    return [
        {
            "pick": int(i),
            "mid": int(found.mids[i]),
            "name": names[found.mids[i]],
            "x": float(found.xy_px[i, 0]),
            "y": float(found.xy_px[i, 1]),
            "score": float(found.score[i]),
        }
        for i in chosen
    ]


def _at_random(places: Integer[np.ndarray, " n"], count: int) -> Integer[np.ndarray, " chosen"]:
    """The same ones each time, so that a page that is loaded again asks the same."""
    rng = np.random.default_rng(0)
    return rng.permutation(places)[:count]


def _worthiest(
    worth: Float[np.ndarray, " picks"],
    mids: Integer[np.ndarray, " picks"],
    keep: Bool[np.ndarray, " picks"],
    count: int,
) -> Integer[np.ndarray, " chosen"]:
    """The worthiest, few of them on one micrograph."""
    chosen: list[int] = []
    taken: dict[int, int] = {}
    for place in np.flatnonzero(keep)[np.argsort(-worth[keep], kind="stable")].tolist():
        mid = int(mids[place])
        if taken.get(mid, 0) < _EACH:
            taken[mid] = taken.get(mid, 0) + 1
            chosen.append(place)
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)


def _marked(desk: Desk, run: str) -> dict[str, Bool[np.ndarray, " picks"]]:
    """Which picks lie on a label of each kind."""
    found = desk.runs.found(run)
    marked = {}
    for kind in ("pos", "neg"):
        on = np.zeros(len(found.score), bool)
        labels = dict(desk.marks.table(kind).by_micrograph())
        for mid in found.micrographs:
            path = str(desk.micrographs.path(mid))
            if path in labels:
                place = found.on(mid)
                reach_px = near_px(desk, path)
                on[place] = is_near(found.xy_px[place], labels[path].xy_px, reach_px)
        marked[kind] = on
    return marked
