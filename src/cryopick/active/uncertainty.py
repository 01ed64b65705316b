"""Probability of candidates, and how much a model would learn from their labels.

- `solve_count_shift`: shift of the logits that gives an expected number of particles.
- `average_probability`: mean probability over test-time views.
- `compute_label_value`: value of a label, from the probability alone.
- `limit_candidates`, `preselect_candidates`: the few picks of a micrograph to consider.
"""

import math

import numpy as np
from scipy.special import expit

from cryopick.array_types import Float, Float32, Integer
from cryopick.picks import choose_evenly
from cryopick.train.calibration_fit import solve_logit_shift

__all__ = [
    "average_probability",
    "compute_label_value",
    "limit_candidates",
    "preselect_candidates",
    "solve_count_shift",
]

_FEW_LABELS = 10  # labels after which the value of a certain particle has halved
_MAX_PARTICLE_FRAC = 0.9  # of the picks
_MAX_POOL, _MAX_PER_MICROGRAPH, _MIN_PER_MICROGRAPH = 4096, 128, 4  # candidates to consider


def solve_count_shift(scores: Float[np.ndarray, " picks"], expected: float) -> float:
    """Find the shift of logits whose probabilities sum to an expected number of particles.

    A network trained on few labels ranks well, but its logits are too low or too high by about
    the same amount everywhere.

    Args:
        scores: Logits of all picks of some micrographs, down to a low threshold.
        expected: Expected number of particles on them, at most nine in ten picks.
    """
    target = min(expected, _MAX_PARTICLE_FRAC * len(scores))
    return solve_logit_shift(scores, target) if target > 0 else 0.0


def average_probability(
    logits: Float32[np.ndarray, "candidates views"], shift: float
) -> Float[np.ndarray, " candidates"]:
    """Average the probabilities of shifted logits over the views of each candidate."""
    return expit(logits.astype(np.float64) + shift).mean(axis=1)


def compute_label_value(
    probability: Float[np.ndarray, " candidates"], labels: float
) -> Float[np.ndarray, " candidates"]:
    """Compute the value of a label on each candidate, from 0 to 1.

    With p the probability and s = 20 / (10 + labels), the value is p (1 - p + s) / 2: uncertain
    candidates, and at first certain ones too.

    Args:
        probability: Probability that each candidate is a particle.
        labels: Number of labels so far.
    """
    certainty_weight = 2 * _FEW_LABELS / (_FEW_LABELS + labels)
    return probability * (1 - probability + certainty_weight) / 2


def limit_candidates(count: int, micrographs: int) -> int:
    """Compute how many picks of each micrograph to consider.

    They are at least twice as many as are chosen, and at most a few thousand in all, so that
    many micrographs take little more time than picking them.

    Args:
        count: Candidates to choose among all micrographs.
        micrographs: Number of micrographs.
    """
    shared = min(_MAX_PER_MICROGRAPH, max(_MIN_PER_MICROGRAPH, _MAX_POOL // micrographs))
    return max(shared, math.ceil(2 * count / micrographs))


def preselect_candidates(
    logits: Float[np.ndarray, " picks"], number: int
) -> Integer[np.ndarray, " chosen"]:
    """Choose picks to consider: half spread over the likely ones, half the most uncertain.

    Args:
        logits: Calibrated logits, in descending order.
        number: Number of picks to choose; all if there are fewer.

    Returns:
        Their indices in `logits`, ascending.

    >>> preselect_candidates(np.array([6.0, 5.0, 4.0, 3.0, 0.2, -0.1, -4.0, -5.0]), 4)
    array([0, 3, 4, 5])
    """
    likely = np.flatnonzero(logits > 0)
    spread = likely[choose_evenly(len(likely), number // 2)]
    by_uncertainty = np.argsort(np.abs(logits), kind="stable")
    others = by_uncertainty[~np.isin(by_uncertainty, spread)][: number - len(spread)]
    return np.sort(np.concatenate([spread, others]))
