"""Settings of the recipe for the general model.

- `GeneralSettings`: everything but the molecules that decides what it becomes.
"""

from dataclasses import dataclass, field

from cryopick.errors import SettingsError
from cryopick.model.networks import NetworkSettings
from cryopick.preprocess.dataset import DIAMETER_PX

__all__ = ["GeneralSettings"]


@dataclass(frozen=True, kw_only=True)
class GeneralSettings:
    """How the general model is trained.

    Attributes:
        diameter_px: Pixels across a particle.
        side_px: Side of a simulated field.
        fields: Fields in a minibatch.
        fresh: New fields that each step brings; the others were seen before, and are turned,
            mirrored and distorted anew.
        window: Fields that are kept to draw from.
        steps: Minibatches in all.
        learning_rate: Greatest rate of the one-cycle schedule.
        weight_decay: Decoupled decay of the weights.
        positive_weight: Weight of the few positive places against the many others.
        positive_px: Places within this distance of a centre are positive.
        ignored_px: Places within this distance of a centre, but not positive, do not count.
        peak_weight: Weight of the loss at the peaks of the scores, which only a network that has
            peaks at particles can learn from; 0 for none.
        contrast: Spread of the logarithm of the contrast, varied field by field.
        noise: Greatest spread of white noise added to a field.
        colour: Spread of the logarithm of the gain by which the power at each frequency is varied.
        checkpoint_every: Steps between checkpoints.
        seed: Whole number from which fields, network and minibatches follow.
        network: Which network.
    """

    diameter_px: float = DIAMETER_PX
    side_px: int = 384
    fields: int = 4
    fresh: int = 1
    window: int = 256
    steps: int = 2300
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    positive_weight: float = 5.0
    positive_px: float = 2.0
    ignored_px: float = 4.0
    peak_weight: float = 0.0
    contrast: float = 0.2
    noise: float = 0.5
    colour: float = 0.4
    checkpoint_every: int = 200
    seed: int = 0
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(name="dilated101", width=32, dropout=0.1)
    )

    def __post_init__(self) -> None:
        for name in ("side_px", "fields", "fresh", "window", "steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0 < self.positive_px <= self.ignored_px:
            raise SettingsError(
                f"positive_px must be above 0 and at most ignored_px; got {self.positive_px}"
            )
