"""Settings of particle extraction.

- `StackSettings`: box size, edges, grey values and microscope.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError

__all__ = ["Edge", "StackSettings"]

Edge = Literal["skip", "pad"]

_SIDE_PER_DIAMETER = (
    1.5  # box side in particle diameters, to include the signal that the CTF spreads
)
_BACKGROUND_RADIUS = 0.375  # background radius in box sides, if no diameter is given


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Settings of `cryopick stack`; the field names are the TOML keys and the options.

    Attributes:
        box_px: Side of the boxes in raw pixels, even; None uses 1.5 particle diameters.
        diameter_ang: Particle diameter; pixels outside it are background.
        pixel_size_ang: Ångströms per raw pixel, if the files do not state it.
        edge: Boxes that extend beyond an edge are discarded ("skip"), or their missing pixels are
            filled with the mean of the remaining background ("pad").
        normalize: Scale the background of each image to mean 0 and standard deviation 1.
        invert: Invert the contrast, so that dark particles become bright, as RELION expects.
        rescale_px: Side of the written images, even; smaller than the box, by Fourier cropping.
        voltage_kv: Acceleration voltage of the microscope. RELION requires it and the spherical
            aberration in STAR files, so both are needed unless the table of picks has optics
            groups with them.
        cs_mm: Spherical aberration of the microscope.
        amplitude_contrast: Amplitude contrast fraction, for the CTF.

    Raises:
        SettingsError: A value is out of range, or neither box nor diameter is given.
    """

    box_px: Annotated[
        int | None,
        Help("Box size in raw pixels, an even number.", default="1.5 particle diameters"),
    ] = None
    diameter_ang: Annotated[
        float | None,
        Help(
            "Particle diameter in ångströms. Pixels outside it are background.",
            default="3/4 of the box size",
        ),
    ] = None
    pixel_size_ang: Annotated[
        float | None,
        Help("Pixel size of the raw micrographs in ångströms.", default="from the file headers"),
    ] = None
    edge: Annotated[
        Edge,
        Help(
            "Boxes that extend beyond the micrograph: skip discards them, pad fills the missing "
            "pixels with the mean of the background."
        ),
    ] = "skip"
    normalize: Annotated[
        bool, Help("Normalize the background of each image to mean 0 and standard deviation 1.")
    ] = True
    invert: Annotated[
        bool, Help("Invert the contrast, so that dark particles become bright, as RELION expects.")
    ] = False
    rescale_px: Annotated[
        int | None,
        Help(
            "Size of the written images in pixels, an even number up to the box size; larger "
            "boxes are downsampled by Fourier cropping.",
            default="the box size",
        ),
    ] = None
    voltage_kv: Annotated[
        float | None,
        Help(
            "Acceleration voltage in kilovolts; RELION requires it.",
            default="from the optics table of PICKS",
        ),
    ] = None
    cs_mm: Annotated[
        float | None,
        Help(
            "Spherical aberration in millimetres; RELION requires it.",
            default="from the optics table of PICKS",
        ),
    ] = None
    amplitude_contrast: Annotated[
        float | None,
        Help(
            "Fraction of amplitude contrast, such as 0.1.",
            default="from the optics table of PICKS",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.box_px is None and self.diameter_ang is None:
            raise SettingsError("give --box-px, the side of the boxes, or --diameter-ang")
        check_ranges(self, "diameter_ang pixel_size_ang", above=0)
        check_ranges(self, "voltage_kv cs_mm amplitude_contrast", above=0)
        for name in ("box_px", "rescale_px"):
            side = getattr(self, name)
            if side is not None and (side < 2 or side % 2):
                raise SettingsError(f"{name} must be an even number of at least 2; got {side}")
        if self.box_px and self.rescale_px and self.rescale_px > self.box_px:
            raise SettingsError(
                f"rescale_px must not exceed box_px of {self.box_px}; got {self.rescale_px}"
            )

    def side_px(self, pixel_size_ang: float) -> int:
        """Return the side of the boxes in raw pixels."""
        if self.box_px is not None:
            return self.box_px
        assert self.diameter_ang is not None, "checked above"
        side = 2 * math.ceil(_SIDE_PER_DIAMETER * self.diameter_ang / pixel_size_ang / 2)
        if self.rescale_px and self.rescale_px > side:
            raise SettingsError(
                f"rescale_px must not exceed the box of {side} pixels; got {self.rescale_px}"
            )
        return side

    def background_radius_px(self, pixel_size_ang: float) -> float:
        """Return the radius in raw pixels beyond which there is only background."""
        side = self.side_px(pixel_size_ang)
        if self.diameter_ang is None:
            return _BACKGROUND_RADIUS * side
        return min(self.diameter_ang / 2 / pixel_size_ang, side / 2 - 1)
