"""Settings of the simulation, validated on construction.

The defaults describe a good 300 kV data set: 40 e/Å², thin ice, 1.5 to 3 µm underfocus, and small
numbers of all kinds of junk.

- `SimulationSettings`: settings of simulated micrographs.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from cryopick.config import Help, check_ranges
from cryopick.errors import SettingsError

__all__ = ["SimulationSettings"]

_FRACTIONS = (
    "amplitude_contrast ice_variation_frac overlapping_frac preferred_frac gain_error_frac "
    "carbon_prob"
)


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """Settings of `cryopick simulate`; the field names are the TOML keys and the options.

    Raises:
        SettingsError: A value lies outside its range.
    """

    width_px: Annotated[int, Help("Width of a micrograph in pixels.")] = 2048
    height_px: Annotated[int, Help("Height of a micrograph in pixels.")] = 2048
    pixel_size_ang: Annotated[float, Help("Pixel size in ångströms.")] = 1.5
    molecule: Annotated[
        str,
        Help(
            "Molecule: compact, rod, y-shaped or ring, or the path of an atomic model or a map "
            "(.pdb, .cif, .mrc)."
        ),
    ] = "compact"
    diameter_ang: Annotated[
        float | None,
        Help(
            "Longest dimension in ångströms to which a built-in molecule is scaled.",
            default="that of the molecule",
        ),
    ] = None
    particles: Annotated[
        int,
        Help(
            "Number of intact particles on a micrograph without carbon; fewer where carbon covers "
            "the ice or space runs out."
        ),
    ] = 80
    filaments: Annotated[
        int,
        Help("Number of filaments (helices of the molecule), instead of single particles."),
    ] = 0
    min_distance_frac: Annotated[
        float,
        Help("Minimum distance between particle centres, as a fraction of the diameter."),
    ] = 1.0
    overlapping_frac: Annotated[
        float,
        Help("Fraction of particles placed at half the minimum distance, so that they overlap."),
    ] = 0.05
    defocus_um: Annotated[
        tuple[float, float],
        Help(
            "Range of the underfocus in micrometres, drawn at random for each micrograph.",
            metavar="MIN MAX",
        ),
    ] = (1.5, 3.0)
    astigmatism_um: Annotated[
        float, Help("Maximum difference between the principal defoci in micrometres.")
    ] = 0.05
    voltage_kv: Annotated[float, Help("Acceleration voltage in kilovolts.")] = 300.0
    cs_mm: Annotated[float, Help("Spherical aberration in millimetres.")] = 2.7
    amplitude_contrast: Annotated[float, Help("Fraction of amplitude contrast, 0 to 1.")] = 0.1
    b_factor_ang2: Annotated[
        float, Help("B-factor of the contrast transfer, exp(-B g² / 4), in Å².")
    ] = 150.0
    dose_e_per_ang2: Annotated[float, Help("Electron dose in electrons per square ångström.")] = (
        40.0
    )
    ice_thickness_ang: Annotated[float, Help("Mean ice thickness in ångströms.")] = 400.0
    ice_variation_frac: Annotated[
        float, Help("Relative variation of the ice thickness over a micrograph.")
    ] = 0.1
    mtf_nyquist: Annotated[
        float, Help("Modulation transfer function of the detector at Nyquist.")
    ] = 0.5
    nps_nyquist: Annotated[
        float, Help("Noise power of the detector at Nyquist, relative to zero frequency.")
    ] = 0.7
    gain_error_frac: Annotated[
        float, Help("Relative error of the gain reference, a pattern common to all micrographs.")
    ] = 0.005
    preferred_frac: Annotated[
        float, Help("Fraction of particles in one preferred orientation.")
    ] = 0.0
    drift_ang: Annotated[
        float, Help("Uncorrected drift during the exposure in ångströms, in a random direction.")
    ] = 0.0
    broken: Annotated[
        float, Help("Mean number of broken molecules (fragments) on a micrograph.")
    ] = 20.0
    aggregates: Annotated[float, Help("Mean number of aggregates on a micrograph.")] = 0.7
    contaminants: Annotated[
        float, Help("Mean number of pieces of ice contamination on a micrograph.")
    ] = 2.0
    contaminant_radius_ang: Annotated[
        tuple[float, float],
        Help("Range of their radius in ångströms.", metavar="MIN MAX"),
    ] = (40.0, 250.0)
    specks: Annotated[
        float,
        Help("Mean number of small contaminants: of the size of a particle, and darker."),
    ] = 0.0
    drops: Annotated[
        float,
        Help("Mean number of ice drops on a micrograph: round, and about as large as a particle."),
    ] = 0.0
    crystals: Annotated[
        float, Help("Mean number of patches of crystalline ice on a micrograph.")
    ] = 0.2
    gold: Annotated[float, Help("Mean number of gold beads on a micrograph.")] = 0.0
    carbon_prob: Annotated[
        float, Help("Probability that a carbon edge crosses a micrograph, 0 to 1.")
    ] = 0.2
    carbon_area_frac: Annotated[
        tuple[float, float],
        Help("Range of the fraction of the area that carbon covers.", metavar="MIN MAX"),
    ] = (0.05, 0.35)
    seed: Annotated[int, Help("Seed of the random number generators.")] = 0

    def __post_init__(self) -> None:
        check_ranges(self, "width_px height_px", minimum=64)
        check_ranges(self, "pixel_size_ang", minimum=0.1, maximum=100)
        check_ranges(self, "diameter_ang", minimum=30, maximum=5000)
        check_ranges(self, "voltage_kv", minimum=10, maximum=3000)
        check_ranges(self, "defocus_um", above=0, maximum=20)
        check_ranges(self, "contaminant_radius_ang", above=0, maximum=100_000)
        check_ranges(self, "carbon_area_frac", above=0, below=1)
        check_ranges(self, "dose_e_per_ang2 ice_thickness_ang min_distance_frac", above=0)
        check_ranges(self, "particles filaments seed", minimum=0)
        check_ranges(self, "astigmatism_um cs_mm b_factor_ang2 drift_ang", minimum=0)
        check_ranges(self, "broken aggregates contaminants specks drops crystals gold", minimum=0)
        check_ranges(self, "mtf_nyquist nps_nyquist", above=0, maximum=1)
        check_ranges(self, _FRACTIONS, minimum=0, maximum=1)
        for name in ("defocus_um", "carbon_area_frac", "contaminant_radius_ang"):
            low, high = getattr(self, name)
            if low > high:
                raise SettingsError(f"{name} must run from low to high; got {low} to {high}")

    def without_junk(self) -> "SimulationSettings":
        """Return the settings without junk, carbon and broken molecules."""
        return replace(
            self,
            broken=0.0,
            aggregates=0.0,
            contaminants=0.0,
            specks=0.0,
            drops=0.0,
            crystals=0.0,
            gold=0.0,
            carbon_prob=0.0,
        )
