"""Settings of picking, validated on construction.

- `PickSettings`: settings of picking with a model.
- `Contrast`, `FixedContrast`: contrast of the particles.
- `is_elongated`: decide whether the sides of a particle call for a filter along it.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError
from cryopick.inference.settings import Precision

__all__ = ["Contrast", "FixedContrast", "PickSettings", "is_elongated"]

FixedContrast = Literal["dark", "bright"]
Contrast = Literal["auto", "dark", "bright"]

_MIN_ASPECT = 5.0  # of particles that are filtered along their length


def is_elongated(length_ang: float, width_ang: float | None) -> bool:
    """Return true for particles at least five times as long as wide."""
    return width_ang is not None and length_ang >= _MIN_ASPECT * width_ang


@dataclass(frozen=True, kw_only=True)
class PickSettings:
    """Settings of `cryopick pick`; the field names are the TOML keys and the options.

    Attributes:
        centre_offset_px: Displacement (x, y) of the peaks from the particle centres, in working
            pixels, that picking subtracts; None takes that of the model. `cryopick pick` measures
            it on the first micrographs, for the general model. It has no option.

    Raises:
        SettingsError: A value lies outside its range.
    """

    threshold: Annotated[
        float,
        Help(
            "Minimum score (logit) of a pick. The default keeps nearly all candidates; cut the "
            "table afterwards with `cryopick threshold`."
        ),
    ] = -6.0
    radius_ang: Annotated[
        float | None,
        Help(
            "Minimum distance between picks in ångströms.",
            default="0.6 of the diameter, or of the scale if that is smaller; with --width-ang, "
            "half the width but at least a quarter of the diameter, or half the diameter if it is "
            "five times the width or more",
        ),
    ] = None
    diameter_ang: Annotated[
        float | None,
        Help(
            "Particle diameter in ångströms, or the width of a filament.",
            default="that of the model; with the general model, estimated from the scores of the "
            "first micrographs",
        ),
    ] = None
    diameter_range_ang: Annotated[
        tuple[float, ...] | None,
        Help(
            "Smallest and largest particle diameter, instead of diameter_ang; the diameter is "
            "estimated within that range. On the command line, --diameter-ang 120-180.",
            default="not used",
        ),
    ] = None
    width_ang: Annotated[
        float | None,
        Help(
            "Short side of elongated particles in ångströms, such as 30 for a rod; --diameter-ang "
            "is then the long side.",
            default="the diameter",
        ),
    ] = None
    scale_ang: Annotated[
        float | None,
        Help(
            "Size in ångströms that sets the scale of the network's input.",
            default="the diameter; with the general model, the size from 0.64 to 1.56 diameters "
            "(with --width-ang, also finer) at which the first micrographs score highest",
        ),
    ] = None
    contrast: Annotated[
        Contrast,
        Help(
            "Contrast of the particles: dark as in cryo-EM, or bright as in negative stain. auto "
            "compares both on a few micrographs with the general model, and otherwise uses the "
            "contrast of the training micrographs."
        ),
    ] = "auto"
    pixel_size_ang: Annotated[
        float | None,
        Help("Pixel size of the raw micrographs in ångströms.", default="from the file headers"),
    ] = None
    step_px: Annotated[
        int | None,
        Help(
            "Stride of the score map in working pixels; 1 scores every pixel and is the slowest.",
            default="2, or the stride of the network if smaller",
        ),
    ] = None
    precision: Annotated[
        Precision,
        Help(
            "Number format of the convolutions. auto uses bfloat16 where the hardware supports "
            "it, which takes half the time and changes logits by a few hundredths."
        ),
    ] = "auto"
    margin_ang: Annotated[
        float, Help("Discard picks closer than this to an edge of the micrograph, in ångströms.")
    ] = 0.0
    centre_offset_px: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.threshold):
            raise SettingsError("threshold must be a number; got nan")
        check_ranges(self, "radius_ang diameter_ang width_ang scale_ang pixel_size_ang", above=0)
        check_ranges(self, "step_px", minimum=1)
        check_ranges(self, "margin_ang", minimum=0)
        self._check_range()
        if self.centre_offset_px is not None and len(self.centre_offset_px) != 2:
            raise SettingsError("centre_offset_px must be two numbers, x and y")
        if self.width_ang is not None and self.width_ang > (self.diameter_ang or 0):
            raise SettingsError(
                "width_ang needs a diameter_ang of at least the same length; "
                f"got {self.width_ang:g} and {self.diameter_ang}"
            )

    def _check_range(self) -> None:
        if self.diameter_range_ang is None:
            return
        if self.diameter_ang is not None:
            raise SettingsError("set either diameter_ang or diameter_range_ang")
        low_high_ang = self.diameter_range_ang
        if len(low_high_ang) != 2 or not 0 < low_high_ang[0] < low_high_ang[1] < math.inf:
            sizes = " ".join(f"{value:g}" for value in low_high_ang)
            raise SettingsError(
                f"diameter_range_ang must be two sizes above 0, the smaller first; got {sizes}"
            )
