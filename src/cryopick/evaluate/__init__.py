"""Judge picks: arithmetic on coordinates and scores, without files or images.

- `match`, `match_picks`, `is_near`: which pick is which particle.
- `precision_recall`, `average_precision`, `Curve`, `Point`: how good a ranking is.
- `evaluate_picks`, `Evaluation`, `OnMicrograph`: a table against the known particles.
- `thresholded`, `strongest`, `nested_sets`, `nested_counts`: the surest picks.
"""

from cryopick.evaluate.curves import Curve, Point, average_precision, precision_recall
from cryopick.evaluate.judge import Evaluation, OnMicrograph, evaluate_picks
from cryopick.evaluate.matching import is_near, match, match_picks
from cryopick.evaluate.thresholds import nested_counts, nested_sets, strongest, thresholded

__all__ = [
    "Curve",
    "Evaluation",
    "OnMicrograph",
    "Point",
    "average_precision",
    "evaluate_picks",
    "is_near",
    "match",
    "match_picks",
    "nested_counts",
    "nested_sets",
    "precision_recall",
    "strongest",
    "thresholded",
]
