"""A network that has seen many particles gives its opinion to one that has seen a few labels.

The logits of both are averaged, the partner's with a weight: a logarithmic opinion pool. What the
few labels cannot tell, the partner knows; what is particular to the data set, the labels tell.
With more labels the partner is needed less. docs/results/general-model.md compares this with
fine-tuning the partner itself.

- `EnsemblePartner`: the network and its weight.
- `partner_weight`: the weight that suits a number of labels.
- `score_negative_labels`: what the partner says where it is known to be wrong.

Source: Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1:114.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.model.networks import Scorer
from cryopick.preprocess.prepared_store import PreparedStore

__all__ = ["EnsemblePartner", "partner_weight", "score_negative_labels"]

_LABELS = 72.0  # as many labels as the partner is worth
_MOST = 4.0


@dataclass(frozen=True)
class EnsemblePartner:
    """A network whose logits are averaged with those of another.

    Attributes:
        scorer: The network, for images prepared alike.
        weight: Of its logits, where those of the other have the weight 1.
    """

    scorer: Scorer
    weight: float


def partner_weight(labels: int) -> float:
    """The weight of a partner beside a network that learnt from so many labels.

    >>> partner_weight(144)
    0.5
    """
    return min(_MOST, _LABELS / max(labels, 1))


def score_negative_labels(partner: EnsemblePartner, store: PreparedStore) -> Float[np.ndarray, " negatives"]:
    """How strongly a partner takes places for particles that are labelled as none.

    Args:
        partner: The network and its weight.
        store: Prepared micrographs with negatives.

    Returns:
        For each negative, one micrograph after the other, the partner's logit times its weight,
        0 where the partner is right. The other network's logit must fall below minus this.
    """
    scorer = partner.scorer.eval()
    side = scorer.receptive_field_px
    votes = []
    for micrograph, negatives in enumerate(store.negatives_px):
        for x, y in np.rint(negatives).astype(int):
            window = store.window(micrograph, int(y) - side // 2, int(x) - side // 2, side)
            with torch.inference_mode():
                logit = scorer(torch.from_numpy(window.image)[None, None])
            votes.append(partner.weight * max(float(logit.squeeze()), 0.0))
    return np.array(votes)
