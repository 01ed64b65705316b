"""Settings for the import of Topaz detectors.

- `ImportSettings`: properties of the training images, which the file does not record.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from cryopick.config import Help, check_ranges

__all__ = ["ImportSettings"]


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """Settings of `cryopick models import`; the field names are the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    factor: Annotated[
        float,
        Help("Downsampling factor of the micrographs the detector was trained on, such as 8."),
    ]
    pixel_size_ang: Annotated[
        float, Help("Pixel size of those micrographs before downsampling, in ångströms.")
    ]
    diameter_ang: Annotated[float, Help("Particle diameter in ångströms.")]
    normalization: Annotated[
        Literal["micrograph", "affine"],
        Help(
            "Normalization of those micrographs: micrograph (a mixture model fitted to each, as "
            "`topaz preprocess` does) or affine (mean 0, standard deviation 1, as RELION does)."
        ),
    ] = "micrograph"
    label_radius_px: Annotated[
        float,
        Help(
            "Radius in downsampled pixels around a label within which regions counted as positive."
        ),
    ] = 3.0

    def __post_init__(self) -> None:
        check_ranges(self, "factor pixel_size_ang diameter_ang label_radius_px", above=0)
