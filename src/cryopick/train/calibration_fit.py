"""Scores as odds: shift and scale logits so that a pick of logit 0 is right half of the time.

- `fit_odds`, `fit_to_chances`: the line from logits to log-odds.
- `on_odds`: a network whose logits are those odds.
"""

import numpy as np
import torch

from cryopick.array_types import Bool, Float
from cryopick.model.calibration import Odds
from cryopick.model.networks import Scorer

__all__ = ["fit_odds", "fit_to_chances", "on_odds"]

_STEPS = 50
_RIDGE = 1e-3  # keeps the line finite where right and wrong picks do not overlap


def fit_odds(logits: Float[np.ndarray, " picks"], is_right: Bool[np.ndarray, " picks"]) -> Odds:
    """Fit the line by logistic regression, with Newton's method.

    Args:
        logits: Scores of picks.
        is_right: Which of them are particles.

    Raises:
        ValueError: All picks are right, or all are wrong.

    Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """
    if is_right.all() or not is_right.any():
        raise ValueError("calibration needs right picks and wrong ones")
    return fit_to_chances(logits, is_right.astype(np.float64))


def fit_to_chances(
    logits: Float[np.ndarray, " picks"], chance: Float[np.ndarray, " picks"]
) -> Odds:
    """The same where it is known only how likely each pick is right.

    Args:
        logits: Scores of picks.
        chance: Probability that each is a particle.

    Raises:
        SettingsError: Picks of higher scores are less likely right.
    """
    columns = np.stack([logits, np.ones_like(logits)], axis=1)
    line = np.array([1.0, 0.0])
    prior = line.copy()
    for _ in range(_STEPS):
        g = 1 / (1 + np.exp(-np.clip(columns @ line, -30, 30)))
        gradient = columns.T @ (g - chance) + _RIDGE * (line - prior)
        curvature = (columns * (g * (1 - g))[:, None]).T @ columns + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        step = step / max(1.0, np.abs(step).max())  # far from the solution it overshoots
        line = line - step
        if np.abs(step).max() < 1e-9:
            break
    return Odds(float(line[0]), float(line[1]))


def on_odds(scorer: Scorer, odds: Odds) -> Scorer:
    """A copy of a network whose logits are the log-odds; the order of scores stays."""
    copy = Scorer(scorer.settings)
    copy.load_state_dict(scorer.state_dict())
    with torch.no_grad():
        copy.head.weight.mul_(odds.slope)
        copy.head.bias.mul_(odds.slope).add_(odds.offset)
    return copy.eval()
