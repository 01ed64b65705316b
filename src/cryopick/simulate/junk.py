"""What lies on a micrograph and must not be picked.

- `broken_molecule`: what is left of a molecule that fell apart.
- `aggregate`: a clump of molecules, some of them broken.
- `contaminant`: thickness of a drop or flake of ice on the surface.
- `crystal`: phase and transmission of a patch of crystalline ice.
- `gold_bead`: the share of the beam that a bead of gold keeps off.
"""

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.simulate.background import smooth_field
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.views import random_rotations

__all__ = ["aggregate", "broken_molecule", "contaminant", "crystal", "gold_bead"]

_LATTICE_ANG = (3.90, 3.67, 3.44)  # strongest spacings of hexagonal ice
_ICE_V = 4.5  # inner potential of ice against vacuum


def broken_molecule(
    rng: np.random.Generator, molecule: Molecule
) -> tuple[Float[np.ndarray, "grains 3"], Float[np.ndarray, " grains"]]:
    """Keep 10 to 40 % of a molecule's grains, around one of them, and let them swell.

    Returns:
        Positions of the grains in ångströms around their own centre of mass, and masses.
    """
    middle = molecule.xyz_ang[rng.integers(len(molecule.xyz_ang))]
    distance = np.linalg.norm(molecule.xyz_ang - middle, axis=1)
    kept = distance <= np.quantile(distance, rng.uniform(0.10, 0.40))
    mass = molecule.mass_da[kept]
    grains = molecule.xyz_ang[kept]
    grains = grains - np.average(grains, axis=0, weights=mass)
    swell = rng.uniform(0.0, 0.05) * molecule.diameter_ang
    return grains + rng.normal(scale=swell, size=grains.shape), mass


def aggregate(
    rng: np.random.Generator, molecule: Molecule
) -> tuple[Float[np.ndarray, "grains 3"], Float[np.ndarray, " grains"]]:
    """Clump 4 to 15 molecules, each touching an earlier one and a third of them broken.

    Returns:
        Positions of the grains in ångströms around the clump's first molecule, and masses.
    """
    count = int(rng.integers(4, 16))
    centres = np.zeros((count, 3))
    directions = random_rotations(rng, count)
    clouds, masses = [], []
    for i, rotation in enumerate(directions):
        if i:
            step = rng.uniform(0.45, 0.8) * molecule.diameter_ang
            centres[i] = centres[rng.integers(i)] + step * rotation[2] * (1, 1, 0.3)
        grains, mass = (molecule.xyz_ang, molecule.mass_da)
        if rng.random() < 1 / 3:
            grains, mass = broken_molecule(rng, molecule)
        clouds.append(grains @ rotation.T + centres[i])
        masses.append(mass)
    return np.concatenate(clouds), np.concatenate(masses)


def contaminant(rng: np.random.Generator, radius_px: float) -> Float32[np.ndarray, "side side"]:
    """Draw the thickness of a drop or flake of ice, from 0 outside to about 1 in the middle.

    Drops are round, flakes have corners; a third of them are two or three grown together.
    """
    side = 2 * int(np.ceil(1.9 * radius_px)) + 1
    axis = np.arange(side, dtype=np.float32) - side // 2
    thickness = np.zeros((side, side), np.float32)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.67, 0.22, 0.11]))):
        x0, y0 = rng.normal(scale=0.35 * radius_px, size=2)
        x, y = axis[None, :] - np.float32(x0), axis[:, None] - np.float32(y0)
        sides = int(rng.integers(5, 8))
        normals = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(sides) / sides
        reach = radius_px * rng.uniform(0.6, 1.0) * rng.uniform(0.75, 1.15, sides)
        power = float(rng.choice([4.0, 8.0, 20.0]))  # the higher, the sharper its corners
        gauge = np.zeros_like(thickness)
        for normal, distance in zip(normals, reach, strict=True):
            cosine, sine = np.float32(np.cos(normal)), np.float32(np.sin(normal))
            gauge += np.maximum((x * cosine + y * sine) / np.float32(distance), 0) ** power
        profile = np.sqrt(np.maximum(1 - gauge ** (2 / power), 0))
        thickness = np.maximum(thickness, profile * np.float32(rng.uniform(0.6, 1.0)))
    return thickness


def crystal(
    rng: np.random.Generator, radius_px: float, pixel_size_ang: float
) -> tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "side side"]]:
    """Draw a patch of crystalline ice: mottled by diffraction, with lattice fringes inside.

    Args:
        rng: Where the randomness comes from.
        radius_px: Radius of the patch.
        pixel_size_ang: Sampling; fringes finer than it can show are left out.

    Returns:
        Phase in radians, and the relative loss of intensity to diffraction; both fade to 0
        at the rim.
    """
    side = 2 * int(np.ceil(radius_px)) + 1
    axis = np.arange(side, dtype=np.float32) - side // 2
    x, y = axis[None, :], axis[:, None]
    hills = np.tanh(smooth_field(rng, (side, side), side / 3))
    reach = np.float32(radius_px) * (np.float32(0.75) + np.float32(0.25) * hills)
    cover = np.clip((1 - np.hypot(x, y) / reach) * 4, 0, 1).astype(np.float32)
    mottle = smooth_field(rng, (side, side), rng.uniform(70, 200) / pixel_size_ang)
    relief = smooth_field(rng, (side, side), rng.uniform(30, 60) / pixel_size_ang)
    phase = np.float32(0.05) * mottle + np.float32(0.03) * relief
    for spacing in _LATTICE_ANG:
        if spacing > 2.2 * pixel_size_ang:
            angle = rng.uniform(0, np.pi)
            turn = np.float32(2 * np.pi * pixel_size_ang / spacing)
            fringe = np.cos(turn * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))))
            phase = phase + np.float32(0.10) * fringe * (mottle > 0)
    loss = np.float32(0.04) * np.tanh(mottle)
    return cover * phase, cover * loss


def gold_bead(radius_px: float) -> Float32[np.ndarray, "side side"]:
    """Draw a bead of gold: 0 outside, and 0.9 of the beam lost in the middle."""
    side = 2 * int(np.ceil(radius_px)) + 3
    axis = np.arange(side, dtype=np.float32) - side // 2
    inside = 1 - (axis[None, :] ** 2 + axis[:, None] ** 2) / np.float32(radius_px**2)
    return np.float32(0.9) * np.sqrt(np.maximum(inside, 0))
