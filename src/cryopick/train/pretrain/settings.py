"""Settings of the training of the general model.

- `GeneralSettings`: everything except the molecules that determines the general model.
"""

from dataclasses import dataclass, field

from cryopick.errors import SettingsError
from cryopick.model.architectures import NetworkSettings
from cryopick.preprocess.settings import DIAMETER_PX

__all__ = ["GeneralSettings"]


@dataclass(frozen=True, kw_only=True)
class GeneralSettings:
    """Settings of the training of the general model.

    Attributes:
        diameter_px: Particle diameter in pixels.
        side_px: Side of a simulated field in pixels.
        fields: Fields per minibatch.
        fresh: New fields per step; the other fields of a minibatch are reused with a new
            augmentation.
        window: Number of latest fields from which minibatches are drawn.
        steps: Number of training steps.
        learning_rate: Maximum learning rate of the one-cycle schedule.
        weight_decay: Decoupled weight decay of AdamW.
        positive_weight: Weight of a positive grid position relative to a negative one.
        positive_px: Grid positions within this distance of a centre are positive.
        ignored_px: Grid positions within this distance of a centre that are not positive are
            ignored.
        peak_weight: Weight of the loss at the peaks of the score map; 0 turns it off. It requires
            a network that already has peaks at particles.
        contrast: Standard deviation of the logarithm of the random contrast of a field.
        noise: Maximum standard deviation of the white noise added to a field.
        colour: Standard deviation of the logarithm of the random gain at each frequency.
        checkpoint_every: Steps between checkpoints.
        seed: Random seed of the fields, the initial weights and the minibatches.
        network: Network architecture.
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
