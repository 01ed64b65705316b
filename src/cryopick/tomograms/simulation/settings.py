"""Settings of simulated tomograms, validated on construction.

- `TomogramSettings`: settings of `cryopick tomo simulate`.
"""

from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError

__all__ = ["TomogramSettings"]

_RANGES = (
    ("width_px height_px depth_px", 8, 4096),
    ("particles crowders membranes gold", 0, 100_000),
    ("seed", 0, 2**63 - 1),
    ("voxel_size_ang", 0.5, 100.0),
    ("ice_frac", 0.1, 1.0),
    ("max_tilt_deg", 1.0, 85.0),
    ("tilt_step_deg", 0.1, 60.0),
    ("dose_e_per_ang2", 0.1, 10_000.0),
    ("defocus_um", 0.1, 50.0),
    ("voltage_kv", 50.0, 1000.0),
    ("alignment_error_ang", 0.0, 200.0),
)


@dataclass(frozen=True, kw_only=True)
class TomogramSettings:
    """Settings of simulated tomograms; the field names are the TOML keys and the options.

    Attributes:
        molecules: Names of built-in molecules, or paths of atomic models or maps; each of them is
            placed `particles` times.

    Raises:
        SettingsError: A value lies outside its range.
    """

    molecules: tuple[str, ...] = ("ring", "compact", "y-shaped")
    particles: Annotated[
        int, Help("Number of particles of each molecule in a tomogram; fewer if space runs out.")
    ] = 40
    width_px: Annotated[int, Help("Size of a tomogram along x, in voxels.")] = 128
    height_px: Annotated[int, Help("Size of a tomogram along y, in voxels.")] = 128
    depth_px: Annotated[int, Help("Size of a tomogram along z, in voxels.")] = 64
    voxel_size_ang: Annotated[float, Help("Voxel size in ångströms.")] = 15.0
    ice_frac: Annotated[
        float, Help("Fraction of the depth that the ice fills; above and below is vacuum.")
    ] = 0.8
    crowders: Annotated[int, Help("Number of small proteins of 60 Å, which are not particles.")] = (
        400
    )
    membranes: Annotated[int, Help("Number of vesicles with a membrane of two leaflets.")] = 1
    gold: Annotated[int, Help("Number of gold beads of 100 Å.")] = 3
    max_tilt_deg: Annotated[float, Help("Maximum tilt angle in degrees; beyond is the wedge.")] = (
        60.0
    )
    tilt_step_deg: Annotated[float, Help("Tilt increment in degrees.")] = 3.0
    dose_e_per_ang2: Annotated[
        float, Help("Dose of the whole tilt series in electrons per square ångström.")
    ] = 100.0
    defocus_um: Annotated[float, Help("Underfocus in micrometres.")] = 4.0
    voltage_kv: Annotated[float, Help("Acceleration voltage in kilovolts.")] = 300.0
    alignment_error_ang: Annotated[
        float, Help("Standard deviation of the shift of each image in ångströms.")
    ] = 5.0
    halves: Annotated[bool, Help("Also write the tomograms of the even and of the odd images.")] = (
        False
    )
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0

    def __post_init__(self) -> None:
        if not self.molecules:
            raise SettingsError("a simulation needs at least one molecule")
        for names, minimum, maximum in _RANGES:
            check_ranges(self, names, minimum=minimum, maximum=maximum)
        if self.tilt_step_deg > self.max_tilt_deg:
            raise SettingsError(
                f"max_tilt_deg must be at least tilt_step_deg; got {self.max_tilt_deg}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Depth, height and width of a tomogram in voxels."""
        return self.depth_px, self.height_px, self.width_px
