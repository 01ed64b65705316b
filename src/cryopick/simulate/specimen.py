"""The specimen of one micrograph: what lies where, as a map of phase.

- `Specimen`: phase and loss over the canvas, the particles and the junk.
- `draw_specimen`: a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.simulate.background import Carbon, draw_carbon
from cryopick.simulate.ctf import interaction_rad
from cryopick.simulate.filaments import draw_filaments, subunits
from cryopick.simulate.junk import aggregate, broken_molecule, contaminant, crystal, gold_bead
from cryopick.simulate.layout import Canvas, Ground
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, Molecule
from cryopick.simulate.settings import SimulationSettings
from cryopick.simulate.views import alike_rotations, paint, random_rotations

__all__ = ["Specimen", "draw_specimen"]

_PROTEIN_OVER_ICE_V = 2.0  # inner potential of protein, 6.5 V, less that of the ice it displaces
_ICE_OVER_VACUUM_V = 4.5
_MOST_LOSS = 0.95  # of the intensity: nothing is blacker
_VIEW_SPREAD_RAD = 0.15
_SPECK_RADIUS = (0.15, 0.5)  # in diameters of the particle
_GOLD_RADIUS_ANG = (25.0, 75.0)
_CRYSTAL_RADIUS_ANG = (300.0, 1200.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Specimen:
    """What the beam passes through, apart from the ice.

    Attributes:
        phase: Phase shift in radians, not yet blurred by `blur_ang`.
        blur_ang: Gaussian blur that makes grains of mass into molecules.
        loss: Share of the intensity lost to diffraction; negative where it is gained.
        xy_px: Centres of the intact particles on the canvas, also in its margin; or places
            along filaments.
        truth: Further columns that go with them: of filaments, which and in what direction.
        junk: Centres of everything else, by kind.
        carbon: Where the foil is.
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
    """Lay out foil, ice junk, aggregates, fragments and particles, in this order.

    Each keeps clear of what was there before, so that no particle is hidden by junk or lies
    on the foil.
    """
    foil_rng, ice_rng, clump_rng, broken_rng, whole_rng = rng.spawn(5)
    phase = np.zeros(canvas.shape)
    loss = np.zeros(canvas.shape, np.float32)
    carbon = _foil(foil_rng, settings, canvas)
    covered = np.zeros(canvas.shape, np.bool_)
    if np.isfinite(carbon.radius_px):
        foil, covered = carbon.phase(foil_rng, canvas, settings.voltage_kv)
        phase += foil
    reach_px = molecule.diameter_ang / 2 / canvas.pixel_size_ang
    ground = Ground(
        canvas=canvas,
        is_free=lambda xy: carbon.depth_px(xy[:, 0], xy[:, 1]) < -reach_px,
    )
    protein = _Protein(settings, molecule, canvas, phase)
    junk = {
        **_surface_ice(ice_rng, settings, molecule.diameter_ang, ground, phase, loss),
        "aggregate": protein.clumps(clump_rng, ground),
        "broken": protein.fragments(broken_rng, ground),
    }
    np.clip(loss, None, _MOST_LOSS, out=loss)
    truth: Mapping[str, Float[np.ndarray, " particles"]] = {}
    if settings.filaments:
        xy_px, truth = protein.filaments(whole_rng)
    else:
        hole_frac = 1 - float(np.mean(canvas.crop(covered)))
        xy_px = protein.particles(whole_rng, ground, round(settings.particles * hole_frac))
    return Specimen(
        phase=phase,
        blur_ang=molecule.blur_ang,
        loss=loss,
        xy_px=xy_px,
        truth=truth,
        junk=junk,
        carbon=covered,
    )


def _foil(rng: np.random.Generator, settings: SimulationSettings, canvas: Canvas) -> Carbon:
    if rng.random() < settings.carbon_prob:
        return draw_carbon(rng, canvas, settings.carbon_area_frac)
    return Carbon.nowhere()


def _surface_ice(
    rng: np.random.Generator,
    settings: SimulationSettings,
    diameter_ang: float,
    ground: Ground,
    phase: Float[np.ndarray, "height width"],
    loss: Float32[np.ndarray, "height width"],
) -> dict[str, Float[np.ndarray, "n 2"]]:
    """Paint crystalline patches and contaminants, and take the ground they lie on."""
    pixel_ang = settings.pixel_size_ang
    speck_radius_ang = (_SPECK_RADIUS[0] * diameter_ang, _SPECK_RADIUS[1] * diameter_ang)
    places = {}
    for kind, mean, (least_ang, most_ang) in (
        ("crystal", settings.crystals, _CRYSTAL_RADIUS_ANG),
        ("contaminant", settings.contaminants, settings.contaminant_radius_ang),
        ("gold", settings.gold, _GOLD_RADIUS_ANG),
        ("speck", settings.specks, speck_radius_ang),
    ):
        count = int(rng.poisson(mean))
        radius_px = least_ang * (most_ang / least_ang) ** rng.uniform(size=count) / pixel_ang
        places[kind] = ground.canvas.draw(rng, count)
        ground.take(places[kind], 1.1 * radius_px)
        for (x, y), radius in zip(places[kind], radius_px, strict=True):
            if kind == "crystal":
                patch, diffracted = crystal(rng, radius, pixel_ang)
                _add(loss, diffracted, x, y)
            elif kind == "gold":
                patch = gold_bead(radius)
                _add(loss, patch, x, y)
            else:
                volts = _ICE_OVER_VACUUM_V * radius * pixel_ang * rng.uniform(0.5, 1.0)
                most = 1.0 * rng.uniform(0.3, 1.0)  # thicker ones would be black
                peak = min(interaction_rad(settings.voltage_kv) * volts, most)
                patch = contaminant(rng, radius) * np.float32(peak)
            _add(phase, patch, x, y)
    return places


def _add(
    image: Float[np.ndarray, "height width"],
    patch: Float[np.ndarray, "side side"],
    x: float,
    y: float,
) -> None:
    """Add a patch around a position, without what falls outside."""
    half = patch.shape[0] // 2
    top, left = round(y) - half, round(x) - half
    up, before = max(-top, 0), max(-left, 0)
    target = image[max(top, 0) : top + patch.shape[0], max(left, 0) : left + patch.shape[1]]
    target += patch[up : up + target.shape[0], before : before + target.shape[1]]


@dataclass(frozen=True, eq=False)
class _Protein:
    """Places and paints molecules and what becomes of them."""

    settings: SimulationSettings
    molecule: Molecule
    canvas: Canvas
    phase: Float[np.ndarray, "height width"]

    def particles(
        self, rng: np.random.Generator, ground: Ground, count: int
    ) -> Float[np.ndarray, "placed 2"]:
        """Intact molecules: `count` on the micrograph, and as densely in the margin."""
        settings = self.settings
        radius = settings.min_distance_frac * self.molecule.diameter_ang / 2
        (height, width), (inner_height, inner_width) = self.canvas.shape, self.canvas.inner
        around = round(count * (height * width / (inner_height * inner_width) - 1))
        placed = []
        for number, inside in ((count, True), (around, False)):
            crowd = np.where(rng.random(number) < settings.overlapping_frac, 0.5, 1.0)
            radius_px = crowd * (radius / self.canvas.pixel_size_ang)
            placed.append(ground.scatter(rng, radius_px, inside=inside))
        centres = np.concatenate(placed)
        for centre, rotation in zip(centres, self._rotations(rng, len(centres)), strict=True):
            self._paint(self.molecule.xyz_ang @ rotation.T, self.molecule.mass_da, centre)
        return centres

    def filaments(
        self, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "n 2"], dict[str, Float[np.ndarray, " n"]]]:
        """Helices along smooth curves, which may cross; places along them, and their columns."""
        scale = self.molecule.diameter_ang / self.canvas.pixel_size_ang
        tracks = draw_filaments(rng, self.canvas, self.settings.filaments, scale)
        for track in tracks:
            for centre, rotation in subunits(rng, track, scale):
                self._paint(self.molecule.xyz_ang @ rotation.T, self.molecule.mass_da, centre)
        places = [track.places(scale / 4) for track in tracks]
        columns = {
            "filament": np.concatenate([np.full(len(p), i + 1.0) for i, p in enumerate(places)]),
            "direction_deg": np.concatenate([place[:, 2] for place in places]),
        }
        return np.concatenate(places)[:, :2], columns

    def _rotations(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "{count} 3 3"]:
        """Orientations, a share of them alike; which view that is follows from the seed alone."""
        rotations = random_rotations(rng, count)
        if self.settings.preferred_frac:
            view = random_rotations(np.random.default_rng([self.settings.seed, 0, 1]), 1)[0]
            alike = rng.random(count) < self.settings.preferred_frac
            spread = _VIEW_SPREAD_RAD
            rotations[alike] = alike_rotations(rng, int(alike.sum()), view, spread)
        return rotations

    def fragments(self, rng: np.random.Generator, ground: Ground) -> Float[np.ndarray, "n 2"]:
        """Broken molecules, which take less room than whole ones."""
        count = int(rng.poisson(self.settings.broken))
        radius_px = 0.3 * self.molecule.diameter_ang / self.canvas.pixel_size_ang
        centres = ground.scatter(rng, np.full(count, radius_px), inside=True)
        for centre, rotation in zip(centres, random_rotations(rng, len(centres)), strict=True):
            grains, mass = broken_molecule(rng, self.molecule)
            self._paint(grains @ rotation.T, mass, centre)
        return centres

    def clumps(self, rng: np.random.Generator, ground: Ground) -> Float[np.ndarray, "n 2"]:
        """Aggregates, each on ground of its own, as far as it reaches."""
        centres = self.canvas.draw(rng, int(rng.poisson(self.settings.aggregates)))
        centres = centres[ground.is_free(centres)]
        for centre in centres:
            grains, mass = aggregate(rng, self.molecule)
            self._paint(grains, mass, centre)
            reach = np.hypot(grains[:, 0], grains[:, 1]).max() / self.canvas.pixel_size_ang
            ground.take(centre[None], np.array([reach]))
        return centres

    def _paint(
        self,
        grains_ang: Float[np.ndarray, "grains 3"],
        mass_da: Float[np.ndarray, " grains"],
        centre: Float[np.ndarray, "2"],
    ) -> None:
        pixel_ang = self.canvas.pixel_size_ang
        per_da = interaction_rad(self.settings.voltage_kv) * (
            _PROTEIN_OVER_ICE_V / PROTEIN_DA_PER_ANG3 / pixel_ang**2
        )
        paint(self.phase, grains_ang[:, :2] / pixel_ang + centre, mass_da * per_da)
