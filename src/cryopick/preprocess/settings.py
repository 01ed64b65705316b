"""Settings of preprocessing.

- `PreprocessSettings`: scale and normalization of the written micrographs.
- `NormalizationKind`: the choices of `--normalization`.
- `DIAMETER_PX`: particle diameter in working pixels.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from cryopick.config import Help, check_ranges

__all__ = ["DIAMETER_PX", "NormalizationKind", "PreprocessSettings"]

NormalizationKind = Literal["dataset", "micrograph", "affine", "white", "noise"]

# The receptive field of 31 then covers nearly two diameters: docs/results/empiar10017.md
# compares other choices.
DIAMETER_PX = 17.0


@dataclass(frozen=True, kw_only=True)
class PreprocessSettings:
    """Settings of `cryopick preprocess`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    factor: Annotated[
        float | None,
        Help("Downsampling factor: raw pixels per output pixel, such as 8; may be fractional."),
    ] = None
    diameter_ang: Annotated[
        float | None,
        Help(
            "Particle diameter in ångströms, instead of --factor: downsample as `cryopick train` "
            "does, to 17 pixels per diameter."
        ),
    ] = None
    pixel_size_ang: Annotated[
        float | None,
        Help("Pixel size of the raw micrographs in ångströms.", default="from the file headers"),
    ] = None
    normalization: Annotated[
        NormalizationKind,
        Help(
            "Normalization: dataset (one mixture model for all micrographs), micrograph (one for "
            "each), affine (mean 0, standard deviation 1), white (affine after spectral "
            "whitening) or noise (whitening by the noise of the emptiest parts, which does not "
            "depend on the number of particles)."
        ),
    ] = "dataset"

    def __post_init__(self) -> None:
        check_ranges(self, "factor diameter_ang pixel_size_ang", above=0)
