"""Molecules as clouds of small grains of mass, and how they fall on an image.

A molecule is a few thousand grains of some 50 Da, each blurred by the same narrow Gaussian.
A projection is then exact for every orientation and every sub-pixel position: rotate the
grains and add their mass to the pixels around them. Coordinates are (x, y, z) in ångströms
from the centre of mass; the beam runs along z.

- `Molecule`: the grains, with diameter and mass.
- `molecule_from_grains`: centre, thin out and measure any cloud of mass.
- `Molecule.stretched`: the same in other proportions, and as coarse as an image can show.
- `load_molecule`: a built-in molecule by name, or one from a file.
- `PROTEIN_DA_PER_ANG3`: density of protein.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import SettingsError

__all__ = [
    "PROTEIN_DA_PER_ANG3",
    "Molecule",
    "load_molecule",
    "molecule_from_grains",
]

PROTEIN_DA_PER_ANG3 = 0.81  # 1.35 g/cm³: Fischer et al. 2004, Protein Sci. 13:2825
_GRAIN_ANG = 4.0
_BLUR_PER_GRAIN = 0.75  # Gaussian width that hides the spacing of grains this far apart
_GRAINS_AT_MOST = 60_000  # keeps a capsid as quick to paint as a ribosome


@dataclass(frozen=True, eq=False, kw_only=True)
class Molecule:
    """A cloud of grains of mass.

    Attributes:
        name: What to call it: the built-in's name or the file's.
        xyz_ang: Positions of the grains around the centre of mass.
        mass_da: Mass of each grain.
        blur_ang: Standard deviation of the Gaussian that each grain stands for.
        diameter_ang: Longest distance between two points of the molecule.
    """

    name: str
    xyz_ang: Float[np.ndarray, "grains 3"]
    mass_da: Float[np.ndarray, " grains"]
    blur_ang: float
    diameter_ang: float

    @property
    def mass_kda(self) -> float:
        """Mass of the whole molecule."""
        return float(self.mass_da.sum()) / 1e3

    def stretched(
        self, scale_xyz: Float[np.ndarray, "3"], grain_ang: float = _GRAIN_ANG
    ) -> "Molecule":
        """The molecule in other proportions, with its density kept.

        Args:
            scale_xyz: Factors along its axes.
            grain_ang: Grains closer than about this are merged.
        """
        xyz_ang, mass_da = self.xyz_ang * scale_xyz, self.mass_da * np.prod(scale_xyz)
        xyz_ang, mass_da = _merge(xyz_ang, mass_da, grain_ang)
        return Molecule(
            name=self.name,
            xyz_ang=xyz_ang,
            mass_da=mass_da,
            blur_ang=max(grain_ang * _BLUR_PER_GRAIN, self.blur_ang * float(np.max(scale_xyz))),
            diameter_ang=_longest_ang(xyz_ang),
        )


def molecule_from_grains(
    name: str, xyz_ang: Float[np.ndarray, "points 3"], mass_da: Float[np.ndarray, " points"]
) -> Molecule:
    """Centre a cloud of mass, merge what lies within a few ångströms, and measure it.

    Args:
        name: What to call the molecule.
        xyz_ang: Positions of atoms, voxels or blobs, in any frame; not all on one plane.
        mass_da: Their masses, all above 0.

    Returns:
        The molecule. Its diameter is that of the points given, not of the merged grains.
    """
    centred = xyz_ang - np.average(xyz_ang, axis=0, weights=mass_da)
    grain_ang = _GRAIN_ANG
    merged, mass = _merge(centred, mass_da, grain_ang)
    while len(mass) > _GRAINS_AT_MOST:
        grain_ang *= 1.25
        merged, mass = _merge(centred, mass_da, grain_ang)
    return Molecule(
        name=name,
        xyz_ang=merged,
        mass_da=mass,
        blur_ang=grain_ang * _BLUR_PER_GRAIN,
        diameter_ang=_longest_ang(xyz_ang),
    )


def load_molecule(molecule: str, diameter_ang: float | None = None) -> Molecule:
    """Find a molecule by the name of a built-in one or by the path of a file.

    Args:
        molecule: A name of `BUILTIN_MOLECULES`, or a path to PDB, mmCIF or MRC.
        diameter_ang: Diameter to which a built-in molecule is scaled; None leaves it.

    Raises:
        SettingsError: There is no such name or file, or a file was to be scaled.
        InputError: The file cannot be read as a molecule.
    """
    from cryopick.simulate.shapes import BUILTIN_MOLECULES, builtin_molecule
    from cryopick.simulate.structures import molecule_from_file

    if molecule in BUILTIN_MOLECULES:
        return builtin_molecule(molecule, diameter_ang)
    if not Path(molecule).exists():
        raise SettingsError(
            f"molecule must be one of {', '.join(BUILTIN_MOLECULES)}, or the path of a PDB, "
            f"mmCIF or MRC file; there is no {molecule!r}"
        )
    if diameter_ang is not None:
        raise SettingsError(
            f"diameter_ang scales built-in molecules only; {molecule} has its own size, "
            "so leave diameter_ang out"
        )
    return molecule_from_file(Path(molecule))


def _longest_ang(xyz_ang: Float[np.ndarray, "points 3"]) -> float:
    """Longest distance between two of the points."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    return float(pdist(xyz_ang[ConvexHull(xyz_ang).vertices]).max())


def _merge(
    xyz_ang: Float[np.ndarray, "points 3"], mass_da: Float[np.ndarray, " points"], cell_ang: float
) -> tuple[Float[np.ndarray, "grains 3"], Float[np.ndarray, " grains"]]:
    """Replace the points of each cubic cell by their mass at their centre of mass."""
    cell = np.floor(xyz_ang / cell_ang).astype(np.int64)
    cell -= cell.min(axis=0)
    _, depth, height = cell.max(axis=0) + 1
    flat = (cell[:, 0] * depth + cell[:, 1]) * height + cell[:, 2]
    _, owner = np.unique(flat, return_inverse=True)
    mass = np.bincount(owner, weights=mass_da)
    moments = [np.bincount(owner, weights=mass_da * axis) for axis in xyz_ang.T]
    return np.stack(moments, axis=1) / mass[:, None], mass
