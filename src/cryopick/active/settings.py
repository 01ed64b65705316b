"""Settings of active learning.

- `SuggestSettings`: number of candidates and micrographs to suggest.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges

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
        check_ranges(self, "count micrographs", minimum=1)
        check_ranges(self, "particles_per_micrograph", above=0)
