"""Settings of cutting particles out, checked once.

- `StackSettings`: side of the boxes, edges, values, microscope.
"""

import math
from dataclasses import dataclass
from typing import Literal

from cryopick.errors import SettingsError

__all__ = ["Edge", "StackSettings"]

Edge = Literal["skip", "pad"]

_ROOM = 1.5  # sides of a box, in particle diameters: signal that the CTF spread stays inside
_BACKGROUND = 0.375  # sides: radius of the background's rim, where no diameter is given


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Settings of `cryopick stack`; the field names are the TOML keys and the options.

    Attributes:
        box_px: Side of the boxes in raw pixels, even; None takes 1.5 particle diameters.
        diameter_ang: Particle diameter; beyond it is background.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        edge: Boxes that reach over an edge are left out ("skip"), or what is missing is given
            the mean of the rest of the box's background ("pad").
        normalize: Give the background of each image mean 0 and standard deviation 1.
        invert: Change the sign, so that dark particles become bright, as RELION expects.
        rescale_px: Side of the written images, even; smaller than the box, by cropping its
            Fourier transform.
        voltage_kv: Of the microscope. RELION reads no STAR file without it and the next, so
            both are needed unless the table of picks has optics groups with them.
        cs_mm: Spherical aberration of the microscope.
        amplitude_contrast: Share of amplitude contrast, for the CTF.

    Raises:
        SettingsError: A value lies outside its range, or neither box nor diameter is given.
    """

    box_px: int | None = None
    diameter_ang: float | None = None
    pixel_size_ang: float | None = None
    edge: Edge = "skip"
    normalize: bool = True
    invert: bool = False
    rescale_px: int | None = None
    voltage_kv: float | None = None
    cs_mm: float | None = None
    amplitude_contrast: float | None = None

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
