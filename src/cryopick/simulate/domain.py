"""Micrographs of every kind: each with a molecule, a microscope and faults of its own.

A network that has seen them all picks on real micrographs it was never trained on. A field is
simulated right at the scale of the network, at a few milliseconds per particle, so that it
can be streamed and need not be stored. A field depends on its seed alone.

- `Field`: an image at the working scale, with its particles.
- `Domain`: the molecules to draw from.
- `simulate_field`: the field of a seed.
- `simulate_session`: several of one molecule and microscope.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import SettingsError
from cryopick.simulate.effects import apply_effects, draw_effects
from cryopick.simulate.micrograph import simulate_micrograph
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.procedural import draw_molecule, with_belt
from cryopick.simulate.settings import SimulationSettings

__all__ = ["Domain", "Field", "simulate_field", "simulate_session"]

_SCALE_SPREAD = 0.14  # users give a diameter to about this, as a logarithm
_GRAIN_PX = 0.5  # grains as coarse as the pixels can show
_PROCEDURAL = 0.5  # share of the molecules that are drawn, where there are others
_EMPTY = 0.2  # share of the fields without a particle


@dataclass(frozen=True, eq=False, kw_only=True)
class Field:
    """A simulated image at the scale of a network.

    Attributes:
        image: Any intensity scale, dense objects mostly dark.
        xy_px: Centres of the particles on it.
        pixel_size_ang: Its sampling.
        molecule: What the particles are.
        diameter_ang: Their longest extent.
    """

    image: Float32[np.ndarray, "side side"]
    xy_px: Float[np.ndarray, "particles 2"]
    pixel_size_ang: float
    molecule: str
    diameter_ang: float


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Where fields are drawn from.

    Attributes:
        molecules: Real molecules to draw from beside the drawn ones; may be none.
        diameter_px: Pixels across a particle, before the scale is varied.
        side_px: Side of a field.
    """

    molecules: Sequence[Molecule] = ()
    diameter_px: float = 17.0
    side_px: int = 384


def simulate_field(domain: Domain, seed: Sequence[int]) -> Field:
    """Simulate the field of a seed.

    Args:
        domain: Where to draw from.
        seed: Whole numbers from which everything follows.
    """
    rng = np.random.default_rng(seed)
    molecule, pixel_ang = _draw_scaled(rng, domain)
    settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    image, xy_px = _exposed(settings, molecule, 0)
    effects = draw_effects(rng, is_bad=not settings.particles)
    return _finished(apply_effects(rng, image, effects), xy_px, molecule, pixel_ang)


def simulate_session(domain: Domain, seed: Sequence[int], fields: int) -> list[Field]:
    """Simulate several fields of one molecule, microscope and faults, all with particles.

    Args:
        domain: Where to draw from.
        seed: Whole numbers from which everything follows.
        fields: How many.
    """
    rng = np.random.default_rng(seed)
    molecule, pixel_ang = _draw_scaled(rng, domain)
    settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    while not settings.particles:
        settings = _draw_settings(rng, molecule, pixel_ang, domain.side_px)
    effects, made = draw_effects(rng), []
    for index in range(fields):
        image, xy_px = _exposed(settings, molecule, index)
        made.append(_finished(apply_effects(rng, image, effects), xy_px, molecule, pixel_ang))
    return made


def _draw_scaled(rng: np.random.Generator, domain: Domain) -> tuple[Molecule, float]:
    """A molecule, and a pixel size that suits the diameter that a user would give."""
    molecule = _draw_molecule(rng, domain.molecules)
    scale = float(np.exp(_SCALE_SPREAD * rng.normal()))
    pixel_ang = float(np.clip(molecule.diameter_ang / domain.diameter_px * scale, 0.5, 100))
    stretch = np.exp(0.08 * rng.normal(size=3))
    return molecule.stretched(stretch, _GRAIN_PX * pixel_ang), pixel_ang


def _exposed(
    settings: SimulationSettings, molecule: Molecule, index: int
) -> tuple[Float32[np.ndarray, "side side"], Float[np.ndarray, "particles 2"]]:
    """An image of mean 0 and spread 1, with as many particles as there is room for."""
    made = None
    while made is None:
        try:
            made = simulate_micrograph(settings, molecule, index)
        except SettingsError:  # too crowded for this molecule
            settings = replace(settings, particles=settings.particles * 3 // 4)
    image = made.image - made.image.mean()
    return image / (image.std() + np.float32(1e-9)), made.xy_px


def _finished(
    image: Float32[np.ndarray, "side side"],
    xy_px: Float[np.ndarray, "particles 2"],
    molecule: Molecule,
    pixel_ang: float,
) -> Field:
    return Field(
        image=image.astype(np.float32),
        xy_px=xy_px,
        pixel_size_ang=pixel_ang,
        molecule=molecule.name,
        diameter_ang=molecule.diameter_ang,
    )


def _draw_molecule(rng: np.random.Generator, molecules: Sequence[Molecule]) -> Molecule:
    """A molecule that was given, in other proportions, or one that nobody has seen."""
    if not molecules or rng.random() < _PROCEDURAL:
        return draw_molecule(rng)
    molecule = molecules[int(rng.integers(len(molecules)))]
    if rng.random() < 0.1:
        molecule = with_belt(rng, molecule)
    return molecule.stretched(np.exp(0.15 * rng.normal(size=3)))


def _draw_settings(
    rng: np.random.Generator, molecule: Molecule, pixel_ang: float, side_px: int
) -> SimulationSettings:
    """A microscope, its specimen and their faults."""

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def sometimes(chance: float, mean: float) -> float:
        return mean if rng.random() < chance else 0.0

    # Objects per area are drawn as objects per (diameter)²: a field shows as much of each.
    squares = (side_px * pixel_ang / molecule.diameter_ang) ** 2
    particles = 0 if rng.random() < _EMPTY else round(squares * log_uniform(0.03, 0.7))
    defocus = log_uniform(0.7, 4.0)
    thickness_ang = log_uniform(150.0, 2500.0)
    unevenness = log_uniform(0.001, 0.05)  # in optical depth, whatever the thickness
    has_foil = rng.random() < 0.15
    return SimulationSettings(
        width_px=side_px,
        height_px=side_px,
        pixel_size_ang=pixel_ang,
        molecule=molecule.name,
        particles=particles,
        min_distance_frac=float(rng.uniform(0.6, 1.1)),
        overlapping_frac=float(rng.choice([0.0, 0.05, 0.3])),
        preferred_frac=float(rng.choice([0.0, 0.5, 0.9], p=[0.6, 0.2, 0.2])),
        defocus_um=(defocus, defocus),
        astigmatism_um=0.05,
        voltage_kv=float(rng.choice([200.0, 300.0])),
        amplitude_contrast=float(rng.uniform(0.05, 0.2)),
        b_factor_ang2=log_uniform(50.0, 500.0),
        drift_ang=sometimes(0.1, float(rng.uniform(0.3, 1.5) * pixel_ang)),
        dose_e_per_ang2=log_uniform(8.0, 80.0),
        ice_thickness_ang=thickness_ang,
        ice_variation_frac=min(0.4, unevenness * 3000 / thickness_ang),
        mtf_nyquist=float(rng.uniform(0.6, 1.0)),
        nps_nyquist=float(rng.uniform(0.7, 1.0)),
        gain_error_frac=0.0,
        broken=sometimes(0.6, squares * log_uniform(0.003, 0.15)),
        aggregates=sometimes(0.4, log_uniform(0.3, 5.0)),
        contaminants=sometimes(0.55, log_uniform(0.5, 15.0)),
        contaminant_radius_ang=(2.5 * pixel_ang, 40 * pixel_ang),
        specks=sometimes(0.5, squares * log_uniform(0.003, 0.08)),
        crystals=sometimes(0.2, log_uniform(0.5, 4.0)),
        gold=sometimes(0.06, log_uniform(1.0, 15.0)),
        carbon_prob=float(has_foil),
        carbon_area_frac=(0.05, 0.9),
        seed=int(rng.integers(2**31)),
    )
