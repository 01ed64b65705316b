"""Settings of denoising and of the training of denoisers, validated on construction.

- `DenoiseSettings`: settings of `cryopick denoise`.
- `DenoiserTrainingSettings`: settings of the training.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help
from cryopick.errors import SettingsError

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
        for name in ("pixel_size_ang", "working_size_ang", "low_pass_ang"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value:g}")
        if not 0 <= self.gaussian_px < math.inf:
            raise SettingsError(f"gaussian_px must be at least 0; got {self.gaussian_px:g}")


@dataclass(frozen=True, kw_only=True)
class DenoiserTrainingSettings:
    """Settings of the training of a denoiser; the field names are options of `denoise-train`.

    Raises:
        SettingsError: A value lies outside its range.
    """

    steps: Annotated[int, Help("Number of training steps.")] = 550
    pairs: Annotated[int, Help("Number of pairs of image patches per step.")] = 4
    learning_rate: Annotated[float, Help("Learning rate.")] = 8e-4
    falling_steps: Annotated[
        int, Help("Number of last steps in which the learning rate falls.")
    ] = 150
    final_rate_frac: Annotated[
        float, Help("Fraction of the learning rate that is left after the last step.")
    ] = 0.25
    average: Annotated[
        float,
        Help("Decay per step of the moving average of the weights, which is the result."),
    ] = 0.99
    checkpoint_every: Annotated[int, Help("Number of steps between checkpoints.")] = 50
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0

    def __post_init__(self) -> None:
        for name in ("steps", "pairs", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("falling_steps", "seed"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be at least 0; got {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"learning_rate must be above 0; got {self.learning_rate:g}")
        if not 0 <= self.final_rate_frac <= 1:
            raise SettingsError(
                f"final_rate_frac must be between 0 and 1; got {self.final_rate_frac:g}"
            )
        if not 0 <= self.average < 1:
            raise SettingsError(f"average must be at least 0 and below 1; got {self.average:g}")
