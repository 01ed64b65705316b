"""Settings of filament tracing, validated on construction.

- `FilamentSettings`: settings of tracing and of cutting into segments.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges

__all__ = ["FilamentSettings"]


@dataclass(frozen=True, kw_only=True)
class FilamentSettings:
    """Settings of `cryopick filaments`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    spacing_ang: Annotated[
        float | None,
        Help(
            "Distance between segments along a filament in ångströms, such as the helical rise.",
            default="a quarter of the width",
        ),
    ] = None
    min_length_ang: Annotated[
        float | None,
        Help("Minimum length of a filament in ångströms.", default="four widths"),
    ] = None
    contrast: Annotated[
        float,
        Help(
            "Minimum ridge strength of a filament in the score map, in robust standard deviations "
            "of the ridges on the micrograph."
        ),
    ] = 5.0

    def __post_init__(self) -> None:
        check_ranges(self, "spacing_ang min_length_ang contrast", above=0)

    def spacing(self, width_ang: float) -> float:
        """Return the distance between segments in ångströms."""
        return self.spacing_ang or width_ang / 4

    def min_length(self, width_ang: float) -> float:
        """Return the minimum length of a filament in ångströms."""
        return self.min_length_ang or 4 * width_ang
