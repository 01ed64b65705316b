"""Settings of the training of a denoiser for tomograms.

- `DenoiserTraining`: settings of `cryopick tomo denoise-train`.
- `ALIGNMENT_PX`: stride of the deepest level of the network.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help
from cryopick.errors import SettingsError

__all__ = ["ALIGNMENT_PX", "DenoiserTraining"]

ALIGNMENT_PX = 4  # sides of windows and tiles must be multiples


@dataclass(frozen=True, kw_only=True)
class DenoiserTraining:
    """Settings of `cryopick tomo denoise-train`; the field names are the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    steps: Annotated[int, Help("Number of training steps (minibatches).")] = 400
    learning_rate: Annotated[float, Help("Maximum learning rate of the one-cycle schedule.")] = 2e-3
    side_px: Annotated[int, Help("Side of a training window in voxels, a multiple of 4.")] = 40
    windows: Annotated[int, Help("Windows in a minibatch.")] = 4
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.windows) < 1 or self.seed < 0:
            raise SettingsError("steps and windows must be at least 1, and seed 0 or more")
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"learning_rate must be above 0; got {self.learning_rate}")
        if not 8 <= self.side_px <= 256 or self.side_px % ALIGNMENT_PX:
            raise SettingsError(f"side_px must be a multiple of 4 from 8 on; got {self.side_px}")
