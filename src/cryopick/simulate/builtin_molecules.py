"""Built-in molecules: smooth unions of Gaussian blobs, filled with protein density.

A name always gives the same molecule; nothing is random or read from disk.

- `BUILTIN_MOLECULES`: names and default diameters in ångströms.
- `builtin_molecule`: build one of them.
- `molecule_from_blobs`: build a molecule from any set of blobs.
"""

from types import MappingProxyType

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import SettingsError
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, Molecule, molecule_from_grains

__all__ = ["BUILTIN_MOLECULES", "builtin_molecule", "molecule_from_blobs"]

BUILTIN_MOLECULES = MappingProxyType(
    {"compact": 170.0, "rod": 220.0, "y-shaped": 150.0, "ring": 150.0}
)
_GRID_ANG = 3.5  # spacing of the grains
_DENSITY_SD = 0.25  # relative variation of the density, due to domains and cavities


def builtin_molecule(name: str, diameter_ang: float | None = None) -> Molecule:
    """Build a built-in molecule.

    Args:
        name: `compact` is globular with lobes, `rod` elongated and bent, `y-shaped` has three
            lobes on thin hinges as in an antibody, `ring` is a closed ring of subunits.
        diameter_ang: Longest extent; None uses the default.

    Raises:
        SettingsError: The name is not one of `BUILTIN_MOLECULES`.

    >>> builtin_molecule("ring", 120.0).name
    'ring'
    """
    if name not in BUILTIN_MOLECULES:
        raise SettingsError(
            f"the built-in molecule must be one of {', '.join(BUILTIN_MOLECULES)}; got {name!r}"
        )
    target_ang = BUILTIN_MOLECULES[name] if diameter_ang is None else diameter_ang
    blobs = _BLOBS[name]()
    blobs = blobs * (target_ang / _compute_diameter(_fill_blobs(blobs, spacing=0.04)))
    return molecule_from_blobs(name, blobs)


def molecule_from_blobs(
    name: str, blobs_ang: Float[np.ndarray, "blobs 4"], grid_ang: float = _GRID_ANG
) -> Molecule:
    """Fill the smooth union of blobs with protein of slightly variable density.

    Args:
        name: Name of the molecule.
        blobs_ang: Centre (x, y, z) and radius of each.
        grid_ang: Spacing of the grains.
    """
    points = _fill_blobs(blobs_ang, spacing=grid_ang)
    density = np.random.default_rng(len(points)).normal(1.0, _DENSITY_SD, len(points)).clip(0.2)
    mass = density / density.mean() * (PROTEIN_DA_PER_ANG3 * grid_ang**3)
    return molecule_from_grains(name, points, mass)


def _fill_blobs(
    blobs: Float[np.ndarray, "blobs 4"], spacing: float
) -> Float[np.ndarray, "points 3"]:
    """Return the points of a cubic lattice within the smooth union of blobs (x, y, z, radius)."""
    extent = 1.3 * blobs[:, 3:]
    low = (blobs[:, :3] - extent).min(axis=0)
    high = (blobs[:, :3] + extent).max(axis=0)
    axes = [np.arange(a, b, spacing) for a, b in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    level = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape))
    for bx, by, bz, radius in blobs:
        # A single blob has the level 1 at its radius.
        decay = 2.0 / radius**2
        level += np.exp(2.0) * (
            np.exp(-decay * (x - bx) ** 2)
            * np.exp(-decay * (y - by) ** 2)
            * np.exp(-decay * (z - bz) ** 2)
        )
    ix, iy, iz = np.nonzero(level >= 1.0)
    return np.stack([axes[0][ix], axes[1][iy], axes[2][iz]], axis=1)


def _compute_diameter(points: Float[np.ndarray, "points 3"]) -> float:
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    return float(pdist(points[ConvexHull(points).vertices]).max())


def _compact() -> Float[np.ndarray, "blobs 4"]:
    """Return the blobs of a core with seven lobes of different sizes, without symmetry."""
    return np.array(
        [
            [0.0, 0.0, 0.0, 0.42],
            [0.40, 0.12, 0.05, 0.31],
            [-0.34, 0.26, 0.12, 0.33],
            [-0.12, -0.42, 0.16, 0.28],
            [0.08, 0.16, 0.42, 0.24],
            [0.16, -0.18, -0.36, 0.30],
            [-0.34, -0.14, -0.30, 0.24],
            [0.28, 0.38, -0.16, 0.26],
        ]
    ) * (1.0, 1.0, 0.8, 0.82)


def _rod() -> Float[np.ndarray, "blobs 4"]:
    """Return nine beads along a slight arc, thicker at one end."""
    along = np.linspace(-1.0, 1.0, 9)
    return np.stack([along, 0.12 * along**2, 0.05 * np.sin(3 * along), 0.24 - 0.04 * along], axis=1)


def _y_shaped() -> Float[np.ndarray, "blobs 4"]:
    """Return two arms and a stem of two domains each, on a thin hinge, not in one plane."""
    return np.array(
        [
            [0.0, -0.34, 0.0, 0.22],
            [0.0, -0.66, 0.06, 0.24],
            [-0.36, 0.24, 0.10, 0.22],
            [-0.62, 0.50, 0.16, 0.22],
            [0.40, 0.16, -0.08, 0.22],
            [0.72, 0.34, -0.16, 0.22],
            [0.0, -0.08, 0.0, 0.10],
            [-0.14, 0.06, 0.04, 0.10],
            [0.16, 0.03, -0.03, 0.10],
        ]
    )


def _ring() -> Float[np.ndarray, "blobs 4"]:
    """Return seven subunits around a channel, each with an upper and a smaller lower domain."""
    angle = 2 * np.pi * np.arange(7) / 7
    twist = angle + 0.35
    upper = np.stack([np.cos(angle), np.sin(angle), np.full(7, 0.24), np.full(7, 0.40)], axis=1)
    lower = np.stack(
        [0.95 * np.cos(twist), 0.95 * np.sin(twist), np.full(7, -0.28), np.full(7, 0.34)], axis=1
    )
    return np.concatenate([upper, lower]) * np.array([0.7, 0.7, 1.0, 0.72])


_BLOBS = MappingProxyType({"compact": _compact, "rod": _rod, "y-shaped": _y_shaped, "ring": _ring})
