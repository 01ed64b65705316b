"""Average the weights of a network before and after fine-tuning.

The average of both is often better than either: it keeps what the first training has learned from
many kinds of particles, and most of what the labels add. It costs nothing when picking, unlike an
average of scores.

- `average_weights`: the weighted mean of two sets of weights.
- `choose_start_weight`: weight of the network before fine-tuning.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", CVPR (WiSE-FT).
"""

from collections.abc import Mapping

from torch import Tensor

from cryopick.train.settings import GENERAL, TrainSettings

__all__ = ["average_weights", "choose_start_weight"]

# Weight of the network before: up to two with a few labels, half from ten labels on, and falling in
# inverse proportion from 600 on (decision 0019).
_FEW_LABELS, _MANY_LABELS = 5.0, 300.0
_MAX_WEIGHT, _USUAL_WEIGHT = 2.0, 0.5


def average_weights(
    tuned: Mapping[str, Tensor], start: Mapping[str, Tensor], start_weight: float
) -> dict[str, Tensor]:
    """Compute the mean of the weights of two networks, the first of which has weight 1.

    Args:
        tuned: Weights after fine-tuning, by name.
        start: Weights before, with the same names and shapes.
        start_weight: Weight of those before.
    """
    fraction = start_weight / (1 + start_weight)
    return {
        name: value.lerp(start[name].to(value.device), fraction)
        if value.is_floating_point()
        else value
        for name, value in tuned.items()
    }


def choose_start_weight(settings: TrainSettings, labels: int) -> float:
    """Choose the weight of the network before fine-tuning: that of the settings, or by the labels.

    Only the general model is averaged with; other models have the weight 0.

    Args:
        settings: Settings of the training.
        labels: Number of labels.
    """
    if settings.init != GENERAL:
        return 0.0
    if settings.general_model_weight is not None:
        return settings.general_model_weight
    with_few = min(_MAX_WEIGHT, _FEW_LABELS / max(labels, 1))
    return max(with_few, min(_USUAL_WEIGHT, _MANY_LABELS / max(labels, 1)))
