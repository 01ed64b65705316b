"""Candidates that people accept or reject: suggestions, and picks of a run in progress.

- `take_partial_picks`: shows the picks of a run while it is still picking.
- `list_candidates`: positions to label next, in order.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float, Integer
from cryopick.errors import CryopickError
from cryopick.evaluate.matching import is_near
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, concatenate
from cryopick.runs.ledger import read_unfinished
from cryopick.web.storage.corrections import CorrectionIndex
from cryopick.web.storage.micrographs import ProjectMicrographs
from cryopick.web.storage.run_records import ProjectRuns

__all__ = ["list_candidates", "take_partial_picks"]

_PER_MICROGRAPH = 6  # candidates before those of the next, so that labels come from several
_MIN_PROBABILITY = 0.05


def take_partial_picks(runs: ProjectRuns, run: str, n_shown: int) -> int:
    """Store the picks of the micrographs that a run has picked so far.

    Args:
        runs: Runs of the project.
        run: The run.
        n_shown: Number of micrographs whose picks are stored already.

    Returns:
        Number of micrographs with picks.
    """
    results = read_unfinished(runs.folder(run) / "picks.json")
    tables = [
        Picks.for_micrograph(path, arrays["xy_px"], arrays["score"])
        for path, arrays in results
        if {"xy_px", "score"} <= set(arrays)
    ]
    first = runs.folder(run) / "picks.json"
    if not tables and not n_shown and first.exists():
        tables = [read_picks(first)]
    if len(tables) > n_shown:
        runs.store_picks(run, concatenate(tables))
        if not n_shown:
            runs.set_automatic_filter(run)
    return max(len(tables), n_shown)


def list_candidates(
    runs: ProjectRuns,
    micrographs: ProjectMicrographs,
    corrections: CorrectionIndex,
    run: str,
    count: int,
) -> list[dict[str, Any]]:
    """List positions to label, without those that have a label.

    A suggestion lists its positions in its own order. Of other runs, picks are drawn at random with
    their probability of being a particle, so that accepted ones represent the particles; those of
    one micrograph follow each other. Further ones are drawn once all micrographs had their turn,
    those that a run in progress has not picked yet included.
    """
    is_running = runs.find(run)["state"] == "running"
    is_suggestion = (runs.folder(run) / "candidates.json").exists()
    rounds = (
        [_read_suggestions(runs, micrographs, run)] if is_suggestion else _draw_picks(runs, run)
    )
    names: dict[int, str] = {}
    candidates: list[dict[str, Any]] = []
    for number, (mids, xy_px, score) in enumerate(rounds):
        if len(candidates) >= count or (number and is_running):
            break
        is_open = _find_unlabelled(corrections, micrographs, mids, xy_px)
        for row in np.flatnonzero(is_open)[: count - len(candidates)].tolist():
            mid = int(mids[row])
            names[mid] = names.get(mid) or micrographs.find(mid)["name"]
            x, y = map(float, xy_px[row])
            candidates.append(
                {"mid": mid, "name": names[mid], "x": x, "y": y, "score": float(score[row])}
            )
    return candidates


Candidates = tuple[
    Integer[np.ndarray, " candidates"],
    Float[np.ndarray, "candidates 2"],
    Float[np.ndarray, " candidates"],
]


def _read_suggestions(runs: ProjectRuns, micrographs: ProjectMicrographs, run: str) -> Candidates:
    usable = micrographs.usable()
    numbers = {str(path): mid for mid, path in usable.items()}
    try:
        table = read_picks(runs.folder(run) / "candidates.json")
        table = match_names(table, list(usable.values())).picks
    except CryopickError:
        return np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0)
    mids = np.array([numbers[name] for name in table.micrographs], np.int64)
    return mids[table.index], table.xy_px, table.score


def _draw_picks(runs: ProjectRuns, run: str) -> Iterator[Candidates]:
    """Draw some picks of each micrograph per round, with a fixed seed: a reload shows the same.

    The order of the logarithms of the weights plus Gumbel noise is that of drawing without
    replacement.

    Source: Vieira 2014, "Gumbel-max trick and weighted reservoir sampling".
    """
    from scipy.special import expit

    picks, keep = runs.picks(run), runs.spacing_mask(run)
    probability = expit(picks.score.astype(np.float64))
    rows = np.flatnonzero(keep & (probability > _MIN_PROBABILITY))
    keys = np.log(probability[rows]) + np.random.default_rng(0).gumbel(size=len(rows))
    rows = rows[np.lexsort((-keys, picks.mids[rows]))]
    _, first, n_rows = np.unique(picks.mids[rows], return_index=True, return_counts=True)
    turn = (np.arange(len(rows)) - np.repeat(first, n_rows)) // _PER_MICROGRAPH
    for number in range(int(turn.max(initial=-1)) + 1):
        chosen = rows[turn == number]
        yield picks.mids[chosen], picks.xy_px[chosen], picks.score[chosen].astype(np.float64)


def _find_unlabelled(
    corrections: CorrectionIndex,
    micrographs: ProjectMicrographs,
    mids: Integer[np.ndarray, " candidates"],
    xy_px: Float[np.ndarray, "candidates 2"],
) -> Bool[np.ndarray, " candidates"]:
    is_open = np.isin(mids, [*micrographs.usable()])
    for mid in np.unique(mids).tolist():
        labels = corrections.label_positions(mid)
        rows = mids == mid
        is_open[rows] &= ~is_near(xy_px[rows], labels, corrections.match_radius_px(mid))
    return is_open
