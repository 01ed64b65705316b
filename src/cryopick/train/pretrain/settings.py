"""Settings of the training of the general model.

- `GeneralSettings`: everything except the molecules that determines the general model.
"""

from dataclasses import dataclass, field

from cryopick.config import check_ranges
from cryopick.errors import SettingsError
from cryopick.model.architectures import ENCODER_DECODER, NetworkSettings
from cryopick.preprocess.settings import DIAMETER_PX
from cryopick.train.averaged_settings import (
    AverageDecay,
    AveragedTrainingSettings,
    CheckpointInterval,
    LearningRate,
    Steps,
)

__all__ = ["GeneralSettings"]


@dataclass(frozen=True, kw_only=True)
class GeneralSettings(AveragedTrainingSettings):
    """Settings of the training of the general model.

    The learning rate falls with a cosine after 15 % of the steps. The seed is that of the fields,
    the initial weights and the minibatches.

    Attributes:
        diameter_px: Particle diameter in pixels.
        side_px: Side of a simulated field in pixels.
        field_count: Number of simulated fields.
        fields: Fields per minibatch.
        weight_decay: Decoupled weight decay of AdamW.
        max_gradient_norm: Longer gradients are shortened to this length.
        positive_weight: Weight of a positive grid position relative to a negative one.
        target_px: Standard deviation in pixels of the Gaussian target around each centre.
        peak_weight: Weight of the loss at the peaks of the score map; 0 turns it off. It rises from
            0 between 30 % and 40 % of the steps, as it requires peaks at particles.
        contrast: Standard deviation of the logarithm of the random contrast of a field.
        noise: Maximum standard deviation of the white noise added to a field.
        offset: Standard deviation of the constant added to a field.
        colour: Standard deviation of the logarithm of the random gain at each frequency.
        max_shift_px: Maximum shift of a field, whose border is then zero.
        network: Network architecture: the encoder-decoder.
    """

    steps: Steps = 5500
    learning_rate: LearningRate = 2e-3
    average: AverageDecay = 0.998
    checkpoint_every: CheckpointInterval = 300
    seed: int = 101
    diameter_px: float = DIAMETER_PX
    side_px: int = 384
    field_count: int = 6000
    fields: int = 4
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    positive_weight: float = 5.0
    target_px: float = 2.0
    peak_weight: float = 0.5
    contrast: float = 0.2
    noise: float = 0.5
    offset: float = 0.3
    colour: float = 0.3
    max_shift_px: int = 48
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(name=ENCODER_DECODER, width=32, dropout=0.1)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "side_px field_count fields", minimum=1)
        check_ranges(self, "target_px", above=0)
        if self.network.name != ENCODER_DECODER:
            raise SettingsError(f"the network must be {ENCODER_DECODER}; got {self.network.name}")
