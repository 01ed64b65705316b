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

_DIAMETER_ANG = (60.0, 900.0)
_GRAINS_PER_DIAMETER = 34  # finer than the pixels of any network's input
_GRAINS_PER_BLOB = 3.0  # across the smallest blob: thin parts need finer grains
_BELT_OVER_PROTEIN = 0.35  # contrast of lipid and detergent against ice, relative to protein
_BELT_HEIGHT_ANG = 30.0


def draw_molecule(rng: np.random.Generator) -> Molecule:
    """Draw a family and a diameter, and build a molecule; small diameters are more frequent.

    One in six molecules below 250 Å gets the belt of a membrane protein.
    """
    family = str(rng.choice(list(FAMILIES), p=list(_FAMILY_PROBABILITIES)))
    low, high = np.log(_DIAMETER_ANG)
    diameter_ang = float(np.exp(low + (high - low) * rng.beta(1.3, 2.0)))
    blobs = FAMILIES[family](rng)
    blobs = blobs * (diameter_ang / _span(blobs))
    thinnest_ang = 2 * float(blobs[:, 3].min())
    grain_ang = min(diameter_ang / _GRAINS_PER_DIAMETER, thinnest_ang / _GRAINS_PER_BLOB)
    molecule = molecule_from_blobs(family, blobs, max(grain_ang, diameter_ang / 100))
    if family not in _NEVER_IN_MEMBRANES and diameter_ang < 250 and rng.random() < 1 / 6:
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
    count = int(rng.choice([12, 20, 32, 60, 120]))
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


def _draw_rod(rng: np.random.Generator) -> Blobs:
    """Draw a straight piece of a fibre, 2.5 to 12 times as long as wide, smooth or beaded."""
    aspect = float(np.exp(rng.uniform(np.log(2.5), np.log(12.0))))
    count = max(4, round(aspect * rng.uniform(1.2, 2.0)))
    along = np.linspace(-1, 1, count)
    uneven = 1 + rng.uniform(0, 0.25) * rng.normal(size=count)
    thick = np.clip(uneven, 0.6, 1.5) / aspect
    ends = rng.choice([1.0, 1.0, 1.6]) if aspect < 7 else 1.0
    thick[[0, -1]] *= ends
    bow = rng.choice([0.0, rng.uniform(0, 0.15)]) * along**2
    twist = rng.uniform(0, 0.4) / aspect
    phase = rng.uniform(0, 3) * np.arange(count)
    return np.stack([along, bow + twist * np.cos(phase), twist * np.sin(phase), thick], axis=1)


def _draw_torus(rng: np.random.Generator) -> Blobs:
    """Draw a closed ring around an open hole, thin or thick, flat or tall."""
    tube = rng.uniform(0.12, 0.4)
    count = max(6, round(2 * np.pi * rng.uniform(0.9, 1.4) / tube / 1.6))
    angle = 2 * np.pi * np.arange(count) / count
    layers = int(rng.integers(1, 4))
    rise = 1.3 * tube * (np.arange(layers) - (layers - 1) / 2)
    angle, z = (part.ravel() for part in np.meshgrid(angle, rise))
    radius = np.full(len(angle), tube)
    oval = rng.uniform(0.75, 1.0)
    return np.stack([np.cos(angle), oval * np.sin(angle), z, radius], axis=1)


def _draw_tube(rng: np.random.Generator) -> Blobs:
    """Draw a hollow cylinder of subunits, about as long as wide or a little longer."""
    order = int(rng.integers(5, 14))
    size = 2.6 / order * rng.uniform(0.9, 1.3)
    layers = max(2, round(rng.uniform(0.8, 4.0) / size / 1.4))
    angle = 2 * np.pi * np.arange(order) / order
    twist = rng.uniform(0, 1) * np.pi / order
    rings = []
    for layer in range(layers):
        turned = angle + twist * layer
        height = np.full(order, 1.4 * size * (layer - (layers - 1) / 2))
        rings.append(np.stack([np.cos(turned), np.sin(turned), height], axis=1))
    centres = np.concatenate(rings)
    return np.concatenate([centres, np.full((len(centres), 1), size)], axis=1)


def _draw_disc(rng: np.random.Generator) -> Blobs:
    """Draw a flat disc, sometimes with a domain on top, as nanodiscs have."""
    height = rng.uniform(0.12, 0.35)
    count = max(8, round(1.5 / height**2))
    golden = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    reach = np.sqrt((np.arange(count) + 0.5) / count)
    flat = np.stack([reach * np.cos(golden), reach * np.sin(golden), 0 * reach], axis=1)
    blobs = [np.concatenate([flat, np.full((count, 1), 1.1 * height)], axis=1)]
    if rng.random() < 0.4:
        top = np.array([[*rng.uniform(-0.3, 0.3, 2), height + 0.25, rng.uniform(0.25, 0.5)]])
        blobs.append(top)
    return np.concatenate(blobs)


FAMILIES: "MappingProxyType[str, Callable[[np.random.Generator], Blobs]]" = MappingProxyType(
    {
        "compact": _draw_compact,
        "elongated": _draw_elongated,
        "symmetric": _draw_symmetric,
        "arms": _draw_arms,
        "chain": _draw_chain,
        "shell": _draw_shell,
        "rod": _draw_rod,
        "torus": _draw_torus,
        "tube": _draw_tube,
        "disc": _draw_disc,
    }
)
_FAMILY_PROBABILITIES = (0.15, 0.1, 0.13, 0.1, 0.09, 0.11, 0.16, 0.07, 0.05, 0.04)
_NEVER_IN_MEMBRANES = ("shell", "rod", "torus", "tube", "disc")


def _span(blobs: Blobs) -> float:
    """Estimate the longest extent of a union of blobs."""
    gaps = np.linalg.norm(blobs[:, None, :3] - blobs[None, :, :3], axis=-1)
    return float((gaps + blobs[:, 3] + blobs[:, None, 3]).max())
