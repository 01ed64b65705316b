"""Molecules from files: atomic models through gemmi, maps through mrcfile.

- `molecule_from_file`: PDB, mmCIF (both also `.gz`) or MRC.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import InputError
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, Molecule, molecule_from_grains

__all__ = ["molecule_from_file"]

_MODELS = (".pdb", ".ent", ".cif", ".mmcif")
_MAPS = (".mrc", ".map", ".ccp4")
_WITH_HYDROGEN = 1.07  # mass of a protein with its hydrogens over that of its heavy atoms
_NOT_MATTER = frozenset({"DUM"})  # pseudo-atoms that mark a membrane in OPM files
_FEWEST = 50  # atoms or voxels: fewer are a ligand or noise, not a particle


def molecule_from_file(path: Path) -> Molecule:
    """Read a molecule from an atomic model or a map.

    Of a model, the heavy atoms of the first model count, without water; hydrogens are
    allowed for in the mass, and no biological assembly is built. Of a map, the voxels above
    an automatic contour count, and weigh what protein of that volume weighs.

    Args:
        path: PDB or mmCIF, plain or `.gz`, or an MRC map whose header has a voxel size.

    Raises:
        InputError: The file is missing, of another kind, unreadable, or holds no molecule.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else path.suffix.lower()
    if kind not in _MODELS + _MAPS:
        raise InputError(
            f"{path}: a molecule is read from {' '.join(_MODELS + _MAPS)}; this file is none "
            "of them, so convert it first"
        )
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a model or a map")
    points, mass = _read_map(path) if kind in _MAPS else _read_model(path)
    if len(mass) < _FEWEST:
        raise InputError(
            f"{path}: a molecule has at least {_FEWEST} heavy atoms or voxels, this file has "
            f"{len(mass)}; check that it is the right file"
        )
    return molecule_from_grains(path.name, points, mass)


def _read_model(
    path: Path,
) -> tuple[Float[np.ndarray, "atoms 3"], Float[np.ndarray, " atoms"]]:
    """Positions and masses of the heavy atoms of the first model."""
    import gemmi

    try:
        if path.suffix.lower() == ".gz":
            _unpack(path)
        structure = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError, OSError, EOFError, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected a PDB or mmCIF model, gemmi cannot read it ({reason}); "
            "check that the file is whole"
        ) from error
    if not len(structure):
        return np.zeros((0, 3)), np.zeros(0)
    structure.remove_alternative_conformations()
    structure.remove_hydrogens()
    structure.remove_waters()
    rows = [
        (*atom.pos.tolist(), atom.element.weight)
        for chain in structure[0]
        for residue in chain
        if residue.name not in _NOT_MATTER
        for atom in residue
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[:, :3], table[:, 3] * _WITH_HYDROGEN


def _unpack(path: Path) -> None:
    """Read a packed file to its end: gemmi takes the beginning of a cut one for the whole."""
    with gzip.open(path) as packed:
        while packed.read(1 << 20):
            pass


def _read_map(path: Path) -> tuple[Float[np.ndarray, "voxels 3"], Float[np.ndarray, " voxels"]]:
    """Positions and masses of the voxels above the contour."""
    import mrcfile  # type: ignore[import-untyped]  # the package ships no types

    try:
        with mrcfile.open(path, mode="r") as source:
            density = np.asarray(source.data, dtype=np.float32)
            voxel_ang = np.array(source.voxel_size.tolist(), dtype=np.float64)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: expected an MRC map, mrcfile cannot read it ({error}); "
            "check that the file is whole"
        ) from error
    if density.ndim != 3 or min(density.shape) < 4 or not np.isfinite(density).all():
        raise InputError(
            f"{path}: expected a map of finite numbers with three sides, found "
            f"{' x '.join(map(str, density.shape))}; give the map of one molecule"
        )
    if not (voxel_ang > 0).all():
        raise InputError(
            f"{path}: the header has no voxel size, and a molecule needs one; set it in the "
            "file's header"
        )
    inside = density >= _contour(density)
    points = np.argwhere(inside)[:, ::-1] * voxel_ang
    weight = density[inside].astype(np.float64)
    total_da = PROTEIN_DA_PER_ANG3 * len(weight) * voxel_ang.prod()
    return points, weight * (total_da / weight.sum())


def _contour(density: Float[np.ndarray, "depth height width"]) -> float:
    """Density that parts the molecule from what surrounds it, above 0.

    The threshold with the largest variance between the two classes it makes.
    Source: Otsu 1979, IEEE Trans. Syst. Man Cybern. 9:62.
    """
    positive = density[density > 0]
    if len(positive) < _FEWEST:
        return float(np.inf)
    counts, edges = np.histogram(positive, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    gap = moment[:-1] / np.maximum(below, 1) - (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * gap**2)])
