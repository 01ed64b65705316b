"""Built-in molecules: solids of protein density around a few overlapping blobs.

Each is a smooth union of Gaussian blobs, cut at one level and filled with grains of mass.
Nothing is read from disk and nothing is random: a name is always the same molecule.

- `BUILTIN_MOLECULES`: the names, with their usual diameters in ångströms.
- `builtin_molecule`: one of them.
- `molecule_from_blobs`: any other set of blobs.
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
_TEXTURE = 0.25  # spread of the density inside, as domains and cavities give


def builtin_molecule(name: str, diameter_ang: float | None = None) -> Molecule:
    """Build a molecule of protein density.

    Args:
        name: `compact` is globular with uneven lobes, `rod` long and bent, `y-shaped` three
            lobes on thin hinges as in an antibody, `ring` a closed circle of subunits.
        diameter_ang: Longest extent; None takes the usual one.

    Raises:
        SettingsError: The name is not one of `BUILTIN_MOLECULES`.

    >>> builtin_molecule("ring", 120.0).name
    'ring'
    """
    if name not in BUILTIN_MOLECULES:
        raise SettingsError(
            f"a built-in molecule is one of {', '.join(BUILTIN_MOLECULES)}; got {name!r}"
        )
    wanted_ang = BUILTIN_MOLECULES[name] if diameter_ang is None else diameter_ang
    blobs = _BLOBS[name]()
    blobs = blobs * (wanted_ang / _longest(_inside(blobs, spacing=0.04)))
    return molecule_from_blobs(name, blobs)


def molecule_from_blobs(
    name: str, blobs_ang: Float[np.ndarray, "blobs 4"], grid_ang: float = _GRID_ANG
) -> Molecule:
    """Fill the smooth union of blobs with protein, a little uneven in density.

    Args:
        name: What to call the molecule.
        blobs_ang: Centre (x, y, z) and radius of each.
        grid_ang: Spacing of the grains.
    """
    points = _inside(blobs_ang, spacing=grid_ang)
    texture = np.random.default_rng(len(points)).normal(1.0, _TEXTURE, len(points)).clip(0.2)
    mass = texture / texture.mean() * (PROTEIN_DA_PER_ANG3 * grid_ang**3)
    return molecule_from_grains(name, points, mass)


def _inside(blobs: Float[np.ndarray, "blobs 4"], spacing: float) -> Float[np.ndarray, "points 3"]:
    """Points of a cubic lattice within the smooth union of blobs (x, y, z, radius)."""
    reach = 1.3 * blobs[:, 3:]
    low = (blobs[:, :3] - reach).min(axis=0)
    high = (blobs[:, :3] + reach).max(axis=0)
    axes = [np.arange(a, b, spacing) for a, b in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    level = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape))
    for bx, by, bz, radius in blobs:
        # A lone blob reaches the level 1 at its radius.
        fall = 2.0 / radius**2
        level += np.exp(2.0) * (
            np.exp(-fall * (x - bx) ** 2)
            * np.exp(-fall * (y - by) ** 2)
            * np.exp(-fall * (z - bz) ** 2)
        )
    ix, iy, iz = np.nonzero(level >= 1.0)
    return np.stack([axes[0][ix], axes[1][iy], axes[2][iz]], axis=1)


def _longest(points: Float[np.ndarray, "points 3"]) -> float:
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    return float(pdist(points[ConvexHull(points).vertices]).max())


def _compact() -> Float[np.ndarray, "blobs 4"]:
    """A core with seven lobes of unlike size, none of them opposite another."""
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
    """Nine beads along a gentle bow, thicker at one end."""
    along = np.linspace(-1.0, 1.0, 9)
    return np.stack([along, 0.12 * along**2, 0.05 * np.sin(3 * along), 0.24 - 0.04 * along], axis=1)


def _y_shaped() -> Float[np.ndarray, "blobs 4"]:
    """Two arms and a stem of two domain pairs each, on a thin hinge, out of one plane."""
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
    """Seven subunits around an open channel, each with a domain above and a smaller below."""
    angle = 2 * np.pi * np.arange(7) / 7
    twist = angle + 0.35
    upper = np.stack([np.cos(angle), np.sin(angle), np.full(7, 0.24), np.full(7, 0.40)], axis=1)
    lower = np.stack(
        [0.95 * np.cos(twist), 0.95 * np.sin(twist), np.full(7, -0.28), np.full(7, 0.34)], axis=1
    )
    return np.concatenate([upper, lower]) * np.array([0.7, 0.7, 1.0, 0.72])


_BLOBS = MappingProxyType({"compact": _compact, "rod": _rod, "y-shaped": _y_shaped, "ring": _ring})
