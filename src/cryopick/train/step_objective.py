"""The loss of one training step, from the logits of its minibatch.

- `StepObjective`: the objective of a training, with its terms for negative labels.
- `choose_exclusion_px`: distance from a label within which no score counts as unlabelled.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from cryopick.array_types import Float
from cryopick.model.geometry import Geometry
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.curves import StepMetrics
from cryopick.train.objectives import evaluate_objective
from cryopick.train.peak_likelihood import PeakLikelihood, find_highest_nearby
from cryopick.train.sampling import NEGATIVE, POSITIVE, UNLABELLED, Minibatch
from cryopick.train.settings import PEAKS, TrainSettings

__all__ = ["StepObjective", "choose_exclusion_px"]

_EXCLUSION_DIAMETERS = 1 / 3  # as between a pick and the label that it matches


@dataclass(frozen=True)
class StepObjective:
    """The objective of a training.

    Attributes:
        settings: Settings of the training.
        peaks: The objective of fine-tuning by peaks; None for one of regions.
    """

    settings: TrainSettings
    peaks: PeakLikelihood | None

    @classmethod
    def for_training(
        cls, settings: TrainSettings, store: PreparedStore, geometry: Geometry
    ) -> "StepObjective":
        """Create the objective of a training on a store."""
        if settings.objective != PEAKS:
            return cls(settings, None)
        assert settings.particles_per_micrograph is not None, "checked before training"
        peaks = PeakLikelihood.for_store(
            store,
            geometry,
            particles_per_micrograph=settings.particles_per_micrograph,
            diameter_px=settings.diameter_px,
            exclusion_px=choose_exclusion_px(settings),
        )
        return cls(settings, peaks)

    def evaluate(
        self, logits: Float[Tensor, "batch rows columns"], batch: Minibatch, prior: float
    ) -> tuple[Float[Tensor, ""], StepMetrics]:
        """Compute the loss of a minibatch and its metrics.

        Args:
            logits: Scores of the patches.
            batch: The minibatch.
            prior: Fraction of positives among its unlabelled regions.
        """
        flat = logits.flatten()
        if self.peaks is not None:
            peaks = self.peaks.evaluate(logits, batch.indices)
            terms, prior = peaks.objective, peaks.prior
            rates = peaks.positive_rate, peaks.unlabelled_rate
        else:
            positive, unlabelled = (flat[batch.indices[kind]] for kind in (POSITIVE, UNLABELLED))
            terms = evaluate_objective(
                self.settings.objective,
                positive,
                unlabelled,
                prior=prior,
                weight=self._penalty_weight(len(unlabelled)),
            )
            positive_rate, unlabelled_rate = (
                torch.sigmoid(group.detach()).mean() for group in (positive, unlabelled)
            )
            rates = positive_rate, unlabelled_rate
        loss = terms.total
        if len(batch.partner_logits):
            scores = flat if self.peaks is None else find_highest_nearby(logits).flatten()
            loss = loss + softplus(scores[batch.indices[NEGATIVE]] + batch.partner_logits).mean()
        metrics = StepMetrics(
            loss=loss.detach(),
            penalty=terms.penalty.detach(),
            positive_rate=rates[0],
            unlabelled_rate=rates[1],
            prior=prior,
        )
        return loss, metrics

    def _penalty_weight(self, unlabelled: int) -> float | None:
        """Return λ of a step; the binomial term counts independent regions only."""
        if self.settings.objective != "ge-binomial":
            return self.settings.penalty_weight
        weight = 1.0 if self.settings.penalty_weight is None else self.settings.penalty_weight
        return weight * min(1.0, self.settings.independent_regions / max(unlabelled, 1))


def choose_exclusion_px(settings: TrainSettings) -> float:
    """Return the distance from a label within which no score of a window counts as unlabelled.

    Objectives of regions use the label radius, that of peaks a third of the diameter: a peak
    there belongs to the labelled particle.
    """
    if settings.objective != PEAKS:
        return settings.sampling.label_radius_px
    return _EXCLUSION_DIAMETERS * settings.diameter_px
