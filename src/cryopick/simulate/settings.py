"""Settings of the simulation, validated on construction.

The defaults describe a good 300 kV data set: 40 e/Å², thin ice, 1.5 to 3 µm underfocus, and small
numbers of all kinds of junk.

- `SimulationSettings`: settings of simulated micrographs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from cryopick.config import Help
from cryopick.errors import SettingsError

__all__ = ["SimulationSettings"]


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
        for names, is_fine, expected in _RULES:
            for name in names.split():
                value = getattr(self, name)
                if value is not None and not is_fine(value):
                    raise SettingsError(f"{name} must be {expected}; got {value}")
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
            crystals=0.0,
            gold=0.0,
            carbon_prob=0.0,
        )


def _is_positive(value: float | int) -> bool:
    return 0 < value < math.inf


def _is_amount(value: float | int) -> bool:
    return 0 <= value < math.inf


def _is_share(value: float | int) -> bool:
    return 0 <= value <= 1


def _is_transfer(value: float | int) -> bool:
    return 0 < value <= 1


# Names of fields, the test each value must pass, and the range in words.
_RULES: tuple[tuple[str, Callable[..., bool], str], ...] = (
    ("width_px height_px", lambda side: side >= 64, "at least 64 pixels"),
    ("pixel_size_ang", lambda size: 0.1 <= size <= 100, "between 0.1 and 100 Å"),
    ("diameter_ang", lambda length: 30 <= length <= 5000, "between 30 and 5000 Å"),
    ("voltage_kv", lambda voltage: 10 <= voltage <= 3000, "between 10 and 3000 kV"),
    ("defocus_um", lambda pair: all(0 < d <= 20 for d in pair), "above 0 and at most 20 µm"),
    ("dose_e_per_ang2 ice_thickness_ang min_distance_frac", _is_positive, "above 0 and finite"),
    (
        "particles filaments astigmatism_um cs_mm b_factor_ang2 drift_ang broken aggregates "
        "contaminants specks crystals gold seed",
        _is_amount,
        "at least 0 and finite",
    ),
    (
        "amplitude_contrast ice_variation_frac overlapping_frac preferred_frac gain_error_frac "
        "carbon_prob",
        _is_share,
        "between 0 and 1",
    ),
    ("mtf_nyquist nps_nyquist", _is_transfer, "above 0 and at most 1"),
    (
        "contaminant_radius_ang",
        lambda pair: all(0 < radius <= 1e5 for radius in pair),
        "above 0 and at most 100000 Å",
    ),
    (
        "carbon_area_frac",
        lambda pair: all(0 < share < 1 for share in pair),
        "above 0 and below 1",
    ),
)
