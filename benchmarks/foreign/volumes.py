"""Volumes of electrostatic potential for the foreign simulators: NumPy and SciPy only.

A volume is `depth, height, width`, in volts above the potential of the ice, and cubic. Atomic
models are blurred to the pixel and scaled by their mass density: protein packed at
0.81 Da/Å³ is 2.7 V above ice. Synthetic shapes have that potential inside.

- `make_volume`: a molecule by its name.
- `measure_extents`: its longest, middle and shortest extent.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ["make_volume", "measure_extents"]

PROTEIN_V = 2.7
PROTEIN_DA_PER_ANG3 = 0.81
MASS_DA = {"C": 12.0, "N": 14.0, "O": 16.0, "S": 32.1, "P": 31.0}
STRUCTURES = {
    "hemoglobin": "Hemoglobin_2hhb.pdb",
    "ribosome": "Ribosome70S_tteftu_with_tRNA.pdb.gz",
    "groel": "GroEL_1mnf.pdb.gz",
    "igg": "IgG1_1igy.cif",
    "spike": "Spike_6vxx.pdb",
    "mcr": "MCR_1e6v.pdb",
    "nucleosome": "Nucleosome_1kx5.pdb",
    "proteasome": "Proteasome20S_3l5q.gro",
    "capped-proteasome": "Proteasome20S_3l5q.gro",
    "unc18": "Unc18Syntaxin_2xhe.cif",
    "gltph": "GltPh_2nwl-opm.pdb",
    "rxeg": "RXEG1-XEG1_7wv3.pdb",
    "ret": "RET-GFRa2-NRTN_6gl7.pdb",
    "ruvb": "RuvB-HJ_7pbl.pdb",
    "achbp": "AChBP_3wip.cif",
    "rsc": "RSC_6v8o.pdb",
    "virus": "phiX174_1rb8.pdb",
}
SKIPPED = {"HOH", "WAT", "SOL", "DUM"}


def make_volume(molecule: str, structures: Path, pixel_size_ang: float) -> np.ndarray:
    """Potential of a molecule, in a box 1.7 times as wide as the molecule is long.

    Args:
        molecule: A name of `STRUCTURES`; `gpcr`, `shell`, `ring`, `rod8` or `rod12`.
        structures: Folder of the atomic models.
        pixel_size_ang: Side of a voxel in ångströms.

    Returns:
        The volume in volts, with its centre of the bounding box in the middle voxel.
    """
    if molecule in STRUCTURES:
        xyz, mass = read_atoms(structures / STRUCTURES[molecule])
        if molecule == "proteasome":  # without its two caps
            xyz, mass = cut_along_axis(xyz, mass, 170.0)
        if molecule == "virus":
            xyz, mass = assemble(xyz, mass, read_operators(structures / STRUCTURES[molecule]))
    elif molecule == "gpcr":
        xyz, mass = build_gpcr(structures)
    else:
        xyz, mass = fill_shape(molecule)
    xyz = xyz - (xyz.max(axis=0) + xyz.min(axis=0)) / 2
    length_ang = 2 * np.linalg.norm(xyz, axis=1).max()
    side = 2 * int(np.ceil(1.7 * length_ang / pixel_size_ang / 2))
    edges = (np.arange(side + 1) - side // 2 - 0.5) * pixel_size_ang
    counts, _ = np.histogramdd(xyz[:, ::-1], bins=(edges,) * 3, weights=mass)
    density = gaussian_filter(counts, max(0.6, 2.5 / pixel_size_ang)) / pixel_size_ang**3
    return (density * PROTEIN_V / PROTEIN_DA_PER_ANG3).astype(np.float32)


def measure_extents(volume: np.ndarray, pixel_size_ang: float) -> tuple[float, float, float]:
    """Longest, middle and shortest extent along the principal axes, in ångströms."""
    inside = np.argwhere(volume > 0.3 * PROTEIN_V) * pixel_size_ang
    centred = inside - inside.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    along = np.ptp(centred @ axes, axis=0) + pixel_size_ang
    longest, middle, shortest = sorted(map(float, along), reverse=True)
    return longest, middle, shortest


def read_atoms(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in ångströms and masses in dalton of the heavy atoms of an atomic model."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    read = {".gro": read_gro, ".cif": read_cif}.get(path.suffix, read_pdb)
    rows = list(read(iter(text.splitlines())))
    xyz = np.array([row[1:] for row in rows])
    # Hydrogen is carried by the heavy atoms: 7 % of a protein's mass.
    return xyz, 1.07 * np.array([MASS_DA[row[0]] for row in rows])


Atom = tuple[str, float, float, float]


def read_pdb(lines: Iterator[str]) -> Iterator[Atom]:
    """Yield heavy atoms of the first model of a PDB file."""
    for line in lines:
        if line.startswith("ENDMDL"):
            return
        if not line.startswith(("ATOM", "HETATM")) or line[17:20].strip() in SKIPPED:
            continue
        element = line[76:78].strip() or line[12:16].strip().lstrip("0123456789")[:1]
        if element in MASS_DA:
            yield element, float(line[30:38]), float(line[38:46]), float(line[46:54])


def read_cif(lines: Iterator[str]) -> Iterator[Atom]:
    """Yield heavy atoms of an mmCIF file."""
    columns: list[str] = []
    for line in lines:
        if line.startswith("_atom_site."):
            columns.append(line.strip().removeprefix("_atom_site."))
        elif line.startswith(("ATOM", "HETATM")):
            row = dict(zip(columns, line.split(), strict=False))
            if row["type_symbol"] in MASS_DA and row["label_comp_id"] not in SKIPPED:
                yield row["type_symbol"], *(float(row[f"Cartn_{axis}"]) for axis in "xyz")


def read_gro(lines: Iterator[str]) -> Iterator[Atom]:
    """Yield heavy atoms of a GROMACS file, whose unit is the nanometre."""
    next(lines), next(lines)
    for line in lines:
        element = line[10:15].strip().lstrip("0123456789")[:1]
        if len(line) >= 44 and element in MASS_DA and line[5:10].strip() not in SKIPPED:
            yield element, *(10 * float(line[at : at + 8]) for at in (20, 28, 36))


def read_operators(path: Path) -> np.ndarray:
    """Rotations and shifts of the biological assembly of a PDB file, `copies, 3, 4`."""
    rows = [
        [float(word) for word in line.split()[4:8]]
        for line in path.read_text().splitlines()
        if line.startswith("REMARK 350   BIOMT")
    ]
    return np.array(rows).reshape(-1, 3, 4)


def assemble(
    xyz: np.ndarray, mass: np.ndarray, operators: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of all copies of an assembly."""
    copies = [xyz @ one[:, :3].T + one[:, 3] for one in operators]
    return np.concatenate(copies), np.tile(mass, len(operators))


def cut_along_axis(
    xyz: np.ndarray, mass: np.ndarray, length_ang: float
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms within half of `length_ang` of the middle, along the longest principal axis."""
    centred = xyz - xyz.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    keep = np.abs(centred @ axes[:, -1]) <= length_ang / 2
    return xyz[keep], mass[keep]


def build_gpcr(structures: Path) -> tuple[np.ndarray, np.ndarray]:
    """Seven helices in a micelle, with a soluble complex of 89 kDa below: like a GPCR."""
    below, below_mass = read_atoms(structures / "Unc18Syntaxin_2xhe.cif")
    below = below - below.mean(axis=0)
    _, axes = np.linalg.eigh(below.T @ below)
    below = below @ axes[:, [1, 2, 0]]
    grid = make_grid(60.0)
    angle = np.arange(7) * 2 * np.pi / 7
    off_axis = np.stack([13 * np.cos(angle), 13 * np.sin(angle)])
    apart = np.hypot(grid[:, 0, None] - off_axis[0], grid[:, 1, None] - off_axis[1]).min(axis=1)
    helices = grid[(apart < 5.5) & (np.abs(grid[:, 2]) < 24)]
    radius, height = np.hypot(grid[:, 0], grid[:, 1]), np.abs(grid[:, 2])
    is_micelle = ((radius / 40) ** 2 + (height / 21) ** 2 < 1) & (radius > 19)
    micelle = grid[is_micelle]
    # The polar heads are denser than the ice, the tails about as dense as it.
    heads = (radius / 34) ** 2 + (height / 15) ** 2 > 1
    micelle_mass = np.where(heads[is_micelle], 0.35, 0.05) * grid_mass_da()
    below[:, 2] += -24 - below[:, 2].max() + 4
    return (
        np.concatenate([helices, micelle, below]),
        np.concatenate([np.full(len(helices), grid_mass_da()), micelle_mass, below_mass]),
    )


STEP_ANG = 2.0  # between the points that fill a synthetic shape


def grid_mass_da() -> float:
    """Mass of a point that fills a synthetic shape."""
    return PROTEIN_DA_PER_ANG3 * STEP_ANG**3


def make_grid(half_side_ang: float) -> np.ndarray:
    """Points of a cubic lattice around the origin, `points, 3`."""
    line = np.arange(-half_side_ang, half_side_ang + STEP_ANG / 2, STEP_ANG)
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)


def fill_shape(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points that fill a synthetic shape, and their masses.

    `ring`: eight lobes around a hollow, 150 Å across and 46 Å high. `shell`: a hollow sphere of
    130 Å with walls of 25 Å and 12 lobes. `rod8`, `rod12`: helices of lobes, 240 x 30 and
    326 x 26 Å.
    """
    if name in ("rod8", "rod12"):
        return fill_rod(*{"rod8": (240.0, 30.0), "rod12": (326.0, 26.0)}[name])
    grid = make_grid(80.0)
    radius = np.hypot(grid[:, 0], grid[:, 1])
    if name == "ring":
        lobes = 4 * np.cos(8 * np.arctan2(grid[:, 1], grid[:, 0]))
        inside = np.hypot((radius - 54) / (19 + lobes / 2), grid[:, 2] / (21 + lobes / 2)) < 1
    elif name == "shell":
        distance = np.linalg.norm(grid, axis=1)
        ripple = 3 * np.sin(grid / 14).prod(axis=1) * 2
        inside = (distance < 62 + ripple) & (distance > 40 + ripple)
    else:
        raise ValueError(f"unknown molecule {name}")
    points = grid[inside]
    return points, np.full(len(points), grid_mass_da())


def fill_rod(length_ang: float, width_ang: float) -> tuple[np.ndarray, np.ndarray]:
    """Lobes on two intertwined strands, which fill a cylinder nearly."""
    rise_ang, pitch_ang = width_ang / 3, 3 * width_ang
    z = np.arange(-length_ang / 2 + width_ang / 4, length_ang / 2 - width_ang / 4 + 0.1, rise_ang)
    turn = 2 * np.pi * z / pitch_ang
    offset = width_ang / 5
    line = np.arange(-length_ang / 2, length_ang / 2 + 1, STEP_ANG)
    across = np.arange(-width_ang, width_ang + 1, STEP_ANG)
    grid = np.stack(np.meshgrid(across, across, line, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = np.full(len(grid), np.inf)
    for strand in (0.0, np.pi):
        centres = np.stack(
            [offset * np.cos(turn + strand), offset * np.sin(turn + strand), z], axis=1
        )
        for centre in centres:
            nearest = np.minimum(nearest, np.linalg.norm(grid - centre, axis=1))
    points = grid[nearest < width_ang * 0.3]
    return points, np.full(len(points), grid_mass_da())
