"""Settings of trainings whose result is a moving average of the weights.

- `AveragedTrainingSettings`: length, learning rate, average and checkpoints.
- `Steps`, `LearningRate`, `AverageDecay`, `CheckpointInterval`: types of its fields, for subclasses
  that set defaults.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges

__all__ = [
    "AverageDecay",
    "AveragedTrainingSettings",
    "CheckpointInterval",
    "LearningRate",
    "Steps",
]

Steps = Annotated[int, Help("Number of training steps.")]
LearningRate = Annotated[float, Help("Maximum learning rate.")]
AverageDecay = Annotated[
    float, Help("Decay per step of the moving average of the weights, which is the result.")
]
CheckpointInterval = Annotated[int, Help("Number of steps between checkpoints.")]


@dataclass(frozen=True, kw_only=True)
class AveragedTrainingSettings:
    """Settings of a training whose result is a moving average of the weights.

    Raises:
        SettingsError: A value lies outside its range.
    """

    steps: Steps
    learning_rate: LearningRate
    average: AverageDecay
    checkpoint_every: CheckpointInterval
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0

    def __post_init__(self) -> None:
        check_ranges(self, "steps checkpoint_every", minimum=1)
        check_ranges(self, "learning_rate", above=0)
        check_ranges(self, "average", minimum=0, below=1)
        check_ranges(self, "seed", minimum=0)
