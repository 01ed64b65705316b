"""A network that has seen many particles gives its opinion to one that has seen a few labels.

The logits of both are averaged, the guide's with a weight: a logarithmic opinion pool. What the
few labels cannot tell, the guide knows; what is particular to the data set, the labels tell.
With more labels the guide is needed less. docs/results/general-model.md compares this with
fine-tuning the guide itself.

- `Guide`: the network and its weight.
- `guide_weight`: the weight that suits a number of labels.

Source: Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1:114.
"""

from dataclasses import dataclass

from cryopick.learn.network import Scorer

__all__ = ["Guide", "guide_weight"]

_LABELS = 18.0  # as many labels as the guide is worth
_MOST = 2.0


@dataclass(frozen=True)
class Guide:
    """A network whose logits are averaged with those of another.

    Attributes:
        scorer: The network, for images prepared alike.
        weight: Of its logits, where those of the other have the weight 1.
    """

    scorer: Scorer
    weight: float


def guide_weight(labels: int) -> float:
    """The weight of a guide beside a network that learnt from so many labels.

    >>> guide_weight(36)
    0.5
    """
    return min(_MOST, _LABELS / max(labels, 1))
