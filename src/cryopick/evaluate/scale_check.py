"""Recognize two tables of which one was made on micrographs of another binning.

- `find_scale_factor`: factor that brings the picks of one table to those of another.
- `BINNINGS`: factors in use.
"""

import numpy as np

from cryopick.evaluate.matching import match_points
from cryopick.picks import Picks

__all__ = ["BINNINGS", "find_scale_factor"]

BINNINGS = (1.25, 1.5, 2, 3, 4, 6, 8, 16)
_MAX_MICROGRAPHS = 10  # that are compared
_MIN_PARTICLES = 10
_MAX_MATCHED_FRAC = 0.3  # of the smaller table, where scaling cannot explain more than it would
_MIN_SCALED_FRAC = 0.6


def find_scale_factor(picks: Picks, truth: Picks, radius_px: float) -> float | None:
    """Find the factor by which the picks must be multiplied to match the truth.

    Args:
        picks: Picks on micrographs that have the same names in both tables.
        truth: Particles.
        radius_px: Maximum distance of a match.

    Returns:
        A usual binning or its inverse that matches most picks where few match as they are; None
        if there is no such factor, or too few particles to tell.
    """
    shared = [name for name in picks.micrographs if name in set(truth.micrographs)]
    pairs = [
        (picks.restrict([name]), truth.restrict([name]).xy_px) for name in shared[:_MAX_MICROGRAPHS]
    ]
    count = sum(min(len(table), len(xy_px)) for table, xy_px in pairs)

    def matched_frac(factor: float) -> float:
        rows = [
            match_points(table.xy_px * factor, table.score, xy_px, radius_px)
            for table, xy_px in pairs
        ]
        return sum(int(np.count_nonzero(of_one >= 0)) for of_one in rows) / count

    if count < _MIN_PARTICLES or matched_frac(1.0) > _MAX_MATCHED_FRAC:
        return None
    factors = [factor for binning in BINNINGS for factor in (float(binning), 1 / binning)]
    best = max(factors, key=matched_frac)
    return best if matched_frac(best) >= _MIN_SCALED_FRAC else None
