"""Domain randomization: simulated fields with random molecules, microscopes and artefacts.

A network trained on a wide enough range of simulations generalizes to real micrographs that it
was never trained on. Fields are simulated directly at the working scale of the network, at a few
milliseconds per particle, so they can be streamed instead of stored. A field is a function of its
seed alone.

- `SimulatedField`: an image at the working scale with the particle coordinates.
- `Domain`: the molecules and the scale to draw from.
- `simulate_field`: simulate the field of a seed.
- `simulate_session`: simulate several fields with one molecule and one microscope.
- `simulate_random_scene`: simulate a field without noise at a random pixel size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import SettingsError
from cryopick.simulate.effects import apply_effects, draw_effects
from cryopick.simulate.micrograph import Scene, simulate_micrograph, simulate_scene
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.procedural import add_belt, draw_molecule
from cryopick.simulate.settings import SimulationSettings

__all__ = [
    "Domain",
    "SimulatedField",
    "simulate_field",
    "simulate_random_scene",
    "simulate_session",
]

_LOG_DIAMETER_SD = 0.28  # of the diameter that a user enters, on a natural-logarithm scale
_MAX_LOG_DIAMETER = 0.65
# Fractions of molecules for which only the longest extent is entered, both sides, or a size between
# their geometric mean and the longest extent.
_SIZE_FRACS = {"length": 0.2, "mean": 0.5, "between": 0.3}
_MIN_WIDTH_PX = 2.5  # of thin molecules; nobody could see thinner ones
_GRAIN_PX = 0.5  # finer grains cannot be resolved by the pixels
_PROCEDURAL_FRAC = 0.5  # fraction of procedural molecules, if the domain has real ones
_EMPTY_FRAC = 0.15  # fraction of fields without particles
_CROWDED_FRAC = 0.3
_CLEAN_FRAC = 0.15  # fraction of fields with particles only
_STRONG_AMPLITUDE_FRAC = 0.1  # as from negative stain and phase plates
_BRIGHT_FRAC = 0.05  # fraction of fields with bright particles, which are not to be picked


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedField:
    """A simulated image at the working scale of a network.

    Attributes:
        image: Intensities on an arbitrary scale; dense objects are usually dark.
        xy_px: Particle centres (x, y).
        pixel_size_ang: Pixel size in ångströms.
        molecule: Name of the molecule.
        diameter_ang: Longest extent of the molecule.
    """

    image: Float32[np.ndarray, "side side"]
    xy_px: Float[np.ndarray, "particles 2"]
    pixel_size_ang: float
    molecule: str
    diameter_ang: float


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The distribution from which fields are drawn.

    Attributes:
        molecules: Real molecules to draw from in addition to procedural ones; may be empty.
        diameter_px: Particle diameter in pixels, before the scale is varied.
        side_px: Side of a field in pixels.
    """

    molecules: Sequence[Molecule] = ()
    diameter_px: float = 17.0
    side_px: int = 384


def simulate_field(domain: Domain, seed: Sequence[int]) -> SimulatedField:
    """Simulate the field of a seed.

    Args:
        domain: Distribution to draw from.
        seed: Integers that determine the field completely.
    """
    rng = np.random.default_rng(seed)
    molecule, pixel_ang = _draw_molecule_and_scale(rng, domain)
    settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    image, xy_px = _simulate_image(settings, molecule, 0)
    effects = draw_effects(rng, is_bad=not settings.particles)
    if rng.random() < _BRIGHT_FRAC:  # picking inverts these, so a network never sees them
        effects, xy_px = replace(effects, is_inverted=True), xy_px[:0]
    return _make_field(apply_effects(rng, image, effects), xy_px, molecule, pixel_ang)


def simulate_session(domain: Domain, seed: Sequence[int], field_count: int) -> list[SimulatedField]:
    """Simulate several fields that share molecule, microscope and artefacts; none is empty.

    Args:
        domain: Distribution to draw from.
        seed: Integers that determine the fields completely.
        field_count: Number of fields.
    """
    rng = np.random.default_rng(seed)
    molecule, pixel_ang = _draw_molecule_and_scale(rng, domain)
    settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    while not settings.particles:
        settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    effects, fields = draw_effects(rng), []
    for index in range(field_count):
        image, xy_px = _simulate_image(settings, molecule, index)
        fields.append(_make_field(apply_effects(rng, image, effects), xy_px, molecule, pixel_ang))
    return fields


def simulate_random_scene(
    domain: Domain, seed: Sequence[int], pixel_size_ang: tuple[float, float]
) -> Scene:
    """Simulate a field without noise, with a pixel size that does not depend on the molecule.

    Args:
        domain: Distribution to draw from; its diameter has no effect.
        seed: Integers that determine the field completely.
        pixel_size_ang: Range of the pixel size, from which it is drawn on a logarithmic scale.
            Particles of more than a third of the field are drawn at a larger one.
    """
    rng = np.random.default_rng(seed)
    molecule = _draw_molecule(rng, domain.molecules)
    pixel_ang = float(np.exp(rng.uniform(*np.log(pixel_size_ang))))
    pixel_ang = max(pixel_ang, 3 * molecule.diameter_ang / domain.side_px)
    molecule = molecule.stretch(np.exp(0.08 * rng.normal(size=3)), _GRAIN_PX * pixel_ang)
    settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    scene = None
    while scene is None:
        try:
            scene = simulate_scene(settings, molecule, 0)
        except SettingsError:  # too many particles of this size for the field
            settings = replace(settings, particles=settings.particles * 3 // 4)
    return scene


def _draw_molecule_and_scale(rng: np.random.Generator, domain: Domain) -> tuple[Molecule, float]:
    """Draw a molecule and the pixel size that follows from an imprecise diameter.

    Users enter the longest extent, or both sides of elongated particles, whose geometric mean
    then sets the scale.
    """
    molecule = _draw_molecule(rng, domain.molecules)
    log_ratio = np.log(_mean_extent_ang(molecule) / molecule.diameter_ang)
    size = rng.choice(list(_SIZE_FRACS), p=list(_SIZE_FRACS.values()))
    mean_weight = {"length": 0.0, "mean": 1.0, "between": float(rng.random())}[size]
    error = float(np.clip(_LOG_DIAMETER_SD * rng.normal(), -_MAX_LOG_DIAMETER, _MAX_LOG_DIAMETER))
    entered_ang = molecule.diameter_ang * float(np.exp(mean_weight * log_ratio + error))
    width_ang = _mean_extent_ang(molecule) ** 2 / molecule.diameter_ang
    largest_ang = min(100.0, max(width_ang / _MIN_WIDTH_PX, 0.5))
    pixel_ang = float(np.clip(entered_ang / domain.diameter_px, 0.5, largest_ang))
    stretch = np.exp(0.08 * rng.normal(size=3))
    return molecule.stretch(stretch, _GRAIN_PX * pixel_ang), pixel_ang


def _mean_extent_ang(molecule: Molecule) -> float:
    """Compute the geometric mean of the two longest extents along the principal axes."""
    axes = np.linalg.svd(molecule.xyz_ang, full_matrices=False)[2]
    extents = np.sort(np.ptp(molecule.xyz_ang @ axes.T, axis=0) + molecule.blur_ang)
    return float(min(np.sqrt(extents[-1] * extents[-2]), molecule.diameter_ang))


def _simulate_image(
    settings: SimulationSettings, molecule: Molecule, index: int
) -> tuple[Float32[np.ndarray, "side side"], Float[np.ndarray, "particles 2"]]:
    """Simulate an image of mean 0 and standard deviation 1, with fewer particles if crowded."""
    micrograph = None
    while micrograph is None:
        try:
            micrograph = simulate_micrograph(settings, molecule, index)
        except SettingsError:  # too many particles of this size for the field
            settings = replace(settings, particles=settings.particles * 3 // 4)
    image = micrograph.image - micrograph.image.mean()
    return image / (image.std() + np.float32(1e-9)), micrograph.xy_px


def _make_field(
    image: Float32[np.ndarray, "side side"],
    xy_px: Float[np.ndarray, "particles 2"],
    molecule: Molecule,
    pixel_ang: float,
) -> SimulatedField:
    return SimulatedField(
        image=image.astype(np.float32),
        xy_px=xy_px,
        pixel_size_ang=pixel_ang,
        molecule=molecule.name,
        diameter_ang=molecule.diameter_ang,
    )


def _draw_molecule(rng: np.random.Generator, molecules: Sequence[Molecule]) -> Molecule:
    """Draw a procedural molecule, or a real one with random proportions."""
    if not molecules or rng.random() < _PROCEDURAL_FRAC:
        return draw_molecule(rng)
    molecule = molecules[int(rng.integers(len(molecules)))]
    if rng.random() < 0.1:
        molecule = add_belt(rng, molecule)
    return molecule.stretch(np.exp(0.15 * rng.normal(size=3)))


def _draw_settings(
    rng: np.random.Generator, molecule: Molecule, pixel_ang: float, side_px: int
) -> SimulationSettings:
    """Draw the microscope, the specimen and their artefacts."""

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def value_or_zero(probability: float, value: float) -> float:
        return value if rng.random() < probability else 0.0

    # Densities are per extent², so that fields of large and small particles look alike.
    extent_ang = _mean_extent_ang(molecule)
    area_diameters = (side_px * pixel_ang / extent_ang) ** 2
    particles = _draw_particle_count(rng, area_diameters)
    # Junk is relative to the particles: an object alone is no likelier to be junk than in a crowd.
    junk = particles or area_diameters * log_uniform(0.03, 0.7)
    dirt = min(1.0, junk / (0.03 * area_diameters))
    thin_frac = (extent_ang / molecule.diameter_ang) ** rng.random()
    defocus = log_uniform(0.5, 5.0)
    amplitude_contrast = float(rng.uniform(0.05, 0.2))
    if rng.random() < _STRONG_AMPLITUDE_FRAC:
        defocus, amplitude_contrast = log_uniform(0.1, 1.5), float(rng.uniform(0.3, 0.95))
    thickness_ang = log_uniform(150.0, 2500.0)
    optical_depth_variation = log_uniform(0.001, 0.05)  # independent of the ice thickness
    has_carbon = rng.random() < 0.15
    is_clean = rng.random() < _CLEAN_FRAC
    settings = SimulationSettings(
        width_px=side_px,
        height_px=side_px,
        pixel_size_ang=pixel_ang,
        molecule=molecule.name,
        particles=particles,
        min_distance_frac=float(rng.uniform(0.6, 1.1)) * thin_frac,
        overlapping_frac=float(rng.choice([0.0, 0.05, 0.3])),
        preferred_frac=float(rng.choice([0.0, 0.5, 0.9], p=[0.6, 0.2, 0.2])),
        defocus_um=(defocus, defocus),
        astigmatism_um=0.05,
        voltage_kv=float(rng.choice([200.0, 300.0])),
        amplitude_contrast=amplitude_contrast,
        b_factor_ang2=log_uniform(50.0, 500.0),
        drift_ang=value_or_zero(0.1, float(rng.uniform(0.3, 1.5) * pixel_ang)),
        dose_e_per_ang2=log_uniform(8.0, 120.0),
        ice_thickness_ang=thickness_ang,
        ice_variation_frac=min(0.4, optical_depth_variation * 3000 / thickness_ang),
        mtf_nyquist=float(rng.uniform(0.6, 1.0)),
        nps_nyquist=float(rng.uniform(0.7, 1.0)),
        gain_error_frac=0.0,
        broken=value_or_zero(0.6, junk * log_uniform(0.02, 1.0)),
        aggregates=value_or_zero(0.4, dirt * log_uniform(0.3, 5.0)),
        contaminants=value_or_zero(0.55, dirt * log_uniform(0.5, 15.0)),
        contaminant_radius_ang=(2.5 * pixel_ang, 40 * pixel_ang),
        specks=value_or_zero(0.5, junk * log_uniform(0.02, 0.6)),
        crystals=value_or_zero(0.2, log_uniform(0.5, 4.0)),
        gold=value_or_zero(0.06, log_uniform(1.0, 15.0)),
        carbon_prob=float(has_carbon),
        carbon_area_frac=(0.05, 0.9),
        seed=int(rng.integers(2**31)),
    )
    return settings.without_junk() if is_clean else settings


def _draw_particle_count(rng: np.random.Generator, area_diameters: float) -> int:
    """Draw the number of particles: none, log-uniform from one to crowded, or crowded."""
    kind = rng.random()
    if kind < _EMPTY_FRAC:
        return 0
    most = max(0.8 * area_diameters, 2.0)
    least = 0.2 * area_diameters if kind < _EMPTY_FRAC + _CROWDED_FRAC else 1.0
    return max(1, round(np.exp(rng.uniform(np.log(min(least, most)), np.log(most)))))
