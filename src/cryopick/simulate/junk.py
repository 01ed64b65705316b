"""Junk: objects on a micrograph that must not be picked.

- `draw_fragment`: part of a broken molecule.
- `draw_aggregate`: aggregate of molecules, some of them broken.
- `draw_contaminant`: thickness of an ice crystal or drop on the surface.
- `draw_drop`: thickness of a round ice drop.
- `draw_crystal`: phase and transmission of a patch of crystalline ice.
- `draw_gold_bead`: fraction of the beam absorbed by a gold bead.
"""

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.simulate.background import draw_smooth_field
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.views import draw_rotations

__all__ = [
    "draw_aggregate",
    "draw_contaminant",
    "draw_crystal",
    "draw_drop",
    "draw_fragment",
    "draw_gold_bead",
]

_LATTICE_ANG = (3.90, 3.67, 3.44)  # strongest spacings of hexagonal ice
_ICE_V = 4.5  # inner potential of ice against vacuum


def draw_fragment(
    rng: np.random.Generator, molecule: Molecule
) -> tuple[Float[np.ndarray, "grains 3"], Float[np.ndarray, " grains"]]:
    """Draw a fragment: 10 to 40 % of the grains of a molecule, with random displacements.

    Returns:
        Positions of the grains in ångströms relative to their centre of mass, and their masses.
    """
    centre = molecule.xyz_ang[rng.integers(len(molecule.xyz_ang))]
    distance = np.linalg.norm(molecule.xyz_ang - centre, axis=1)
    is_included = distance <= np.quantile(distance, rng.uniform(0.10, 0.40))
    mass = molecule.mass_da[is_included]
    grains = molecule.xyz_ang[is_included]
    grains = grains - np.average(grains, axis=0, weights=mass)
    displacement_sd = rng.uniform(0.0, 0.05) * molecule.diameter_ang
    return grains + rng.normal(scale=displacement_sd, size=grains.shape), mass


def draw_aggregate(
    rng: np.random.Generator, molecule: Molecule
) -> tuple[Float[np.ndarray, "grains 3"], Float[np.ndarray, " grains"]]:
    """Draw an aggregate of 4 to 15 molecules in contact; a third of them are broken.

    Returns:
        Positions of the grains in ångströms relative to the first molecule, and their masses.
    """
    count = int(rng.integers(4, 16))
    centres = np.zeros((count, 3))
    directions = draw_rotations(rng, count)
    clouds, masses = [], []
    for i, rotation in enumerate(directions):
        if i:
            step = rng.uniform(0.45, 0.8) * molecule.diameter_ang
            centres[i] = centres[rng.integers(i)] + step * rotation[2] * (1, 1, 0.3)
        grains, mass = (molecule.xyz_ang, molecule.mass_da)
        if rng.random() < 1 / 3:
            grains, mass = draw_fragment(rng, molecule)
        clouds.append(grains @ rotation.T + centres[i])
        masses.append(mass)
    return np.concatenate(clouds), np.concatenate(masses)


def draw_contaminant(
    rng: np.random.Generator, radius_px: float
) -> Float32[np.ndarray, "side side"]:
    """Draw the thickness of an ice drop or crystal, from 0 outside to about 1 in the centre.

    Drops are round, crystals are polygons; a third of the contaminants are two or three merged
    ones.
    """
    side = 2 * int(np.ceil(1.9 * radius_px)) + 1
    axis = np.arange(side, dtype=np.float32) - side // 2
    thickness = np.zeros((side, side), np.float32)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.67, 0.22, 0.11]))):
        x0, y0 = rng.normal(scale=0.35 * radius_px, size=2)
        x, y = axis[None, :] - np.float32(x0), axis[:, None] - np.float32(y0)
        sides = int(rng.integers(5, 8))
        normals = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(sides) / sides
        distances = radius_px * rng.uniform(0.6, 1.0) * rng.uniform(0.75, 1.15, sides)
        power = float(rng.choice([4.0, 8.0, 20.0]))  # higher powers give sharper corners
        norm = np.zeros_like(thickness)
        for normal, distance in zip(normals, distances, strict=True):
            cosine, sine = np.float32(np.cos(normal)), np.float32(np.sin(normal))
            norm += np.maximum((x * cosine + y * sine) / np.float32(distance), 0) ** power
        profile = np.sqrt(np.maximum(1 - norm ** (2 / power), 0))
        thickness = np.maximum(thickness, profile * np.float32(rng.uniform(0.6, 1.0)))
    return thickness


def draw_drop(rng: np.random.Generator, radius_px: float) -> Float32[np.ndarray, "side side"]:
    """Draw the thickness of a round ice drop, from 0 outside to about 1 in the centre.

    Drops are slightly elliptical, some of them flat, and a third are two to four merged ones.
    """
    side = 2 * int(np.ceil(2.6 * radius_px)) + 1
    axis = np.arange(side, dtype=np.float32) - side // 2
    thickness = np.zeros((side, side), np.float32)
    x0 = y0 = 0.0
    for number in range(int(rng.choice([1, 2, 3, 4], p=[0.67, 0.2, 0.08, 0.05]))):
        own_px = radius_px * rng.uniform(0.6, 1.0)
        if number:
            angle = rng.uniform(0, 2 * np.pi)
            reach = 0.8 * radius_px
            x0, y0 = reach * np.cos(angle), reach * np.sin(angle)
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.25)
        x, y = axis[None, :] - np.float32(x0), axis[:, None] - np.float32(y0)
        along = (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) / np.float32(stretch)
        across = (y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))) * np.float32(stretch)
        power = float(rng.choice([2.0, 4.0, 8.0]))  # higher powers give flatter drops
        relative = np.hypot(along, across) / np.float32(own_px)
        profile = np.sqrt(np.maximum(1 - relative**power, 0)).astype(np.float32)
        thickness = np.maximum(thickness, profile * np.float32(rng.uniform(0.6, 1.0)))
    return thickness


def draw_crystal(
    rng: np.random.Generator, radius_px: float, pixel_size_ang: float
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Draw a patch of crystalline ice, with mottled diffraction contrast and lattice fringes.

    Args:
        rng: Random generator.
        radius_px: Radius of the patch.
        pixel_size_ang: Pixel size; fringes that it cannot resolve are omitted.

    Returns:
        Phase in radians, and relative loss of intensity by diffraction; both are 0 at the rim.
    """
    side = 2 * int(np.ceil(radius_px)) + 1
    axis = np.arange(side, dtype=np.float32) - side // 2
    x, y = axis[None, :], axis[:, None]
    variation = np.tanh(draw_smooth_field(rng, (side, side), side / 3))
    rim_radius = np.float32(radius_px) * (np.float32(0.75) + np.float32(0.25) * variation)
    cover = np.clip((1 - np.hypot(x, y) / rim_radius) * 4, 0, 1).astype(np.float32)
    mottle = draw_smooth_field(rng, (side, side), rng.uniform(70, 200) / pixel_size_ang)
    relief = draw_smooth_field(rng, (side, side), rng.uniform(30, 60) / pixel_size_ang)
    phase = np.float32(0.05) * mottle + np.float32(0.03) * relief
    for spacing in _LATTICE_ANG:
        if spacing > 2.2 * pixel_size_ang:
            angle = rng.uniform(0, np.pi)
            turn = np.float32(2 * np.pi * pixel_size_ang / spacing)
            fringe = np.cos(turn * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))))
            phase = phase + np.float32(0.10) * fringe * (mottle > 0)
    loss = np.float32(0.04) * np.tanh(mottle)
    return cover * phase, cover * loss


def draw_gold_bead(radius_px: float) -> Float32[np.ndarray, "side side"]:
    """Draw the fraction of the beam absorbed by a gold bead: 0 outside, 0.9 in the centre."""
    side = 2 * int(np.ceil(radius_px)) + 3
    axis = np.arange(side, dtype=np.float32) - side // 2
    inside = 1 - (axis[None, :] ** 2 + axis[:, None] ** 2) / np.float32(radius_px**2)
    return np.float32(0.9) * np.sqrt(np.maximum(inside, 0))
