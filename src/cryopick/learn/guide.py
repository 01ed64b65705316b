"""A network that has seen many particles gives its opinion to one that has seen a few labels.

The logits of both are added, the guide's with a weight: a product of experts. What the few
labels cannot tell, the guide knows; what is particular to the data set, the labels tell. With
more labels the guide is needed less. docs/results/general-model.md compares this with
fine-tuning the guide itself.

- `Guide`: the network and its weight.
- `guide_weight`: the weight that suits a number of labels.

Source: Hinton 2002, "Training products of experts by minimizing contrastive divergence".
"""

from dataclasses import dataclass

from cryopick.learn.network import Scorer

__all__ = ["Guide", "guide_weight"]

_LABELS = 18.0  # as many labels as the guide is worth
_MOST = 2.0


@dataclass(frozen=True)
class Guide:
    """A network whose logits are added to those of another.

    Attributes:
        scorer: The network, for images prepared alike.
        weight: What its logits are multiplied by.
    """

    scorer: Scorer
    weight: float


def guide_weight(labels: int) -> float:
    """The weight of a guide beside a network that learnt from so many labels.

    >>> guide_weight(36)
    0.5
    """
    return min(_MOST, _LABELS / max(labels, 1))
