"""Estimate the number of particles among picks from their scores and some labels.

The scores are a mixture: Gaussian for particles, and a density that decreases with the score for
everything else. Expectation maximization separates the two, starting from the probabilities that
the scores give.

- `estimate_particles`: number of particles among all picks.
- `solve_logit_shift`: shift of logits whose probabilities sum to a number.

Source: Patra and Sen 2016, J. R. Stat. Soc. B 78:869 (mixtures with one known shape); Elkan and
Noto 2008, KDD (labels that are a random sample of the positives).
"""

import numpy as np
from scipy.special import expit

from cryopick.array_types import Bool, Float

__all__ = ["estimate_particles", "solve_logit_shift"]

_FLOOR = -6.0  # minimum score of unlabelled picks
_BIN_WIDTH = 0.25
_MAX_ITERATIONS = 300
_TOLERANCE = 1e-4  # change of a probability at which the iteration ends
_MIN_STD = 0.3
# Number of labels whose mean and variance weigh as much as those of the mixture. The estimates
# without and with the labels' mean err in opposite directions where particles are faint; the
# result is between them: docs/results/scores.md has the accuracy.
_LABEL_WEIGHT = 150.0
_GUIDED_FRAC = 2 / 3  # weight of the estimate with the labels' mean, in the geometric mean


def estimate_particles(
    log_odds: Float[np.ndarray, " picks"], is_labelled: Bool[np.ndarray, " picks"]
) -> float:
    """Estimate the number of particles among picks.

    Args:
        log_odds: Scores, roughly calibrated; all picks down to a low threshold.
        is_labelled: Picks that match a label; labels are a random sample of the particles.
    """
    unlabelled, labelled = log_odds[~is_labelled], log_odds[is_labelled]
    unlabelled = unlabelled[unlabelled >= _FLOOR]
    labelled = np.maximum(labelled, _FLOOR)
    if not len(unlabelled):
        return float(len(labelled))
    unguided = _count_positives(unlabelled, labelled, 0.0) + len(labelled)
    if not len(labelled):
        return unguided
    weight = len(labelled) / (len(labelled) + _LABEL_WEIGHT)
    guided = _count_positives(unlabelled, labelled, weight) + len(labelled)
    return float(unguided ** (1 - _GUIDED_FRAC) * guided**_GUIDED_FRAC)


def solve_logit_shift(logits: Float[np.ndarray, " picks"], number: float) -> float:
    """Find the shift of logits whose probabilities sum to a number, by bisection.

    Args:
        logits: Scores of at least one pick.
        number: Target sum; at most 0.999 of the number of picks is reached.

    >>> round(solve_logit_shift(np.zeros(4), 3.0), 3)  # probabilities of three quarters
    1.099
    """
    target = min(max(number, 1e-3), 0.999 * len(logits))
    low, high = -60.0 - float(logits.max()), 60.0 - float(logits.min())
    while high - low > 1e-9:
        middle = (low + high) / 2
        if expit(logits + middle).sum() < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _count_positives(
    score: Float[np.ndarray, " picks"], labelled: Float[np.ndarray, " labelled"], weight: float
) -> float:
    """Estimate the number of particles among unlabelled picks.

    Args:
        score: Scores of the unlabelled picks.
        labelled: Scores of the labelled picks.
        weight: Weight of the labelled picks in the mean and variance of the particles.
    """
    from scipy.optimize import isotonic_regression

    bins = int(np.ceil((score.max() + 1e-6 - _FLOOR) / _BIN_WIDTH))
    limits = (_FLOOR, _FLOOR + bins * _BIN_WIDTH)
    count = np.histogram(score, bins, limits)[0].astype(np.float64)
    centre = _FLOOR + (np.arange(bins) + 0.5) * _BIN_WIDTH
    probability = expit(centre)
    for _ in range(_MAX_ITERATIONS):
        positives = count * probability
        number = max(positives.sum(), 1e-9)
        mean = positives @ centre / number
        variance = positives @ np.square(centre - mean) / number
        if weight:
            mixed = (1 - weight) * mean + weight * labelled.mean()
            variance = (1 - weight) * (variance + (mean - mixed) ** 2) + weight * (
                labelled.var() + (labelled.mean() - mixed) ** 2
            )
            mean = mixed
        others = isotonic_regression(count - positives, increasing=False).x
        shape = np.exp(-np.square(centre - mean) / (2 * max(variance, _MIN_STD**2)))
        particles = number * shape / max(shape.sum(), 1e-300)
        # The probability never decreases with the score.
        updated = np.maximum.accumulate(particles / np.maximum(particles + others, 1e-300))
        change = np.abs(updated - probability).max()
        probability = updated
        if change < _TOLERANCE:
            break
    return float(count @ probability)
