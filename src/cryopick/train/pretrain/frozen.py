"""Fine-tune faster: fixed batch statistics, fixed slopes, and a moving average of the weights.

- `WeightAverage`: the moving average.
- `estimate_statistics`: batch statistics of a network on given images.
- `freeze_slopes`, `freeze_statistics`: leave PReLU slopes and batch statistics as they are.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from cryopick.array_types import Float
from cryopick.model.networks import Scorer

__all__ = ["WeightAverage", "estimate_statistics", "freeze_slopes", "freeze_statistics"]


class WeightAverage:
    """Exponential moving average of the weights of a network, and of its batch statistics.

    Attributes:
        scorer: The averaged network.
        decay: Share of the average that one step leaves.
    """

    def __init__(self, scorer: Scorer, decay: float) -> None:
        self.scorer: Scorer = copy.deepcopy(scorer).requires_grad_(False)
        self.decay: float = decay

    def update(self, scorer: Scorer, step: int) -> None:
        """Move towards a network; faster in the first steps, whose weights are soon outdated."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        newest = scorer.state_dict()
        for name, value in self.scorer.state_dict().items():
            if value.is_floating_point():
                value.lerp_(newest[name], share)
            else:
                value.copy_(newest[name])


def estimate_statistics(
    scorer: Scorer, batches: Iterable[Float[Tensor, "batch 1 height width"]]
) -> None:
    """Replace the batch statistics of a network by their means over minibatches."""
    norms = [part for part in scorer.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
    scorer.train()
    with torch.no_grad():
        for images in batches:
            scorer(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def freeze_statistics(scorer: Scorer) -> None:
    """Normalise by the stored statistics during training too."""
    for part in scorer.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def freeze_slopes(scorer: Scorer) -> None:
    """Keep the slopes of all PReLUs: their gradient takes a third of a training step."""
    for part in list(scorer.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.PReLU):
                setattr(part, name, _FixedPReLU(child.weight))


class _FixedPReLU(nn.Module):
    """PReLU whose slopes are not trained; the names of its weights are those of `nn.PReLU`."""

    def __init__(self, slopes: nn.Parameter) -> None:
        super().__init__()
        slopes.requires_grad_(False)
        self.weight: nn.Parameter = slopes

    def forward(self, x: Tensor) -> Tensor:
        slope = self.weight.to(x.dtype)[:, None, None]
        return x * slope + relu(x) * (1 - slope)
