"""Settings of cutting particles out, checked once.

- `StackSettings`: side of the boxes, edges, values, microscope.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from cryopick.config import Help
from cryopick.errors import SettingsError

__all__ = ["Edge", "StackSettings"]

Edge = Literal["skip", "pad"]

_ROOM = 1.5  # sides of a box, in particle diameters: signal that the CTF spread stays inside
_BACKGROUND = 0.375  # sides: radius of the background's rim, where no diameter is given


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Settings of `cryopick stack`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value lies outside its range, or neither box nor diameter is given.
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
        for name in ("diameter_ang", "pixel_size_ang", "voltage_kv", "cs_mm", "amplitude_contrast"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")
        for name in ("box_px", "rescale_px"):
            side = getattr(self, name)
            if side is not None and (side < 2 or side % 2):
                raise SettingsError(f"{name} must be an even number of at least 2; got {side}")
        if self.box_px and self.rescale_px and self.rescale_px > self.box_px:
            raise SettingsError(
                f"rescale_px must not exceed box_px of {self.box_px}; got {self.rescale_px}"
            )

    def side_px(self, pixel_size_ang: float) -> int:
        """Side of the boxes in raw pixels."""
        if self.box_px is not None:
            return self.box_px
        assert self.diameter_ang is not None, "checked above"
        side = 2 * math.ceil(_ROOM * self.diameter_ang / pixel_size_ang / 2)
        if self.rescale_px and self.rescale_px > side:
            raise SettingsError(
                f"rescale_px must not exceed the box of {side} pixels; got {self.rescale_px}"
            )
        return side

    def background_radius_px(self, pixel_size_ang: float) -> float:
        """Distance from the centre, in raw pixels, beyond which there is only background."""
        side = self.side_px(pixel_size_ang)
        if self.diameter_ang is None:
            return _BACKGROUND * side
        return min(self.diameter_ang / 2 / pixel_size_ang, side / 2 - 1)
