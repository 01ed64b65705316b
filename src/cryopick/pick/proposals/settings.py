"""Settings of proposals, checked once.

- `ProposeSettings`: everything that turns a raw micrograph into proposals.
- `BlobSettings`, `TemplateSettings`: what belongs to one method alone.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryopick.errors import SettingsError

__all__ = ["BlobSettings", "Contrast", "ProposeSettings", "TemplateSettings"]

Contrast = Literal["dark", "light"]


@dataclass(frozen=True, kw_only=True)
class BlobSettings:
    """A difference of Gaussians.

    Attributes:
        sigma_frac: Standard deviation of the narrower Gaussian, in particle diameters.
        ratio: The wider one's over the narrower one's.
    """

    sigma_frac: float = 0.21
    ratio: float = 1.2

    def __post_init__(self) -> None:
        if not 0.02 <= self.sigma_frac <= 2:
            raise SettingsError(f"sigma_frac must be between 0.02 and 2; got {self.sigma_frac}")
        if not 1 < self.ratio <= 10:
            raise SettingsError(f"ratio must be above 1 and at most 10; got {self.ratio}")


@dataclass(frozen=True, kw_only=True)
class TemplateSettings:
    """A correlation with templates.

    Attributes:
        file: A map or atomic model, class averages (.mrcs), or a table of picks on the same
            micrographs; empty to look for blobs instead.
        views: Projections of a map.
        step_deg: Turn in the plane between one template and the next.
        pixel_size_ang: Of class averages whose file does not say.
    """

    file: str = ""
    views: int = 40
    step_deg: float = 15.0
    pixel_size_ang: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.views <= 1000:
            raise SettingsError(f"views must be between 1 and 1000; got {self.views}")
        if not 1 <= self.step_deg <= 360:
            raise SettingsError(f"step_deg must be between 1 and 360; got {self.step_deg}")
        _check_length("pixel_size_ang of the templates", self.pixel_size_ang)

    @property
    def path(self) -> Path:
        """The file as a path."""
        return Path(self.file)


@dataclass(frozen=True, kw_only=True)
class ProposeSettings:
    """Settings of `cryopick propose`; the field names are the TOML keys and the options.

    Attributes:
        diameter_ang: Particle diameter, of a long particle somewhat less than its length.
        contrast: Whether particles are darker or lighter than what is around them.
        threshold: Keep proposals of at least this figure of merit, a low floor; None takes 0.5
            standard deviations for blobs and a correlation of 0.1 for templates.
        radius_ang: Least distance between proposals; None takes half the diameter.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        margin_ang: Proposals closer than this to an edge of the micrograph are left out.
        clip_sd: Pixels further than this from the local mean, in local standard deviations,
            count as no further, so that what is darker than any particle is not preferred.
        blob: What belongs to blobs.
        template: What belongs to templates, which are used if it names a file.

    Raises:
        SettingsError: A value lies outside its range.
    """

    diameter_ang: float
    contrast: Contrast = "dark"
    threshold: float | None = None
    radius_ang: float | None = None
    pixel_size_ang: float | None = None
    margin_ang: float = 0.0
    clip_sd: float = 2.0
    blob: BlobSettings = field(default_factory=BlobSettings)
    template: TemplateSettings = field(default_factory=TemplateSettings)

    def __post_init__(self) -> None:
        for name in ("diameter_ang", "radius_ang", "pixel_size_ang", "clip_sd"):
            _check_length(name, getattr(self, name))
        if self.threshold is not None and math.isnan(self.threshold):
            raise SettingsError("threshold must be a number; got nan")
        if not 0 <= self.margin_ang < math.inf:
            raise SettingsError(f"margin_ang must be 0 or more; got {self.margin_ang}")


def _check_length(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise SettingsError(f"{name} must be above 0; got {value}")
