"""Settings of the training of a denoiser for tomograms.

- `DenoiserTraining`: settings of `cryopick tomo denoise-train`.
- `ALIGNMENT_PX`: stride of the deepest level of the network.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges
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
        check_ranges(self, "steps windows", minimum=1)
        check_ranges(self, "learning_rate", above=0)
        check_ranges(self, "side_px", minimum=8, maximum=256)
        check_ranges(self, "seed", minimum=0)
        if self.side_px % ALIGNMENT_PX:
            raise SettingsError(f"side_px must be a multiple of 4; got {self.side_px}")
