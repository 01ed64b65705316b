"""Settings of the validation by 2D classification.

- `ClassSettings`: settings of RELION's 2D classification.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges

__all__ = ["ClassSettings"]

_MASK_DIAMETERS = 1.25  # diameter of the circular mask, in particle diameters


@dataclass(frozen=True, kw_only=True)
class ClassSettings:
    """Settings of `cryopick validate classes`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value is out of range.
    """

    diameter_ang: Annotated[float, Help("Particle diameter in ångströms.")]
    classes: Annotated[int, Help("Number of 2D classes.")] = 10
    iterations: Annotated[int, Help("Number of refinement iterations.")] = 15
    oversampling: Annotated[
        int,
        Help(
            "Oversampling order of RELION's fine search; RELION's own default is 1, which takes "
            "several times longer."
        ),
    ] = 0
    threads: Annotated[int, Help("Number of CPU threads.")] = 1
    seed: Annotated[int, Help("Seed of the random initialization.")] = 1

    def __post_init__(self) -> None:
        check_ranges(self, "diameter_ang", above=0)
        check_ranges(self, "classes iterations threads", minimum=1)
        check_ranges(self, "oversampling seed", minimum=0)

    def relion_options(self) -> list[str]:
        """Return the options of `relion_refine`, without files and threads."""
        return [
            *("--iter", str(self.iterations), "--K", str(self.classes), "--tau2_fudge", "2"),
            *("--particle_diameter", f"{_MASK_DIAMETERS * self.diameter_ang:.1f}"),
            *("--zero_mask", "--flatten_solvent", "--oversampling", str(self.oversampling)),
            *("--psi_step", "10", "--offset_range", "3", "--offset_step", "1.5"),
            *("--norm", "--scale", "--pad", "1", "--random_seed", str(self.seed)),
            *("--dont_combine_weights_via_disc", "--preread_images"),
        ]
