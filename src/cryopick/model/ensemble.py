"""Ensemble of a network trained on a few labels and the general model.

The weighted mean of the logits of both networks is a logarithmic pool of predictions. The general
model contributes what a few labels cannot teach, the trained network what is specific to the data
set. The weight of the general model decreases with the number of labels. The ensemble is compared
with fine-tuning in docs/results/general-model.md.

- `EnsemblePartner`: the second network of the ensemble and its weight.
- `partner_weight`: default weight for a number of labels.
- `score_negative_labels`: weighted logits of the partner at negative labels.

Source: Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1:114.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.model.networks import Scorer
from cryopick.preprocess.prepared_store import PreparedStore

__all__ = ["EnsemblePartner", "partner_weight", "score_negative_labels"]

_LABELS_AT_EQUAL_WEIGHT = 72.0
_MAX_WEIGHT = 4.0


@dataclass(frozen=True)
class EnsemblePartner:
    """A network whose logits are averaged with those of the main network.

    Attributes:
        scorer: The network; it takes the same input as the main network.
        weight: Weight of its logits; those of the main network have weight 1.
    """

    scorer: Scorer
    weight: float


def partner_weight(labels: int) -> float:
    """Compute the default weight of the partner of a network trained on `labels` labels.

    >>> partner_weight(144)
    0.5
    """
    return min(_MAX_WEIGHT, _LABELS_AT_EQUAL_WEIGHT / max(labels, 1))


def score_negative_labels(
    partner: EnsemblePartner, store: PreparedStore
) -> Float[np.ndarray, " negatives"]:
    """Compute the weighted logits that the partner contributes at negative labels.

    Args:
        partner: The network and its weight.
        store: Prepared micrographs with negative labels.

    Returns:
        For each negative label, in the order of the micrographs, the logit of the partner times
        its weight, or 0 if the logit is negative. The main network must give a logit below minus
        this value for the ensemble to reject the position.
    """
    scorer = partner.scorer.eval()
    side = scorer.receptive_field_px
    weighted_logits = []
    for micrograph, negatives in enumerate(store.negatives_px):
        for x, y in np.rint(negatives).astype(int):
            window = store.window(micrograph, int(y) - side // 2, int(x) - side // 2, side)
            with torch.inference_mode():
                logit = scorer(torch.from_numpy(window.image)[None, None])
            weighted_logits.append(partner.weight * max(float(logit.squeeze()), 0.0))
    return np.array(weighted_logits)
