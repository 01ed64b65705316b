"""Judge picks: arithmetic on coordinates and scores, without files or images.

- `match`, `match_picks`, `is_near`: which pick is which particle.
- `precision_recall`, `average_precision`, `Curve`, `Point`: how good a ranking is.
- `evaluate_picks`, `Evaluation`, `OnMicrograph`: a table against the known particles.
- `precision_band`, `reliability`, `share_interval`: how sure such numbers are.
- `outliers`, `density`, `near_edges`: how picks are spread.
- `promised`, `Promise`, `best_threshold`: what calibrated scores promise without labels.
- `best_cut`, `Cut`: what the automatic threshold keeps.
- `shows_particles`, `likely_empty`: micrographs with a sign of particles, and without.
- `thresholded`, `strongest`, `nested_counts`: the surest picks.
"""

from cryopick.evaluate.certainty import (
    Band,
    Reliability,
    precision_band,
    reliability,
    share_interval,
)
from cryopick.evaluate.curves import Curve, Point, average_precision, precision_recall
from cryopick.evaluate.expected import Cut, Promise, best_cut, best_threshold, promised
from cryopick.evaluate.judge import Evaluation, OnMicrograph, evaluate_picks
from cryopick.evaluate.matching import is_near, match, match_picks
from cryopick.evaluate.signs import likely_empty, shows_particles
from cryopick.evaluate.spread import NearEdges, density, near_edges, outliers
from cryopick.evaluate.thresholds import nested_counts, strongest, thresholded

__all__ = [
    "Band",
    "Curve",
    "Cut",
    "Evaluation",
    "NearEdges",
    "OnMicrograph",
    "Point",
    "Promise",
    "Reliability",
    "average_precision",
    "best_cut",
    "best_threshold",
    "density",
    "evaluate_picks",
    "is_near",
    "likely_empty",
    "match",
    "match_picks",
    "near_edges",
    "nested_counts",
    "outliers",
    "precision_band",
    "precision_recall",
    "promised",
    "reliability",
    "share_interval",
    "shows_particles",
    "strongest",
    "thresholded",
]
