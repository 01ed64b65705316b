"""Evaluation of picks in tomograms against all true particles.

Picks and particles are matched one to one by descending score within a radius, as on micrographs
(decision 0004).

- `TomogramEvaluation`: average precision, and the best F1.
- `evaluate_table`: evaluate a table of picks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cryopick.errors import SettingsError
from cryopick.evaluate.matching import match_points
from cryopick.evaluate.precision_recall import OperatingPoint, compute_precision_recall
from cryopick.picks import Picks
from cryopick.tomograms.coordinates import CLASS_COLUMN, get_xyz

__all__ = ["TomogramEvaluation", "evaluate_table"]


@dataclass(frozen=True, kw_only=True)
class TomogramEvaluation:
    """Result of an evaluation.

    Attributes:
        n_picks: Number of picks in the evaluated tomograms.
        n_truth: Number of particles in them.
        n_matched: Number of picks that match a particle.
        average_precision: Area under the precision-recall curve.
        best: Point of the highest F1; None without picks.
        at_zero: Point of all picks with a score of at least 0.
        class_accuracy: Fraction of the matched picks whose class is right; None without classes.
    """

    n_picks: int
    n_truth: int
    n_matched: int
    average_precision: float
    best: OperatingPoint | None
    at_zero: OperatingPoint
    class_accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values."""
        values = {name: getattr(self, name) for name in ("n_picks", "n_truth", "n_matched")}
        points = {"best": self.best, "at_zero": self.at_zero}
        return {
            **values,
            "average_precision": self.average_precision,
            **{name: vars(point) if point else None for name, point in points.items()},
            "class_accuracy": self.class_accuracy,
        }


def evaluate_table(picks: Picks, truth: Picks, radius_px: float) -> TomogramEvaluation:
    """Evaluate picks in the tomograms that `truth` names.

    Args:
        picks: Picks with scores.
        truth: All particles; names of tomograms as in `picks`.
        radius_px: Maximum distance of a match in voxels.

    Raises:
        SettingsError: Picks have no scores.
        FormatError: A table has no third coordinate.
    """
    picks = picks.restrict(truth.micrographs)
    if not picks.is_scored:
        raise SettingsError("the picks have no scores to rank them; evaluate a table with scores")
    picks_xyz, truth_xyz = get_xyz(picks, "the picks"), get_xyz(truth, "the truth")
    partner = np.full(len(picks), -1, np.int64)
    truth_rows = truth.rows_by_micrograph()
    for name, rows in picks.rows_by_micrograph().items():
        particles = truth_rows[name]
        matches = match_points(picks_xyz[rows], picks.score[rows], truth_xyz[particles], radius_px)
        partner[rows[matches >= 0]] = particles[matches[matches >= 0]]
    hit = partner >= 0
    curve = compute_precision_recall(picks.score, hit, len(truth))
    accuracy = None
    if CLASS_COLUMN in picks.extra and CLASS_COLUMN in truth.extra and hit.any():
        pairs = picks.extra[CLASS_COLUMN][hit], truth.extra[CLASS_COLUMN][partner[hit]]
        accuracy = float(np.mean(pairs[0].astype(int) == pairs[1].astype(int)))
    return TomogramEvaluation(
        n_picks=len(picks),
        n_truth=len(truth),
        n_matched=int(hit.sum()),
        average_precision=curve.average_precision(),
        best=curve.best_f1(),
        at_zero=curve.at_threshold(0.0),
        class_accuracy=accuracy,
    )
