"""Judge a table of picks against the particles that are known.

- `evaluate_picks`: the whole judgement.
- `Evaluation`: its numbers; `OnMicrograph`: those of one micrograph.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cryopick.array_types import Bool
from cryopick.errors import SettingsError
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.precision_recall import Curve, Point, precision_recall
from cryopick.picks import Picks

__all__ = ["Evaluation", "OnMicrograph", "evaluate_picks"]


@dataclass(frozen=True, kw_only=True)
class OnMicrograph:
    """Numbers of one micrograph.

    Attributes:
        name: The micrograph.
        n_picks: Picks on it, of any score.
        n_truth: Known particles on it.
        average_precision: Over its own picks; None without scores or without particles.
        at_best: Precision, recall and F1 at the best threshold of the whole table.
    """

    name: str
    n_picks: int
    n_truth: int
    average_precision: float | None
    at_best: Point


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What picks are worth, over all micrographs judged.

    Attributes:
        radius_px: Greatest distance between a pick and its particle.
        n_picks: Picks judged, of any score.
        n_truth: Known particles.
        n_found: Particles that some pick found.
        average_precision: Over all picks ranked together; None without scores or particles.
        all_picks: Precision, recall and F1 when every pick is kept.
        best: The point of highest F1; None without scores.
        at_zero: The point at threshold 0, even odds; None without scores.
        micrographs: The same by micrograph.
        left_out: Micrographs with picks that the truth does not mention, so not judged;
            none where the caller chose the micrographs.
        unheard_of: Micrographs asked for that neither table mentions; they count as empty.
        curve: The precision-recall curve; None without scores.
    """

    radius_px: float
    n_picks: int
    n_truth: int
    n_found: int
    average_precision: float | None
    all_picks: Point
    best: Point | None
    at_zero: Point | None
    micrographs: tuple[OnMicrograph, ...]
    left_out: tuple[str, ...]
    unheard_of: tuple[str, ...]
    curve: Curve | None

    def to_dict(self) -> dict[str, object]:
        """Everything but the curve, ready for JSON: what is undefined is None."""
        values = {name: value for name, value in vars(self).items() if name != "curve"}
        values |= {
            name: asdict(value) for name, value in values.items() if isinstance(value, Point)
        }
        values["micrographs"] = [asdict(own) for own in self.micrographs]
        return {name: _without_nan(value) for name, value in values.items()}


def evaluate_picks(
    picks: Picks, truth: Picks, radius_px: float, only: Sequence[str] | None = None
) -> Evaluation:
    """Judge picks against known particles, paired one to one within a distance.

    Args:
        picks: What was picked, best with every pick down to a low score.
        truth: The particles that are known, under the same names of micrographs.
        radius_px: Greatest distance between a pick and its particle.
        only: Micrographs to judge. Without it those that `truth` mentions: a micrograph
            it knows and `picks` does not is one on which nothing was found, and one that
            only `picks` knows is left out, for nobody says what is on it.

    Raises:
        SettingsError: No micrograph is left to judge, or the tables name none in common.
    """
    names = tuple(dict.fromkeys(truth.micrographs if only is None else only))
    known = set(picks.micrographs) | set(truth.micrographs)
    _require_common_names(picks, names, known)
    judged, particles = picks.restrict(names), truth.restrict(names)
    hit = match_picks(judged, particles, radius_px) >= 0
    scored = judged.is_scored
    curve = precision_recall(judged.score, hit, len(particles)) if scored else None
    best = curve.best_f1() if curve else None
    return Evaluation(
        radius_px=float(radius_px),
        n_picks=len(judged),
        n_truth=len(particles),
        n_found=int(hit.sum()),
        average_precision=_defined(curve),
        all_picks=_keeping(judged, hit, len(particles), None),
        best=best,
        at_zero=curve.at(0.0) if curve else None,
        micrographs=_by_micrograph(judged, hit, particles, best),
        left_out=() if only is not None else _with_picks_beyond(names, picks),
        unheard_of=tuple(name for name in names if name not in known),
        curve=curve,
    )


def _require_common_names(picks: Picks, names: Sequence[str], known: set[str]) -> None:
    """Refuse tables that name micrographs so differently that nothing could be found."""
    if not known & set(names):
        raise SettingsError(
            f"no micrograph to judge: picks and truth name {len(known)} micrographs, "
            f"none of which is among the {len(names)} asked for"
        )
    if len(picks) and not set(picks.micrographs) & set(names):
        raise SettingsError(
            f"the picks are on none of the {len(names)} micrographs to judge: "
            f"the picks name {picks.micrographs[0]!r}, to judge is {names[0]!r}; "
            "check that both tables are of one data set"
        )


def _with_picks_beyond(names: Sequence[str], picks: Picks) -> tuple[str, ...]:
    judged = set(names)
    return tuple(n for n, rows in picks.rows().items() if len(rows) and n not in judged)


def _by_micrograph(
    picks: Picks, hit: Bool[np.ndarray, " picks"], truth: Picks, best: Point | None
) -> tuple[OnMicrograph, ...]:
    total = {name: len(rows) for name, rows in truth.rows().items()}
    threshold = best.threshold if best else None
    results = []
    for name, rows in picks.rows().items():
        own = picks.select(rows)
        curve = precision_recall(own.score, hit[rows], total[name]) if picks.is_scored else None
        results.append(
            OnMicrograph(
                name=name,
                n_picks=len(own),
                n_truth=total[name],
                average_precision=_defined(curve),
                at_best=_keeping(own, hit[rows], total[name], threshold),
            )
        )
    return tuple(results)


def _keeping(
    picks: Picks, hit: Bool[np.ndarray, " picks"], total: int, threshold: float | None
) -> Point:
    """The point of the picks at or above a threshold, or of all where it is None."""
    kept = np.ones(len(picks), bool) if threshold is None else picks.score >= threshold
    return Point.of(threshold, found=int(hit[kept].sum()), kept=int(kept.sum()), total=total)


def _defined(curve: Curve | None) -> float | None:
    return curve.average_precision() if curve and curve.total else None


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
