"""Settings of finding filaments, checked once.

- `FilamentSettings`: how to look for them and how to part them into segments.
"""

import math
from dataclasses import dataclass

from cryopick.errors import SettingsError

__all__ = ["FilamentSettings"]


@dataclass(frozen=True, kw_only=True)
class FilamentSettings:
    """Settings of `cryopick filaments`; the field names are the TOML keys and the options.

    Attributes:
        spacing_ang: Distance of segments along a filament; None takes a quarter of the width.
        min_length_ang: Filaments shorter than this are left out; None takes four widths.
        contrast: How far a filament must stand out as a ridge of the score map, in robust
            standard deviations of all ridges on the micrograph.

    Raises:
        SettingsError: A value lies outside its range.
    """

    spacing_ang: float | None = None
    min_length_ang: float | None = None
    contrast: float = 5.0

    def __post_init__(self) -> None:
        for name in ("spacing_ang", "min_length_ang", "contrast"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be above 0; got {value}")

    def spacing(self, width_ang: float) -> float:
        """Distance of segments in ångströms."""
        return self.spacing_ang or width_ang / 4

    def min_length(self, width_ang: float) -> float:
        """Least length of a filament in ångströms."""
        return self.min_length_ang or 4 * width_ang
