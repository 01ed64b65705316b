"""Settings of active learning.

- `SuggestSettings`: number of candidates and micrographs to suggest.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help
from cryopick.errors import SettingsError

__all__ = ["SuggestSettings"]


@dataclass(frozen=True, kw_only=True)
class SuggestSettings:
    """Settings of `cryopick suggest`, besides those of picking.

    Raises:
        SettingsError: A value lies outside its range.
    """

    count: Annotated[int, Help("Number of candidates to suggest.")] = 50
    micrographs: Annotated[
        int | None,
        Help(
            "Print the names of the N micrographs to label first, and suggest candidates on these "
            "only.",
            default="candidates on all micrographs",
            metavar="N",
        ),
    ] = None
    particles_per_micrograph: Annotated[
        float | None,
        Help(
            "Expected number of particles on a micrograph, to calibrate the scores.",
            default="that of the training, if the model records it",
        ),
    ] = None

    def __post_init__(self) -> None:
        for name in ("count", "micrographs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} must be at least 1; got {value}")
        expected = self.particles_per_micrograph
        if expected is not None and not 0 < expected < math.inf:
            raise SettingsError(f"particles_per_micrograph must be above 0; got {expected}")
