"""Moving average of the weights of a network during training.

- `WeightAverage`: the moving average.
"""

import copy

from cryopick.model.networks import Scorer

__all__ = ["WeightAverage"]


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
