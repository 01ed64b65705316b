"""Calibration error in groups of picks: by micrograph, defocus, thickness of the ice, and density.

Probabilities that are right on average may be too high on some micrographs and too low on others.
In each group, the mean probability is compared with the fraction of particles.

- `measure_conditions`: the errors of one simulated set.
"""

import numpy as np
from scipy.spatial import cKDTree
from trust_peaks import Peaks

__all__ = ["CONDITIONS", "measure_conditions"]

CONDITIONS = ("micrograph", "defocus", "ice thickness", "density")
GROUPS = 3  # of equal size, of picks by a continuous property
NEIGHBOURHOOD = 3.0  # radius in which neighbours count, in median distances of neighbours


def measure_conditions(peaks: Peaks, probability: np.ndarray) -> dict[str, float]:
    """Measure the calibration error in groups, for each condition that the truth states.

    Args:
        peaks: Picks of a simulated set.
        probability: Probability of each pick to be a particle.
    """
    properties = {
        "defocus": peaks.defocus_um[peaks.micrograph],
        "ice thickness": interpolate_ice(peaks),
        "density": count_neighbours(peaks, probability),
    }
    errors = {"micrograph": compare(peaks.micrograph, peaks, probability)}
    for name, values in properties.items():
        if np.isfinite(values).all() and np.ptp(values) > 0:
            limits = np.quantile(values, np.arange(1, GROUPS) / GROUPS)
            errors[name] = compare(np.searchsorted(limits, values), peaks, probability)
    return errors


def compare(group: np.ndarray, peaks: Peaks, probability: np.ndarray) -> float:
    """Weighted mean of the differences between mean probability and fraction of particles."""
    n_picks = np.bincount(group)
    expected = np.bincount(group, probability)
    true = np.bincount(group, peaks.is_particle.astype(float))
    return float(np.abs(expected - true).sum() / n_picks.sum())


def interpolate_ice(peaks: Peaks) -> np.ndarray:
    """Relative thickness of the ice at each pick: that at the nearest particle."""
    thickness = np.full(len(peaks.score), np.nan)
    for number in range(peaks.n_micrographs):
        at = peaks.particle_micrograph == number
        rows = np.flatnonzero(peaks.micrograph == number)
        if at.any() and len(rows):
            _, nearest = cKDTree(peaks.particle_xy_px[at]).query(peaks.xy_px[rows])
            thickness[rows] = peaks.ice_frac[at][nearest]
    return thickness


def count_neighbours(peaks: Peaks, probability: np.ndarray) -> np.ndarray:
    """Expected number of particles near each pick, on the same micrograph."""
    neighbours = np.zeros(len(peaks.score))
    for number in range(peaks.n_micrographs):
        rows = np.flatnonzero(peaks.micrograph == number)
        if len(rows) < 2:
            continue
        tree = cKDTree(peaks.xy_px[rows])
        distance_px, _ = tree.query(peaks.xy_px[rows], k=2)
        radius_px = NEIGHBOURHOOD * float(np.median(distance_px[:, 1]))
        near = tree.query_ball_point(peaks.xy_px[rows], radius_px)
        sums = np.array([probability[rows[others]].sum() for others in near])
        neighbours[rows] = sums - probability[rows]
    return neighbours
