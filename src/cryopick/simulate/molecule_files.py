"""Load molecules: built-in ones, atomic models (with gemmi) and maps (with mrcfile).

- `load_molecule`: load a built-in molecule by name, or a file.
- `molecule_from_file`: read PDB, mmCIF (plain or `.gz`) or MRC.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import InputError, SettingsError
from cryopick.simulate.builtin_molecules import BUILTIN_MOLECULES, builtin_molecule
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, Molecule, molecule_from_grains

__all__ = ["load_molecule", "molecule_from_file"]

_MODELS = (".pdb", ".ent", ".cif", ".mmcif")
_MAPS = (".mrc", ".map", ".ccp4")
_HYDROGEN_FACTOR = 1.07  # total mass of a protein over the mass of its heavy atoms
_PSEUDO_RESIDUES = frozenset({"DUM"})  # mark the membrane in OPM files
_MIN_POINTS = 50  # atoms or voxels; fewer are a ligand or noise instead of a particle


def load_molecule(molecule: str, diameter_ang: float | None = None) -> Molecule:
    """Load a built-in molecule by name, or a molecule from a file.

    Args:
        molecule: A name of `BUILTIN_MOLECULES`, or a path to PDB, mmCIF or MRC.
        diameter_ang: Diameter of a built-in molecule; None uses its default.

    Raises:
        SettingsError: The name or file does not exist, or a diameter is given for a file.
        InputError: The file cannot be read as a molecule.
    """
    if molecule in BUILTIN_MOLECULES:
        return builtin_molecule(molecule, diameter_ang)
    if not Path(molecule).exists():
        raise SettingsError(
            f"molecule must be one of {', '.join(BUILTIN_MOLECULES)}, or the path of a PDB, "
            f"mmCIF or MRC file; {molecule!r} does not exist"
        )
    if diameter_ang is not None:
        raise SettingsError(
            f"diameter_ang applies to built-in molecules only; {molecule} has its own size, "
            "so remove diameter_ang"
        )
    return molecule_from_file(Path(molecule))


def molecule_from_file(path: Path) -> Molecule:
    """Read a molecule from an atomic model or a map.

    From an atomic model, uses the heavy atoms of the first model without water. The mass includes
    hydrogens; no biological assembly is built. From a map, uses the voxels above an automatic
    contour level, with the density of protein.

    Args:
        path: PDB or mmCIF, plain or `.gz`, or an MRC map whose header has a voxel size.

    Raises:
        InputError: The file is missing, unreadable, in another format, or has too few atoms.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else path.suffix.lower()
    if kind not in _MODELS + _MAPS:
        raise InputError(
            f"{path}: a molecule must be one of {' '.join(_MODELS + _MAPS)}; convert the file first"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a model or a map")
    points, mass = _read_map(path) if kind in _MAPS else _read_model(path)
    if len(mass) < _MIN_POINTS:
        raise InputError(
            f"{path}: expected at least {_MIN_POINTS} heavy atoms or voxels, found {len(mass)}; "
            "check that it is the right file"
        )
    return molecule_from_grains(path.name, points, mass)


def _read_model(
    path: Path,
) -> tuple[Float[np.ndarray, "atoms 3"], Float[np.ndarray, " atoms"]]:
    """Read positions and masses of the heavy atoms of the first model."""
    import gemmi

    try:
        if path.suffix.lower() == ".gz":
            _check_gzip(path)
        structure = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError, OSError, EOFError, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected a PDB or mmCIF model, gemmi cannot read it ({reason}); "
            "check that the file is complete"
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
        if residue.name not in _PSEUDO_RESIDUES
        for atom in residue
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[:, :3], table[:, 3] * _HYDROGEN_FACTOR


def _check_gzip(path: Path) -> None:
    """Read a compressed file to its end, as gemmi silently accepts truncated ones."""
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def _read_map(path: Path) -> tuple[Float[np.ndarray, "voxels 3"], Float[np.ndarray, " voxels"]]:
    """Read positions and masses of the voxels above the contour level."""
    import mrcfile  # type: ignore[import-untyped]  # the package ships no types

    try:
        with mrcfile.open(path, mode="r") as source:
            density = np.asarray(source.data, dtype=np.float32)
            voxel_ang = np.array(source.voxel_size.tolist(), dtype=np.float64)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: expected an MRC map, mrcfile cannot read it ({error}); "
            "check that the file is complete"
        ) from error
    if density.ndim != 3 or min(density.shape) < 4 or not np.isfinite(density).all():
        raise InputError(
            f"{path}: expected a three-dimensional map of finite numbers, found "
            f"{' x '.join(map(str, density.shape))}; give the map of one molecule"
        )
    if not (voxel_ang > 0).all():
        raise InputError(f"{path}: the header has no voxel size; set it in the header of the file")
    is_inside = density >= _find_contour(density)
    points = np.argwhere(is_inside)[:, ::-1] * voxel_ang
    weight = density[is_inside].astype(np.float64)
    total_da = PROTEIN_DA_PER_ANG3 * len(weight) * voxel_ang.prod()
    return points, weight * (total_da / weight.sum())


def _find_contour(density: Float[np.ndarray, "depth height width"]) -> float:
    """Find the contour level that separates the molecule from the background, above 0.

    Uses Otsu's threshold, which maximizes the variance between the two classes.
    Source: Otsu 1979, IEEE Trans. Syst. Man Cybern. 9:62.
    """
    positive = density[density > 0]
    if len(positive) < _MIN_POINTS:
        return float(np.inf)
    counts, edges = np.histogram(positive, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    gap = moment[:-1] / np.maximum(below, 1) - (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * gap**2)])
