"""How many of many scores are particles', where some are known and nothing is known of the rest.

Scores of particles are taken to lie about a mean, as a Gaussian; those of everything else to
become fewer the higher they are, in whatever way. Which is which is estimated by expectation
and maximisation, beginning with what the scores promise.

- `expected_number`: particles among all picks.
- `shift_to`: what to add to logits so that their probabilities sum to a number.

Source: Patra and Sen 2016, J. R. Stat. Soc. B 78:869 (mixtures with one known shape); Elkan and
Noto 2008, KDD (labels that are a fair sample of the positives).
"""

import numpy as np
from scipy.special import expit

from cryopick.array_types import Bool, Float

__all__ = ["expected_number", "shift_to"]

_FLOOR = -6.0  # log-odds below which nothing is looked at
_BIN = 0.25
_MOST_ROUNDS = 300
_CLOSE = 1e-4
_LEAST_SPREAD = 0.3
# Labels after which the mean and spread of particles are as much the labels' own as the
# mixture's. The two ways err in opposite directions where particles are hard to see, so the
# number is between: docs/results/scores.md shows how near.
_WORTH = 150.0
_SHARE_BY_LABELS = 2 / 3


def expected_number(
    log_odds: Float[np.ndarray, " picks"], is_known: Bool[np.ndarray, " picks"]
) -> float:
    """Estimate how many of some picks are particles.

    Args:
        log_odds: What the scores promise, roughly calibrated; all picks down to `_FLOOR`.
        is_known: Which of them are labelled as particles: a fair sample of all.
    """
    free, known = log_odds[~is_known], log_odds[is_known]
    free = free[free >= _FLOOR]
    known = np.maximum(known, _FLOOR)
    if not len(free):
        return float(len(known))
    alone = _positives(free, known, 0.0) + len(known)
    if not len(known):
        return alone
    led = _positives(free, known, len(known) / (len(known) + _WORTH)) + len(known)
    return float(alone ** (1 - _SHARE_BY_LABELS) * led**_SHARE_BY_LABELS)


def shift_to(logits: Float[np.ndarray, " picks"], number: float) -> float:
    """What to add to logits so that their probabilities sum to a number.

    >>> round(shift_to(np.zeros(4), 3.0), 3)  # three quarters each
    1.099
    """
    wanted = min(max(number, 1e-3), 0.999 * len(logits))
    low, high = -60.0 - float(logits.max()), 60.0 - float(logits.min())
    while high - low > 1e-9:
        middle = (low + high) / 2
        if expit(logits + middle).sum() < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _positives(
    score: Float[np.ndarray, " picks"], known: Float[np.ndarray, " known"], share: float
) -> float:
    """Particles among picks that nobody has labelled.

    Args:
        score: Of these picks.
        known: Scores of those that are labelled.
        share: How much the mean and the variance of particles are the known ones'.
    """
    from scipy.optimize import isotonic_regression

    bins = int(np.ceil((score.max() + 1e-6 - _FLOOR) / _BIN))
    count = np.histogram(score, bins, (_FLOOR, _FLOOR + bins * _BIN))[0].astype(np.float64)
    centre = _FLOOR + (np.arange(bins) + 0.5) * _BIN
    chance = expit(centre)
    for _ in range(_MOST_ROUNDS):
        own = count * chance
        number = max(own.sum(), 1e-9)
        mean = own @ centre / number
        variance = own @ np.square(centre - mean) / number
        if share:
            mixed = (1 - share) * mean + share * known.mean()
            variance = (1 - share) * (variance + (mean - mixed) ** 2) + share * (
                known.var() + (known.mean() - mixed) ** 2
            )
            mean = mixed
        others = isotonic_regression(count - own, increasing=False).x
        shape = np.exp(-np.square(centre - mean) / (2 * max(variance, _LEAST_SPREAD**2)))
        particles = number * shape / max(shape.sum(), 1e-300)
        # A higher score is never worth less.
        updated = np.maximum.accumulate(particles / np.maximum(particles + others, 1e-300))
        change = np.abs(updated - chance).max()
        chance = updated
        if change < _CLOSE:
            break
    return float(count @ chance)
