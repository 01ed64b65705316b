"""Ensemble of two networks, as in the general model and in models trained from it.

The weighted mean of the logits of both networks is a logarithmic pool of predictions. Older models
are a network trained on labels with the general model as partner (decision 0008).

- `EnsemblePartner`: the second network of the ensemble and its weight.

Source: Genest and Zidek 1986, "Combining probability distributions", Statistical Science 1:114.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryopick.model.trained_network import TrainedNetwork

if TYPE_CHECKING:
    from cryopick.model.networks import Scorer

__all__ = ["EnsemblePartner"]


@dataclass(frozen=True)
class EnsemblePartner:
    """A network whose logits are averaged with those of the main network.

    Attributes:
        network: The network; it takes the same input as the main network.
        weight: Weight of its logits; those of the main network have weight 1.
    """

    network: TrainedNetwork
    weight: float

    @cached_property
    def scorer(self) -> "Scorer":
        """The network as a module of torch, with the same arrays, for training."""
        from cryopick.model.networks import build_scorer

        return build_scorer(self.network)
