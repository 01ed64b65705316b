"""The specimen of a tomogram: molecules, small proteins, vesicles and gold beads in ice.

The map holds the inner potential in volts above that of ice, averaged over a voxel.

- `Specimen3d`: the map and its particles.
- `draw_specimen`: draw a specimen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cryopick.array_types import Float, Float32, Integer
from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, Molecule
from cryopick.simulate.views import convert_to_euler_angles, draw_rotations
from cryopick.tomograms.simulation.settings import TomogramSettings

__all__ = ["Specimen3d", "draw_specimen"]

_PROTEIN_V, _LIPID_HEAD_V, _GOLD_V = 2.0, 2.0, 25.0  # above ice
_CROWDER_ANG = 60.0
_GOLD_RADIUS_ANG = 50.0
_VESICLE_RADIUS_ANG = (200.0, 450.0)
_LEAFLET_ANG, _LEAFLET_SD_ANG = 20.0, 6.0  # distance of the head groups from the middle
_MAX_TRIES = 60  # rounds of random candidates before placement stops
_GRAIN_FRAC = 0.5  # grain size in voxels


@dataclass(frozen=True, eq=False, kw_only=True)
class Specimen3d:
    """The specimen of a tomogram.

    Attributes:
        volts: Inner potential above that of ice.
        xyz_px: Centres of mass of the particles.
        kind: Index of each particle's molecule.
        angles: Orientation of each particle as RELION's angles.
    """

    volts: Float32[np.ndarray, "depth height width"]
    xyz_px: Float[np.ndarray, "particles 3"]
    kind: Integer[np.ndarray, " particles"]
    angles: Mapping[str, Float[np.ndarray, " particles"]]


@dataclass(kw_only=True)
class _SpherePacking:
    """Spheres in a slab of ice; new ones are added at random without overlap."""

    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]
    xyz_px: Float[np.ndarray, "spheres 3"] = field(default_factory=lambda: np.zeros((0, 3)))
    radius_px: Float[np.ndarray, " spheres"] = field(default_factory=lambda: np.zeros(0))

    def scatter(
        self, rng: np.random.Generator, count: int, radius_px: float, *, edge_px: float
    ) -> Float[np.ndarray, "placed 3"]:
        """Place up to `count` spheres whose centres are at least `edge_px` from the faces."""
        low, high = self.low + edge_px, self.high - edge_px
        if (low >= high).any():
            return np.zeros((0, 3))
        first_new = len(self.xyz_px)
        for _ in range(_MAX_TRIES):
            missing = first_new + count - len(self.xyz_px)
            if missing <= 0:
                break
            for candidate in rng.uniform(low, high, (2 * missing, 3))[: 2 * missing]:
                distance = np.linalg.norm(self.xyz_px - candidate, axis=1)
                is_free = (distance >= self.radius_px + radius_px).all()
                if is_free and len(self.xyz_px) < first_new + count:
                    self.add(candidate, radius_px)
        return self.xyz_px[first_new:]

    def add(self, centre: Float[np.ndarray, "3"], radius_px: float) -> None:
        """Add a sphere without checking for overlap."""
        self.xyz_px = np.concatenate([self.xyz_px, centre[None]])
        self.radius_px = np.append(self.radius_px, radius_px)


def draw_specimen(
    rng: np.random.Generator, settings: TomogramSettings, molecules: Sequence[Molecule]
) -> Specimen3d:
    """Place vesicles, gold beads, particles and small proteins, in this order."""
    voxel_ang = settings.voxel_size_ang
    volts = np.zeros(settings.shape, np.float32)
    margin = (1 - settings.ice_frac) / 2 * settings.depth_px
    size = np.array([settings.width_px, settings.height_px, settings.depth_px], float)
    packing = _SpherePacking(
        low=np.array([0.0, 0.0, margin]), high=size - 1 - np.array([0.0, 0.0, margin])
    )
    _add_vesicles(rng, settings, packing, volts)
    radius = _GOLD_RADIUS_ANG / voxel_ang
    for centre in packing.scatter(rng, settings.gold, radius, edge_px=radius):
        _add_shell(volts, centre, 0.0, radius, _GOLD_V)
    centres, kinds, rotations = [], [], []
    for kind, molecule in enumerate(molecules):
        grains = molecule.stretch(np.ones(3), _GRAIN_FRAC * voxel_ang)
        radius = molecule.diameter_ang / 2 / voxel_ang
        placed = packing.scatter(rng, settings.particles, radius, edge_px=radius / 2)
        turns = draw_rotations(rng, len(placed))
        for centre, turn in zip(placed, turns, strict=True):
            _add_molecule(volts, grains, centre, turn, voxel_ang)
        centres.append(placed)
        kinds.append(np.full(len(placed), kind))
        rotations.append(turns)
    small = builtin_molecule("compact", _CROWDER_ANG)
    radius = 0.8 * _CROWDER_ANG / 2 / voxel_ang
    crowders = packing.scatter(rng, settings.crowders, radius, edge_px=radius)
    for centre, turn in zip(crowders, draw_rotations(rng, len(crowders)), strict=True):
        _add_molecule(volts, small, centre, turn, voxel_ang)
    return Specimen3d(
        volts=volts,
        xyz_px=np.concatenate(centres),
        kind=np.concatenate(kinds),
        angles=convert_to_euler_angles(np.concatenate(rotations)),
    )


def _add_vesicles(
    rng: np.random.Generator,
    settings: TomogramSettings,
    packing: _SpherePacking,
    volts: Float32[np.ndarray, "depth height width"],
) -> None:
    """Add vesicles, whose membranes keep particles away; particles may lie inside them."""
    voxel_ang = settings.voxel_size_ang
    for _ in range(settings.membranes):
        radius = rng.uniform(*_VESICLE_RADIUS_ANG) / voxel_ang
        centre = rng.uniform(packing.low, packing.high)
        _add_shell(volts, centre, radius - 2, radius + 2, _LIPID_HEAD_V, voxel_ang)
        # Points on the membrane, closer together than particles are wide.
        points = max(12, int(np.pi * radius**2))
        direction = rng.normal(size=(points, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        for point in centre + radius * direction:
            packing.add(point, 2.0)


def _add_shell(
    volts: Float32[np.ndarray, "depth height width"],
    centre: Float[np.ndarray, "3"],
    inner_px: float,
    outer_px: float,
    level_v: float,
    leaflet_voxel_ang: float | None = None,
) -> None:
    """Add a filled sphere, or for a membrane two leaflets on either side of the mean radius."""
    reach = int(np.ceil(outer_px)) + 2
    low = np.maximum(np.floor(centre).astype(int) - reach, 0)
    high = np.minimum(np.floor(centre).astype(int) + reach + 1, volts.shape[::-1])
    if (low >= high).any():
        return
    x, y, z = (np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
    radius = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    if leaflet_voxel_ang is None:
        profile = np.clip(outer_px + 0.5 - radius, 0, 1) * level_v
    else:
        offset = (radius - (inner_px + outer_px) / 2) * leaflet_voxel_ang
        # Averaged over a voxel: the Gaussian is at least half a voxel wide, with the same area.
        width = max(_LEAFLET_SD_ANG, leaflet_voxel_ang / 2)
        leaflets = np.exp(-((np.abs(offset) - _LEAFLET_ANG) ** 2) / (2 * width**2))
        profile = leaflets * level_v * _LEAFLET_SD_ANG / width
    volts[low[2] : high[2], low[1] : high[1], low[0] : high[0]] += profile.astype(np.float32)


def _add_molecule(
    volts: Float32[np.ndarray, "depth height width"],
    molecule: Molecule,
    centre: Float[np.ndarray, "3"],
    rotation: Float[np.ndarray, "3 3"],
    voxel_ang: float,
) -> None:
    """Distribute the mass of a molecule trilinearly to the voxels around its grains, in place."""
    shape = volts.shape
    points = molecule.xyz_ang @ rotation.T / voxel_ang + centre
    corner = np.floor(points).astype(np.int64)
    fraction = points - corner
    level = molecule.mass_da * (_PROTEIN_V / (PROTEIN_DA_PER_ANG3 * voxel_ang**3))
    for offset in np.ndindex(2, 2, 2):
        step = np.array(offset)
        share = np.abs(1 - step - fraction).prod(axis=1) * level
        x, y, z = (corner + step).T
        is_inside = (x >= 0) & (x < shape[2]) & (y >= 0) & (y < shape[1]) & (z >= 0)
        is_inside &= z < shape[0]
        flat = (z * shape[1] + y) * shape[2] + x
        if is_inside.any():
            flat, share = flat[is_inside], share[is_inside]
            low, high = flat.min(), flat.max() + 1
            volts.reshape(-1)[low:high] += np.bincount(flat - low, share, high - low)
