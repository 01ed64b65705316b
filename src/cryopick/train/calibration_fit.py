"""Fit the calibration of scores by Platt scaling.

- `fit_platt_scaling`: the line from logits to log-odds, from correct and wrong picks.
- `fit_platt_scaling_to_probabilities`: the line from the probability of each pick.
- `solve_logit_shift`: shift of logits whose probabilities sum to a number.
- `apply_calibration`: a network whose logits are the log-odds.

Source: Platt 1999, "Probabilistic outputs for support vector machines".
"""

import numpy as np
import torch

from cryopick.array_types import Bool, Float
from cryopick.model.calibration import Calibration
from cryopick.model.networks import Scorer

__all__ = [
    "apply_calibration",
    "fit_platt_scaling",
    "fit_platt_scaling_to_probabilities",
    "solve_logit_shift",
]

_MAX_ITERATIONS = 50
_RIDGE = 1e-3  # keeps the line finite if the scores separate correct and wrong picks completely


def fit_platt_scaling(
    logits: Float[np.ndarray, " picks"], is_correct: Bool[np.ndarray, " picks"]
) -> Calibration:
    """Fit the line by logistic regression.

    Args:
        logits: Scores of picks.
        is_correct: Picks that are particles.

    Raises:
        SettingsError: Higher scores are correct less often.
        ValueError: All picks are correct, or all are wrong.
    """
    if is_correct.all() or not is_correct.any():
        raise ValueError("calibration needs correct picks and wrong picks")
    return fit_platt_scaling_to_probabilities(logits, is_correct.astype(np.float64))


def fit_platt_scaling_to_probabilities(
    logits: Float[np.ndarray, " picks"], probability: Float[np.ndarray, " picks"]
) -> Calibration:
    """Fit the line by logistic regression on probabilities, with Newton's method.

    Args:
        logits: Scores of picks.
        probability: Probability that each pick is a particle.

    Raises:
        SettingsError: Higher scores have lower probabilities.
    """
    columns = np.stack([logits, np.ones_like(logits)], axis=1)
    line = np.array([1.0, 0.0])
    prior = line.copy()
    for _ in range(_MAX_ITERATIONS):
        g = 1 / (1 + np.exp(-np.clip(columns @ line, -30, 30)))
        gradient = columns.T @ (g - probability) + _RIDGE * (line - prior)
        curvature = (columns * (g * (1 - g))[:, None]).T @ columns + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        step = step / max(1.0, np.abs(step).max())  # far from the solution it overshoots
        line = line - step
        if np.abs(step).max() < 1e-9:
            break
    return Calibration(float(line[0]), float(line[1]))


def solve_logit_shift(logits: Float[np.ndarray, " picks"], number: float) -> float:
    """Find the shift of logits whose probabilities sum to a number, by bisection.

    Args:
        logits: Scores of at least one pick.
        number: Target sum; at most 0.999 of the number of picks is reached.

    >>> round(solve_logit_shift(np.zeros(4), 3.0), 3)  # probabilities of three quarters
    1.099
    """
    from scipy.special import expit

    target = min(max(number, 1e-3), 0.999 * len(logits))
    low, high = -60.0 - float(logits.max()), 60.0 - float(logits.min())
    while high - low > 1e-9:
        middle = (low + high) / 2
        if expit(logits + middle).sum() < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def apply_calibration(scorer: Scorer, calibration: Calibration) -> Scorer:
    """Return a copy of a network whose logits are the log-odds; the order of scores stays."""
    copy = Scorer(scorer.settings)
    copy.load_state_dict(scorer.state_dict())
    with torch.no_grad():
        copy.head.weight.mul_(calibration.slope)
        copy.head.bias.mul_(calibration.slope).add_(calibration.offset)
    return copy.eval()
