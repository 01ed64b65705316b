"""Procedural molecules: random solids with the overall shapes of proteins.

Each molecule is a union of blobs filled with protein density, like the built-in molecules. The
result is a function of the random generator alone.

- `FAMILIES`: generators of blobs by shape family.
- `draw_molecule`: draw a molecule of a random family and size.
- `add_belt`: turn a molecule into a membrane protein with a belt of detergent or lipid.
"""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from cryopick.array_types import Float
from cryopick.simulate.builtin_molecules import molecule_from_blobs
from cryopick.simulate.molecules import Molecule, molecule_from_grains
from cryopick.simulate.views import draw_rotations

__all__ = ["FAMILIES", "add_belt", "draw_molecule"]

Blobs = Float[np.ndarray, "blobs 4"]

_DIAMETER_ANG = (65.0, 800.0)
_GRAINS_PER_DIAMETER = 34  # finer than the pixels of any network's input
_BELT_OVER_PROTEIN = 0.35  # contrast of lipid and detergent against ice, relative to protein
_BELT_HEIGHT_ANG = 30.0


def draw_molecule(rng: np.random.Generator) -> Molecule:
    """Draw a family and a diameter, and build a molecule; small diameters are more frequent.

    One in six molecules below 250 Å gets the belt of a membrane protein.
    """
    family = str(rng.choice(list(FAMILIES)))
    low, high = np.log(_DIAMETER_ANG)
    diameter_ang = float(np.exp(low + (high - low) * rng.beta(1.3, 2.0)))
    blobs = FAMILIES[family](rng)
    blobs = blobs * (diameter_ang / _span(blobs))
    molecule = molecule_from_blobs(family, blobs, diameter_ang / _GRAINS_PER_DIAMETER)
    if family != "shell" and diameter_ang < 250 and rng.random() < 1 / 6:
        return add_belt(rng, molecule)
    return molecule


def add_belt(rng: np.random.Generator, molecule: Molecule) -> Molecule:
    """Surround a slab perpendicular to the molecule's longest axis with a low-density belt."""
    axes = np.linalg.svd(molecule.xyz_ang, full_matrices=False)[2]
    xyz = molecule.xyz_ang @ axes[::-1].T  # the longest axis last
    half = np.ptp(xyz[:, 2]) / 2
    height = rng.uniform(-0.6, 0.6) * half
    inside = np.abs(xyz[:, 2] - height) < _BELT_HEIGHT_ANG / 2
    if inside.sum() < 3:
        return molecule
    inner_radius = np.quantile(np.hypot(xyz[inside, 0], xyz[inside, 1]), 0.9)
    outer = inner_radius + rng.uniform(15.0, 35.0)
    step = 5.0
    axis = np.arange(-outer, outer + step, step)
    level = np.arange(-_BELT_HEIGHT_ANG / 2, _BELT_HEIGHT_ANG / 2 + step, step)
    x, y, z = (part.ravel() for part in np.meshgrid(axis, axis, level))
    bulge = np.sqrt(np.maximum(1 - (2 * z / (1.3 * _BELT_HEIGHT_ANG)) ** 2, 0))
    radius = np.hypot(x, y)
    belt = (radius < inner_radius + (outer - inner_radius) * bulge) & (radius > 0.8 * inner_radius)
    points = np.stack([x, y, z + height], axis=1)[belt]
    mass = np.full(len(points), 0.81 * step**3 * _BELT_OVER_PROTEIN)
    return molecule_from_grains(
        f"{molecule.name} in a belt",
        np.concatenate([xyz, points]),
        np.concatenate([molecule.mass_da, mass]),
    )


def _draw_compact(rng: np.random.Generator) -> Blobs:
    """Draw a globular shape: a core surrounded by lobes of different sizes."""
    count = int(rng.integers(4, 14))
    directions = draw_rotations(rng, count)[:, 2]
    distance = rng.uniform(0.3, 0.8, (count, 1))
    lobes = np.concatenate([directions * distance, rng.uniform(0.2, 0.5, (count, 1))], axis=1)
    flatness = rng.uniform(0.6, 1.0, 3)
    core = np.array([[0.0, 0.0, 0.0, rng.uniform(0.35, 0.6)]])
    return np.concatenate([core, lobes]) * (*flatness, 1.0)


def _draw_elongated(rng: np.random.Generator) -> Blobs:
    """Draw an elongated shape: beads of varying thickness along an arc."""
    count = int(rng.integers(5, 12))
    along = np.linspace(-1, 1, count)
    bow = rng.uniform(0, 0.6) * along**2 + 0.1 * np.sin(rng.uniform(1, 4) * along)
    side = 0.1 * rng.normal(size=count)
    thick = rng.uniform(0.14, 0.4) * (1 + rng.uniform(-0.4, 0.4) * along)
    uneven = thick * rng.uniform(0.75, 1.25, count)
    return np.stack([along, bow, side, uneven], axis=1)


def _draw_symmetric(rng: np.random.Generator) -> Blobs:
    """Draw a ring of 2 to 12 identical subunits, in one layer or in two back to back."""
    order = int(rng.integers(2, 13))
    parts = int(rng.integers(1, 5))
    radius = rng.uniform(0.3, 0.8)
    subunit = np.concatenate(
        [
            rng.normal(scale=(0.15, 0.15, 0.4 * rng.random() + 0.05), size=(parts, 3)),
            rng.uniform(0.5, 1.1, (parts, 1)) * radius * min(1.0, 3.0 / order) ** 0.7,
        ],
        axis=1,
    )
    subunit[:, 0] += radius
    layers = [subunit]
    if rng.random() < 0.5:
        rise = rng.uniform(0.25, 0.7)
        above = subunit + np.array([0, 0, rise, 0])
        below = above * (1, -1, -1, 1)
        twist_rad = rng.uniform(0, 2 * np.pi / order)
        layers = [above, _rotate_about_z(below, twist_rad)]
    return np.concatenate(
        [_rotate_about_z(layer, 2 * np.pi * k / order) for k in range(order) for layer in layers]
    )


def _rotate_about_z(blobs: Blobs, angle_rad: float) -> Blobs:
    """Rotate blobs about the z axis."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    x, y, z, radius = blobs.T
    return np.stack([x * cosine - y * sine, x * sine + y * cosine, z, radius], axis=1)


def _draw_arms(rng: np.random.Generator) -> Blobs:
    """Draw two to four arms of lobes on a thin hub, as in antibodies."""
    blobs = [np.array([[0.0, 0.0, 0.0, rng.uniform(0.1, 0.25)]])]
    for direction in draw_rotations(rng, int(rng.integers(2, 5))):
        lobes = int(rng.integers(2, 4))
        distance = np.linspace(rng.uniform(0.2, 0.4), 1.0, lobes)[:, None]
        bent = direction[2] + 0.25 * rng.normal(size=(lobes, 3))
        radius = np.full((lobes, 1), rng.uniform(0.16, 0.3))
        blobs.append(np.concatenate([bent * distance, radius], axis=1))
        blobs.append(np.array([[*(direction[2] * 0.15), 0.1]]))
    return np.concatenate(blobs)


def _draw_chain(rng: np.random.Generator) -> Blobs:
    """Draw a flexible chain: domains along a random walk."""
    count = int(rng.integers(4, 12))
    radius = rng.uniform(0.2, 0.5, count)
    steps = draw_rotations(rng, count)[:, 2] + rng.uniform(0, 1.5) * np.array([1.0, 0, 0])
    steps *= (radius / np.linalg.norm(steps, axis=1) * 1.4)[:, None]
    return np.concatenate([np.cumsum(steps, axis=0), radius[:, None]], axis=1)


def _draw_shell(rng: np.random.Generator) -> Blobs:
    """Draw a hollow sphere of identical lobes; a third have spikes and a third are filled."""
    count = int(rng.choice([12, 20, 32, 60]))
    golden = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    z = 1 - (2 * np.arange(count) + 1) / count
    ring = np.sqrt(1 - z**2)
    positions = np.stack([ring * np.cos(golden), ring * np.sin(golden), z], axis=1)
    size = rng.uniform(0.8, 1.3) * 2 / np.sqrt(count)
    blobs = [np.concatenate([positions, np.full((count, 1), size)], axis=1)]
    if rng.random() < 1 / 3:
        blobs.append(np.concatenate([1.2 * positions, np.full((count, 1), 0.4 * size)], axis=1))
    if rng.random() < 1 / 3:
        blobs.append(np.array([[0.0, 0.0, 0.0, 0.75]]))
    return np.concatenate(blobs)


FAMILIES: "MappingProxyType[str, Callable[[np.random.Generator], Blobs]]" = MappingProxyType(
    {
        "compact": _draw_compact,
        "elongated": _draw_elongated,
        "symmetric": _draw_symmetric,
        "arms": _draw_arms,
        "chain": _draw_chain,
        "shell": _draw_shell,
    }
)


def _span(blobs: Blobs) -> float:
    """Estimate the longest extent of a union of blobs."""
    gaps = np.linalg.norm(blobs[:, None, :3] - blobs[None, :, :3], axis=-1)
    return float((gaps + blobs[:, 3] + blobs[:, None, 3]).max())
