"""A network that has seen many particles gives its opinion to one that has seen a few labels.

The logits of both are averaged, the guide's with a weight: a logarithmic opinion pool. What the
few labels cannot tell, the guide knows; what is particular to the data set, the labels tell.
With more labels the guide is needed less. docs/results/general-model.md compares this with
fine-tuning the guide itself.

- `Guide`: the network and its weight.
- `guide_weight`: the weight that suits a number of labels.
- `votes_on_negatives`: what the guide says where it is known to be wrong.

Source: Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1:114.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.model.networks import Scorer
from cryopick.preprocess.store import Store

__all__ = ["Guide", "guide_weight", "votes_on_negatives"]

_LABELS = 72.0  # as many labels as the guide is worth
_MOST = 4.0


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

    >>> guide_weight(144)
    0.5
    """
    return min(_MOST, _LABELS / max(labels, 1))


def votes_on_negatives(guide: Guide, store: Store) -> Float[np.ndarray, " negatives"]:
    """How strongly a guide takes places for particles that are labelled as none.

    Args:
        guide: The network and its weight.
        store: Prepared micrographs with negatives.

    Returns:
        For each negative, one micrograph after the other, the guide's logit times its weight,
        0 where the guide is right. The other network's logit must fall below minus this.
    """
    scorer = guide.scorer.eval()
    side = scorer.receptive_field_px
    votes = []
    for micrograph, negatives in enumerate(store.negatives_px):
        for x, y in np.rint(negatives).astype(int):
            window = store.window(micrograph, int(y) - side // 2, int(x) - side // 2, side)
            with torch.inference_mode():
                logit = scorer(torch.from_numpy(window.image)[None, None])
            votes.append(guide.weight * max(float(logit.squeeze()), 0.0))
    return np.array(votes)
