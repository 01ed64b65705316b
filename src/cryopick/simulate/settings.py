"""What a simulated micrograph looks like: one frozen table of settings, checked once.

Units stand in the names. The defaults describe a decent 300 kV data set: 40 e/Å², thin ice,
1.5 to 3 µm underfocus, and a little of everything that a picker must not pick.

- `SimulationSettings`: the table.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryopick.errors import SettingsError

__all__ = ["SimulationSettings"]


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """Settings of `cryopick simulate`; the field names are the TOML keys and the options.

    Attributes:
        width_px: Width of a micrograph.
        height_px: Height of a micrograph.
        pixel_size_ang: Sampling at the specimen.
        molecule: Name of a built-in molecule, or path of an atomic model or a map.
        diameter_ang: Longest extent to which a built-in molecule is scaled; None leaves it.
        particles: Intact particles with their centre inside a micrograph that has no carbon;
            carbon takes its share of them away, and they are fewer where room runs out.
        filaments: Helices of the molecule on a micrograph, in place of single particles; see
            `cryopick.simulate.filaments`.
        min_distance_frac: Least distance of two centres, as a fraction of the diameter.
        overlapping_frac: Share of the particles that keep only half their share of that
            distance, and so may overlap in projection.
        defocus_um: Least and greatest underfocus; each micrograph draws its own.
        astigmatism_um: Greatest difference between the two principal defoci.
        voltage_kv: Acceleration voltage.
        cs_mm: Spherical aberration.
        amplitude_contrast: Fraction of amplitude contrast, 0 to 1.
        b_factor_ang2: Decay of the contrast transfer: it is multiplied by exp(-B g² / 4).
        dose_e_per_ang2: Electrons counted per Å², averaged over a micrograph.
        ice_thickness_ang: Mean thickness of the ice, which makes the structural noise.
        ice_variation_frac: Relative variation of the thickness over a micrograph.
        mtf_nyquist: Modulation transfer of the detector at Nyquist.
        nps_nyquist: Noise power of the detector at Nyquist, relative to that at zero.
        gain_error_frac: Fixed pattern that the gain correction leaves, the same on all.
        preferred_frac: Share of the particles that all show one view, the same throughout a
            data set, but for a few degrees and any turn in the plane.
        drift_ang: Way the specimen moved while it was exposed, in a random direction.
        broken: Mean number of fragments of the molecule on a micrograph.
        aggregates: Mean number of clumps of molecules.
        contaminants: Mean number of drops and flakes of ice on the surface.
        contaminant_radius_ang: Least and greatest radius of those.
        specks: Mean number of those that are as small as a particle, and darker than most.
        crystals: Mean number of patches of crystalline ice.
        gold: Mean number of gold beads, which lie anywhere.
        carbon_prob: Chance that the edge of the carbon foil crosses the micrograph.
        carbon_area_frac: Least and greatest share of the area that the foil then covers.
        seed: Whole number from which every micrograph draws, together with its index.

    Raises:
        SettingsError: A value lies outside its range.
    """

    width_px: int = 2048
    height_px: int = 2048
    pixel_size_ang: float = 1.5
    molecule: str = "compact"
    diameter_ang: float | None = None
    particles: int = 80
    filaments: int = 0
    min_distance_frac: float = 1.0
    overlapping_frac: float = 0.05
    defocus_um: tuple[float, float] = (1.5, 3.0)
    astigmatism_um: float = 0.05
    voltage_kv: float = 300.0
    cs_mm: float = 2.7
    amplitude_contrast: float = 0.1
    b_factor_ang2: float = 150.0
    dose_e_per_ang2: float = 40.0
    ice_thickness_ang: float = 400.0
    ice_variation_frac: float = 0.1
    mtf_nyquist: float = 0.5
    nps_nyquist: float = 0.7
    gain_error_frac: float = 0.005
    preferred_frac: float = 0.0
    drift_ang: float = 0.0
    broken: float = 20.0
    aggregates: float = 0.7
    contaminants: float = 2.0
    contaminant_radius_ang: tuple[float, float] = (40.0, 250.0)
    specks: float = 0.0
    crystals: float = 0.2
    gold: float = 0.0
    carbon_prob: float = 0.2
    carbon_area_frac: tuple[float, float] = (0.05, 0.35)
    seed: int = 0

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
        """The same micrographs with nothing on them but intact particles."""
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
