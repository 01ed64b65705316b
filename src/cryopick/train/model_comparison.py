"""Compare a trained model with the general one by labels that neither has learned from.

Few or unfortunate labels can make a model worse. Both models pick the same micrographs; of the
same number of best picks, the better model's contain more labels. Each label is scored by a model
that was trained without it, so that neither model has an advantage.

- `compare_models`: the fraction of labels among the best picks of both.
- `ModelComparison`: the result.
- `adopt_general_model`: the general model in place of the trained one.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from cryopick.array_types import Float
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model

__all__ = ["ModelComparison", "adopt_general_model", "compare_models"]

# Of the estimated number of unlabelled particles that are selected, which is at least the last
# fraction of all particles.
_FRACTIONS, _MIN_UNLABELLED = (0.4, 0.7, 1.0, 1.3), 0.1
# The trained model may be behind by this fraction of the labels, and by two standard errors of the
# difference: the models that score left-out labels learned from fewer, and score them lower.
_MAX_LOSS, _STANDARD_ERRORS = 0.05, 2.0


@dataclass(frozen=True)
class ModelComparison:
    """Fraction of left-out labels among the best picks, averaged over numbers of picks.

    Attributes:
        n_labels: Number of labels.
        trained: Fraction for the trained model.
        general: Fraction for the general model.
    """

    n_labels: int
    trained: float
    general: float

    @property
    def is_worse(self) -> bool:
        """True if the trained model is clearly behind the general one."""
        rates = (self.trained, self.general)
        variance = sum(rate * (1 - rate) for rate in rates) / max(self.n_labels, 1)
        tolerated = max(_MAX_LOSS, _STANDARD_ERRORS * math.sqrt(variance))
        return self.trained < self.general - tolerated

    def describe(self) -> str:
        """Describe the result and its consequence in one sentence."""
        rates = (
            f"of {self.n_labels} left-out labels, {100 * self.trained:.0f} % rank among the best "
            f"unlabelled picks of the trained model and {100 * self.general:.0f} % among as many "
            "of the general model"
        )
        if not self.is_worse:
            return rates
        return (
            f"{rates}: training made it worse, so the general model is written instead; check the "
            "labels, or add more on other micrographs"
        )


def compare_models(
    trained: Float[np.ndarray, " picks"],
    trained_labels: Float[np.ndarray, " labels"],
    general: Float[np.ndarray, " others"],
    general_labels: Float[np.ndarray, " labels2"],
    n_particles: float,
) -> ModelComparison:
    """Compare the fractions of labels that score above equal numbers of unlabelled picks.

    Picks at labels do not count: the trained model has learned them, and scores them too high.

    Args:
        trained: Scores of the trained model's picks on some micrographs, without those at labels.
        trained_labels: Scores of labels by models that were trained without them.
        general: Scores of the general model's picks on the same micrographs, without those at
            labels.
        general_labels: Scores of the labels on these micrographs by the general model.
        n_particles: Estimated number of particles on the micrographs.
    """
    n_unlabelled = max(n_particles - len(general_labels), _MIN_UNLABELLED * n_particles)
    numbers = [max(1, round(fraction * n_unlabelled)) for fraction in _FRACTIONS]
    return ModelComparison(
        n_labels=len(trained_labels),
        trained=_mean_recall(trained, trained_labels, numbers),
        general=_mean_recall(general, general_labels, numbers),
    )


def _mean_recall(
    picks: Float[np.ndarray, " picks"], labels: Float[np.ndarray, " labels"], numbers: list[int]
) -> float:
    """Compute the mean fraction of labels above the thresholds that select some numbers."""
    ranked = np.sort(picks)[::-1]
    thresholds = [ranked[min(number, len(ranked)) - 1] for number in numbers]
    return float(np.mean([(labels >= threshold).mean() for threshold in thresholds]))


def adopt_general_model(trained: Model) -> Model:
    """Return the general model with the size and the summary of a trained one."""
    general = load_model(GENERAL_MODEL)
    return replace(
        general,
        diameter_ang=trained.diameter_ang,
        working_pixel_size_ang=(trained.scale_ang or trained.diameter_ang) / general.diameter_px,
        normalization=replace(general.normalization, inverted=trained.normalization.inverted),
        scale_ang=trained.scale_ang,
        width_ang=trained.width_ang,
        detects_contrast=False,
        head_spread=None,
        summary={**trained.summary, "is_general_model": True},
    )
