"""The specimen of a micrograph: a map of the phase shift, with particles, junk and carbon.

- `Specimen`: phase and loss over the canvas, positions of particles and junk.
- `draw_specimen`: draw a specimen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.simulate.background import Carbon, draw_carbon
from cryopick.simulate.ctf import interaction_rad
from cryopick.simulate.filaments import draw_filaments, place_subunits
from cryopick.simulate.junk import (
    draw_aggregate,
    draw_contaminant,
    draw_crystal,
    draw_drop,
    draw_fragment,
    draw_gold_bead,
)
from cryopick.simulate.layout import Canvas, DiscPacking
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, Molecule
from cryopick.simulate.settings import SimulationSettings
from cryopick.simulate.views import (
    convert_to_euler_angles,
    deposit_mass,
    draw_rotations,
    draw_similar_rotations,
)

__all__ = ["Specimen", "draw_specimen"]

_PROTEIN_OVER_ICE_V = 2.0  # inner potential of protein, 6.5 V, less that of the ice it displaces
_ICE_OVER_VACUUM_V = 4.5
_MEAN_FREE_PATH_ANG = 3000.0  # of inelastic scattering in ice
_MAX_LOSS = 0.95  # of the intensity
_VIEW_SD_RAD = 0.15  # tilt around the preferred view
_SPECK_RADIUS = (0.15, 0.5)  # in particle diameters
_DROP_RADIUS = (0.2, 1.0)
_GOLD_RADIUS_ANG = (25.0, 75.0)
_CRYSTAL_RADIUS_ANG = (300.0, 1200.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Specimen:
    """The specimen of a micrograph without the ice.

    Attributes:
        phase: Phase shift in radians, before the blur `blur_ang`.
        blur_ang: Standard deviation of the Gaussian blur of the grains.
        loss: Fraction of the intensity lost by diffraction; may be negative.
        xy_px: Centres of the intact particles on the canvas including its margin, or positions
            along filaments.
        truth: Further columns of the same length: orientation of the particle, or number and
            direction of the filament.
        junk: Centres of all other objects, by kind.
        carbon: Mask of the carbon foil.
    """

    phase: Float[np.ndarray, "height width"]
    blur_ang: float
    loss: Float32[np.ndarray, "height width"]
    xy_px: Float[np.ndarray, "particles 2"]
    truth: Mapping[str, Float[np.ndarray, " particles"]]
    junk: Mapping[str, Float[np.ndarray, "n 2"]]
    carbon: Bool[np.ndarray, "height width"]


def draw_specimen(
    rng: np.random.Generator, settings: SimulationSettings, molecule: Molecule, canvas: Canvas
) -> Specimen:
    """Place foil, surface ice, aggregates, fragments and particles, in this order.

    Each object avoids the earlier ones, so no particle is on junk or on the foil.
    """
    foil_rng, ice_rng, aggregate_rng, fragment_rng, particle_rng = rng.spawn(5)
    phase = np.zeros(canvas.shape)
    loss = np.zeros(canvas.shape, np.float32)
    carbon = _draw_carbon_or_none(foil_rng, settings, canvas)
    covered = np.zeros(canvas.shape, np.bool_)
    if np.isfinite(carbon.radius_px):
        foil, covered = carbon.phase(foil_rng, canvas, settings.voltage_kv)
        phase += foil
    radius_px = molecule.diameter_ang / 2 / canvas.pixel_size_ang
    packing = DiscPacking(
        canvas=canvas,
        is_free=lambda xy: carbon.depth_px(xy[:, 0], xy[:, 1]) < -radius_px,
    )
    placer = _ProteinPlacer(settings, molecule, canvas, phase)
    junk = {
        **_add_surface_ice(ice_rng, settings, molecule.diameter_ang, packing, phase, loss),
        "aggregate": placer.add_aggregates(aggregate_rng, packing),
        "broken": placer.add_fragments(fragment_rng, packing),
    }
    np.clip(loss, None, _MAX_LOSS, out=loss)
    truth: Mapping[str, Float[np.ndarray, " particles"]] = {}
    if settings.filaments:
        xy_px, truth = placer.add_filaments(particle_rng)
    else:
        hole_frac = 1 - float(np.mean(canvas.crop(covered)))
        xy_px, truth = placer.add_particles(
            particle_rng, packing, round(settings.particles * hole_frac)
        )
    return Specimen(
        phase=phase,
        blur_ang=molecule.blur_ang,
        loss=loss,
        xy_px=xy_px,
        truth=truth,
        junk=junk,
        carbon=covered,
    )


def _draw_carbon_or_none(
    rng: np.random.Generator, settings: SimulationSettings, canvas: Canvas
) -> Carbon:
    if rng.random() < settings.carbon_prob:
        return draw_carbon(rng, canvas, settings.carbon_area_frac)
    return Carbon.absent()


def _add_surface_ice(
    rng: np.random.Generator,
    settings: SimulationSettings,
    diameter_ang: float,
    packing: DiscPacking,
    phase: Float[np.ndarray, "height width"],
    loss: Float32[np.ndarray, "height width"],
) -> dict[str, Float[np.ndarray, "n 2"]]:
    """Add crystalline ice, contaminants, gold and specks, and reserve their areas."""
    pixel_ang = settings.pixel_size_ang
    speck_radius_ang = (_SPECK_RADIUS[0] * diameter_ang, _SPECK_RADIUS[1] * diameter_ang)
    drop_radius_ang = (_DROP_RADIUS[0] * diameter_ang, _DROP_RADIUS[1] * diameter_ang)
    positions = {}
    for kind, mean, (min_ang, max_ang) in (
        ("crystal", settings.crystals, _CRYSTAL_RADIUS_ANG),
        ("contaminant", settings.contaminants, settings.contaminant_radius_ang),
        ("gold", settings.gold, _GOLD_RADIUS_ANG),
        ("speck", settings.specks, speck_radius_ang),
        ("drop", settings.drops, drop_radius_ang),
    ):
        count = int(rng.poisson(mean))
        radius_px = min_ang * (max_ang / min_ang) ** rng.uniform(size=count) / pixel_ang
        positions[kind] = packing.canvas.draw(rng, count)
        packing.add(positions[kind], 1.1 * radius_px)
        for (x, y), radius in zip(positions[kind], radius_px, strict=True):
            if kind == "crystal":
                patch, lost = draw_crystal(rng, radius, pixel_ang)
            elif kind == "gold":
                patch = lost = draw_gold_bead(radius)
            else:
                patch, lost = _draw_ice(rng, settings, radius, is_drop=kind == "drop")
            _add_patch(phase, patch, x, y)
            _add_patch(loss, lost, x, y)
    return positions


def _draw_ice(
    rng: np.random.Generator, settings: SimulationSettings, radius_px: float, *, is_drop: bool
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Draw the phase of a piece of ice and the loss of intensity, which only drops have."""
    radius_ang = radius_px * settings.pixel_size_ang
    volts = _ICE_OVER_VACUUM_V * radius_ang * rng.uniform(0.5, 1.0)
    max_phase = 1.0 * rng.uniform(0.3, 1.0)  # larger phases would appear black
    peak = np.float32(min(interaction_rad(settings.voltage_kv) * volts, max_phase))
    if not is_drop:
        thickness = draw_contaminant(rng, radius_px)
        return thickness * peak, np.zeros_like(thickness)
    thickness = draw_drop(rng, radius_px)
    scattered = 2 * radius_ang * rng.uniform(0.3, 1.5) / _MEAN_FREE_PATH_ANG
    return thickness * peak, thickness * np.float32(1 - np.exp(-scattered))


def _add_patch(
    image: Float[np.ndarray, "height width"],
    patch: Float[np.ndarray, "side side"],
    x: float,
    y: float,
) -> None:
    """Add a patch centred on a position, cropped to the image, in place."""
    half = patch.shape[0] // 2
    top, left = round(y) - half, round(x) - half
    first_row, first_column = max(-top, 0), max(-left, 0)
    target = image[max(top, 0) : top + patch.shape[0], max(left, 0) : left + patch.shape[1]]
    target += patch[
        first_row : first_row + target.shape[0], first_column : first_column + target.shape[1]
    ]


@dataclass(frozen=True, eq=False)
class _ProteinPlacer:
    """Placement of molecules, fragments, aggregates and filaments on the phase map."""

    settings: SimulationSettings
    molecule: Molecule
    canvas: Canvas
    phase: Float[np.ndarray, "height width"]

    def add_particles(
        self, rng: np.random.Generator, packing: DiscPacking, count: int
    ) -> tuple[Float[np.ndarray, "placed 2"], dict[str, Float[np.ndarray, " placed"]]]:
        """Add `count` intact molecules on the micrograph, and at equal density in the margin.

        Returns:
            Their centres, and their orientations as Euler angles.
        """
        settings = self.settings
        radius = settings.min_distance_frac * self.molecule.diameter_ang / 2
        (height, width), (inner_height, inner_width) = self.canvas.shape, self.canvas.inner
        margin_count = round(count * (height * width / (inner_height * inner_width) - 1))
        placed = []
        for number, inside in ((count, True), (margin_count, False)):
            scale = np.where(rng.random(number) < settings.overlapping_frac, 0.5, 1.0)
            radius_px = scale * (radius / self.canvas.pixel_size_ang)
            placed.append(packing.scatter(rng, radius_px, inside=inside))
        centres = np.concatenate(placed)
        rotations = self._draw_orientations(rng, len(centres))
        for centre, rotation in zip(centres, rotations, strict=True):
            self._add_phase(self.molecule.xyz_ang @ rotation.T, self.molecule.mass_da, centre)
        return centres, convert_to_euler_angles(rotations)

    def add_filaments(
        self, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "n 2"], dict[str, Float[np.ndarray, " n"]]]:
        """Add helices, which may cross; return positions along them and further columns."""
        scale = self.molecule.diameter_ang / self.canvas.pixel_size_ang
        axes = draw_filaments(rng, self.canvas, self.settings.filaments, scale)
        for axis in axes:
            for centre, rotation in place_subunits(rng, axis, scale):
                self._add_phase(self.molecule.xyz_ang @ rotation.T, self.molecule.mass_da, centre)
        samples = [axis.sample(scale / 4) for axis in axes]
        columns = {
            "filament": np.concatenate([np.full(len(s), i + 1.0) for i, s in enumerate(samples)]),
            "direction_deg": np.concatenate([sample[:, 2] for sample in samples]),
        }
        return np.concatenate(samples)[:, :2], columns

    def _draw_orientations(
        self, rng: np.random.Generator, count: int
    ) -> Float[np.ndarray, "{count} 3 3"]:
        """Draw orientations; a fraction has the preferred view, which depends on the seed only."""
        rotations = draw_rotations(rng, count)
        if self.settings.preferred_frac:
            view = draw_rotations(np.random.default_rng([self.settings.seed, 0, 1]), 1)[0]
            is_preferred = rng.random(count) < self.settings.preferred_frac
            rotations[is_preferred] = draw_similar_rotations(
                rng, int(is_preferred.sum()), view, _VIEW_SD_RAD
            )
        return rotations

    def add_fragments(
        self, rng: np.random.Generator, packing: DiscPacking
    ) -> Float[np.ndarray, "n 2"]:
        """Add broken molecules, which occupy a smaller area than intact ones."""
        count = int(rng.poisson(self.settings.broken))
        radius_px = 0.3 * self.molecule.diameter_ang / self.canvas.pixel_size_ang
        centres = packing.scatter(rng, np.full(count, radius_px), inside=True)
        for centre, rotation in zip(centres, draw_rotations(rng, len(centres)), strict=True):
            grains, mass = draw_fragment(rng, self.molecule)
            self._add_phase(grains @ rotation.T, mass, centre)
        return centres

    def add_aggregates(
        self, rng: np.random.Generator, packing: DiscPacking
    ) -> Float[np.ndarray, "n 2"]:
        """Add aggregates and reserve their areas."""
        centres = self.canvas.draw(rng, int(rng.poisson(self.settings.aggregates)))
        centres = centres[packing.is_free(centres)]
        for centre in centres:
            grains, mass = draw_aggregate(rng, self.molecule)
            self._add_phase(grains, mass, centre)
            radius_px = np.hypot(grains[:, 0], grains[:, 1]).max() / self.canvas.pixel_size_ang
            packing.add(centre[None], np.array([radius_px]))
        return centres

    def _add_phase(
        self,
        grains_ang: Float[np.ndarray, "grains 3"],
        mass_da: Float[np.ndarray, " grains"],
        centre: Float[np.ndarray, "2"],
    ) -> None:
        pixel_ang = self.canvas.pixel_size_ang
        phase_per_da = interaction_rad(self.settings.voltage_kv) * (
            _PROTEIN_OVER_ICE_V / PROTEIN_DA_PER_ANG3 / pixel_ang**2
        )
        deposit_mass(self.phase, grains_ang[:, :2] / pixel_ang + centre, mass_da * phase_per_da)
