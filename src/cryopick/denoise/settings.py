"""Settings of denoising and of the training of denoisers, validated on construction.

- `DenoiseSettings`: settings of `cryopick denoise`.
- `DenoiserTrainingSettings`: settings of the training.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges
from cryopick.train.averaged_settings import (
    AverageDecay,
    AveragedTrainingSettings,
    CheckpointInterval,
    LearningRate,
    Steps,
)

__all__ = ["DenoiseSettings", "DenoiserTrainingSettings"]


@dataclass(frozen=True, kw_only=True)
class DenoiseSettings:
    """Settings of `cryopick denoise`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    pixel_size_ang: Annotated[
        float | None,
        Help("Pixel size of the micrographs in ångströms.", default="that of the file header"),
    ] = None
    working_size_ang: Annotated[
        float,
        Help(
            "Pixel size in ångströms at which the network works. Finer micrographs are "
            "downsampled for it; the result has no detail below twice this size. Micrographs of "
            "unknown pixel size are processed as they are, up to 2048 pixels along the longer "
            "side."
        ),
    ] = 4.0
    low_pass_ang: Annotated[
        float | None,
        Help(
            "Low-pass filter of the result: wavelength in ångströms where the gain is one half.",
            default="no filter",
        ),
    ] = None
    gaussian_px: Annotated[
        float,
        Help("Standard deviation in pixels of a Gaussian filter of the result; 0 for no filter."),
    ] = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, "pixel_size_ang working_size_ang low_pass_ang", above=0)
        check_ranges(self, "gaussian_px", minimum=0)


@dataclass(frozen=True, kw_only=True)
class DenoiserTrainingSettings(AveragedTrainingSettings):
    """Settings of the training of a denoiser; the field names are options of `denoise-train`.

    Raises:
        SettingsError: A value lies outside its range.
    """

    steps: Steps = 550
    learning_rate: LearningRate = 8e-4
    average: AverageDecay = 0.99
    checkpoint_every: CheckpointInterval = 50
    pairs: Annotated[int, Help("Number of pairs of image patches per step.")] = 4
    falling_steps: Annotated[
        int, Help("Number of last steps in which the learning rate falls.")
    ] = 150
    final_rate_frac: Annotated[
        float, Help("Fraction of the learning rate that is left after the last step.")
    ] = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "pairs", minimum=1)
        check_ranges(self, "falling_steps", minimum=0)
        check_ranges(self, "final_rate_frac", minimum=0, maximum=1)
