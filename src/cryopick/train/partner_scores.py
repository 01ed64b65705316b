"""Scores of the ensemble partner at negative labels.

- `score_negative_labels`: weighted logits of the partner.
"""

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.model.ensemble import EnsemblePartner
from cryopick.preprocess.prepared_store import PreparedStore

__all__ = ["score_negative_labels"]


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
