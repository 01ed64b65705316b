"""Settings of picking without a model, validated on construction.

- `ProposeSettings`: settings of proposals.
- `BlobSettings`, `TemplateSettings`: settings of blob detection and of template matching.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError

__all__ = ["BlobSettings", "Contrast", "ProposeSettings", "TemplateSettings"]

Contrast = Literal["dark", "light"]


@dataclass(frozen=True, kw_only=True)
class BlobSettings:
    """Settings of blob detection with a difference of Gaussians."""

    sigma_frac: Annotated[
        float,
        Help(
            "Blob detection: standard deviation of the narrower Gaussian, as a fraction of the "
            "particle diameter."
        ),
    ] = 0.21
    ratio: Annotated[
        float,
        Help("Blob detection: ratio of the standard deviations of the two Gaussians."),
    ] = 1.2

    def __post_init__(self) -> None:
        check_ranges(self, "sigma_frac", minimum=0.02, maximum=2)
        check_ranges(self, "ratio", above=1, maximum=10)


@dataclass(frozen=True, kw_only=True)
class TemplateSettings:
    """Settings of template matching."""

    file: Annotated[
        str,
        Help(
            "Match templates instead of detecting blobs: a map or an atomic model to project, "
            "class averages (.mrcs), or a table of picks on these micrographs to average.",
            option="templates",
            metavar="FILE",
        ),
    ] = ""
    views: Annotated[int, Help("Template matching: number of projections of the map.")] = 40
    step_deg: Annotated[
        float, Help("Template matching: in-plane angle between rotated templates, in degrees.")
    ] = 15.0
    pixel_size_ang: Annotated[
        float | None,
        Help(
            "Template matching: pixel size of the class averages in ångströms.",
            default="from the file header",
            option="template-pixel-size-ang",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_ranges(self, "views", minimum=1, maximum=1000)
        check_ranges(self, "step_deg", minimum=1, maximum=360)
        check_ranges(self, "pixel_size_ang", above=0)

    @property
    def path(self) -> Path:
        """Path of the template file."""
        return Path(self.file)


@dataclass(frozen=True, kw_only=True)
class ProposeSettings:
    """Settings of `cryopick propose`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    diameter_ang: Annotated[
        float,
        Help("Particle diameter in ångströms; of an elongated particle, about half its length."),
    ]
    contrast: Annotated[
        Contrast,
        Help("Particles are darker or lighter than the background of the micrograph."),
    ] = "dark"
    threshold: Annotated[
        float | None,
        Help(
            "Minimum figure of merit: standard deviations for blobs, correlation coefficient for "
            "templates.",
            default="0.5 for blobs, 0.1 for templates",
        ),
    ] = None
    radius_ang: Annotated[
        float | None,
        Help(
            "Minimum distance between proposals in ångströms.",
            default="half the particle diameter",
        ),
    ] = None
    pixel_size_ang: Annotated[
        float | None,
        Help("Pixel size of the raw micrographs in ångströms.", default="from the file headers"),
    ] = None
    margin_ang: Annotated[
        float,
        Help("Discard proposals closer than this to an edge of the micrograph, in ångströms."),
    ] = 0.0
    clip_sd: Annotated[
        float,
        Help(
            "Clip pixels further than this from the local mean, in local standard deviations, so "
            "that very dark contaminants are not preferred to particles."
        ),
    ] = 2.0
    blob: BlobSettings = field(default_factory=BlobSettings)
    template: TemplateSettings = field(default_factory=TemplateSettings)

    def __post_init__(self) -> None:
        check_ranges(self, "diameter_ang radius_ang pixel_size_ang clip_sd", above=0)
        check_ranges(self, "margin_ang", minimum=0)
        if self.threshold is not None and math.isnan(self.threshold):
            raise SettingsError("threshold must be a number; got nan")
