"""Molecules as clouds of small grains of mass.

A molecule consists of a few thousand grains of about 50 Da, each blurred by the same narrow
Gaussian. A projection is exact for every orientation and sub-pixel position: rotate the grains and
add their mass to the pixels around them. Coordinates are (x, y, z) in ångströms relative to the
centre of mass; the beam is parallel to z.

- `Molecule`: the grains, with diameter and mass.
- `molecule_from_grains`: centre, merge and measure a cloud of mass.
- `PROTEIN_DA_PER_ANG3`: density of protein.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float

__all__ = [
    "PROTEIN_DA_PER_ANG3",
    "Molecule",
    "molecule_from_grains",
]

PROTEIN_DA_PER_ANG3 = 0.81  # 1.35 g/cm³: Fischer et al. 2004, Protein Sci. 13:2825
_GRAIN_ANG = 4.0
_BLUR_PER_GRAIN = 0.75  # Gaussian SD over grain spacing at which single grains are invisible
_MAX_GRAINS = 60_000  # so that a capsid is projected as fast as a ribosome


@dataclass(frozen=True, eq=False, kw_only=True)
class Molecule:
    """A cloud of grains of mass.

    Attributes:
        name: Name of the built-in molecule or of the file.
        xyz_ang: Positions of the grains relative to the centre of mass.
        mass_da: Mass of each grain.
        blur_ang: Standard deviation of the Gaussian density of a grain.
        diameter_ang: Longest distance between two points of the molecule.
    """

    name: str
    xyz_ang: Float[np.ndarray, "grains 3"]
    mass_da: Float[np.ndarray, " grains"]
    blur_ang: float
    diameter_ang: float

    @property
    def mass_kda(self) -> float:
        """Total mass of the molecule."""
        return float(self.mass_da.sum()) / 1e3

    def stretch(
        self, scale_xyz: Float[np.ndarray, "3"], grain_ang: float = _GRAIN_ANG
    ) -> "Molecule":
        """Scale the molecule along its axes at constant density.

        Args:
            scale_xyz: Factors along x, y and z.
            grain_ang: Grains closer than about this distance are merged.
        """
        xyz_ang, mass_da = self.xyz_ang * scale_xyz, self.mass_da * np.prod(scale_xyz)
        xyz_ang, mass_da = _merge(xyz_ang, mass_da, grain_ang)
        return Molecule(
            name=self.name,
            xyz_ang=xyz_ang,
            mass_da=mass_da,
            blur_ang=max(grain_ang * _BLUR_PER_GRAIN, self.blur_ang * float(np.max(scale_xyz))),
            diameter_ang=_compute_diameter(xyz_ang),
        )


def molecule_from_grains(
    name: str, xyz_ang: Float[np.ndarray, "points 3"], mass_da: Float[np.ndarray, " points"]
) -> Molecule:
    """Centre a cloud of mass, merge points within a few ångströms, and measure it.

    Args:
        name: Name of the molecule.
        xyz_ang: Positions of atoms, voxels or blobs in any frame; not all in one plane.
        mass_da: Masses, all above 0.

    Returns:
        The molecule. Its diameter is that of the original points.
    """
    centred = xyz_ang - np.average(xyz_ang, axis=0, weights=mass_da)
    grain_ang = _GRAIN_ANG
    merged, mass = _merge(centred, mass_da, grain_ang)
    while len(mass) > _MAX_GRAINS:
        grain_ang *= 1.25
        merged, mass = _merge(centred, mass_da, grain_ang)
    return Molecule(
        name=name,
        xyz_ang=merged,
        mass_da=mass,
        blur_ang=grain_ang * _BLUR_PER_GRAIN,
        diameter_ang=_compute_diameter(xyz_ang),
    )


def _compute_diameter(xyz_ang: Float[np.ndarray, "points 3"]) -> float:
    """Compute the longest distance between two points."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    return float(pdist(xyz_ang[ConvexHull(xyz_ang).vertices]).max())


def _merge(
    xyz_ang: Float[np.ndarray, "points 3"], mass_da: Float[np.ndarray, " points"], cell_ang: float
) -> tuple[Float[np.ndarray, "grains 3"], Float[np.ndarray, " grains"]]:
    """Merge the points of each cubic cell into one at their centre of mass."""
    cell = np.floor(xyz_ang / cell_ang).astype(np.int64)
    cell -= cell.min(axis=0)
    _, depth, height = cell.max(axis=0) + 1
    flat = (cell[:, 0] * depth + cell[:, 1]) * height + cell[:, 2]
    _, owner = np.unique(flat, return_inverse=True)
    mass = np.bincount(owner, weights=mass_da)
    moments = [np.bincount(owner, weights=mass_da * axis) for axis in xyz_ang.T]
    return np.stack(moments, axis=1) / mass[:, None], mass
