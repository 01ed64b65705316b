import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import InputError, SettingsError
from cryopick.simulate.builtin_molecules import BUILTIN_MOLECULES
from cryopick.simulate.molecule_files import load_molecule, molecule_from_file
from cryopick.simulate.molecules import PROTEIN_DA_PER_ANG3, molecule_from_grains

STRUCTURES = Path(__file__).parents[3] / "shared" / "data" / "structures"


def pdb_of(atoms):
    lines = [
        f"ATOM  {i:5d}  CA  {residue} A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00          "
        f"{element:>2}  "
        for i, (element, residue, x, y, z) in enumerate(atoms, start=1)
    ]
    return "\n".join([*lines, "END", ""])


def cube_of_carbon(side=4, step=5.0):
    return [("C", "ALA", step * i, step * j, step * k) for i, j, k in np.ndindex(side, side, side)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.floats(1, 50))
def test_merging_preserves_mass_and_centres_the_molecule(seed, spread_ang):
    rng = np.random.default_rng(seed)
    points = rng.normal(100.0, spread_ang, (200, 3))
    mass = rng.uniform(1, 30, 200)

    molecule = molecule_from_grains("cloud", points, mass)

    assert molecule.mass_da.sum() == pytest.approx(mass.sum())
    centre = np.average(molecule.xyz_ang, axis=0, weights=molecule.mass_da)
    np.testing.assert_allclose(centre, 0, atol=1e-9)
    gaps = np.linalg.norm(points[:, None] - points, axis=2)
    assert molecule.diameter_ang == pytest.approx(gaps.max())


def test_a_large_molecule_has_coarser_grains():
    lattice = np.stack(np.meshgrid(*[np.arange(0, 246, 6.0)] * 3), axis=-1).reshape(-1, 3)

    molecule = molecule_from_grains("huge", lattice, np.ones(len(lattice)))

    assert len(molecule.mass_da) <= 60_000 < len(lattice)
    assert molecule.mass_da.sum() == pytest.approx(len(lattice))
    assert molecule.blur_ang > 3.0


@pytest.mark.parametrize("name", BUILTIN_MOLECULES)
@pytest.mark.parametrize("diameter_ang", [None, 110.0])
def test_built_in_molecules_have_the_requested_diameter(name, diameter_ang):
    molecule = load_molecule(name, diameter_ang)

    wanted = BUILTIN_MOLECULES[name] if diameter_ang is None else diameter_ang
    assert molecule.diameter_ang == pytest.approx(wanted, abs=5.0)  # the lattice's spacing
    filled = molecule.mass_da.sum() / PROTEIN_DA_PER_ANG3 / (np.pi / 6 * wanted**3)
    assert 0.01 < filled < 0.6


def test_a_ring_has_a_hole_and_a_rod_is_long():
    ring, rod = load_molecule("ring"), load_molecule("rod")

    assert np.linalg.norm(ring.xyz_ang[:, :2], axis=1).min() > 15
    spread = np.linalg.eigvalsh(np.cov(rod.xyz_ang.T, aweights=rod.mass_da))
    assert spread[2] > 8 * spread[1]


def test_a_built_in_molecule_is_always_the_same():
    first, second = load_molecule("compact"), load_molecule("compact")

    np.testing.assert_array_equal(first.xyz_ang, second.xyz_ang)
    np.testing.assert_array_equal(first.mass_da, second.mass_da)


def test_an_unknown_name_is_rejected():
    with pytest.raises(SettingsError, match=r"one of compact, rod, y-shaped, ring.*'blob'"):
        load_molecule("blob")


def test_a_diameter_for_a_file_is_rejected(tmp_path):
    path = tmp_path / "cube.pdb"
    path.write_text(pdb_of(cube_of_carbon()))

    with pytest.raises(SettingsError, match=r"cube\.pdb has its own size"):
        load_molecule(str(path), 100.0)


@pytest.mark.parametrize("packed", [False, True])
def test_only_heavy_atoms_of_the_molecule_are_used(tmp_path, packed):
    atoms = cube_of_carbon()
    others = [("H", "ALA", 90, 0, 0), ("O", "HOH", 0, 90, 0), ("N", "DUM", 0, 0, 90)]
    text = pdb_of(atoms + others).encode()
    path = tmp_path / ("cube.pdb.gz" if packed else "cube.pdb")
    path.write_bytes(gzip.compress(text) if packed else text)

    molecule = molecule_from_file(path)

    assert molecule.diameter_ang == pytest.approx(15 * np.sqrt(3), abs=1e-3)
    assert molecule.mass_da.sum() == pytest.approx(64 * 12.011 * 1.07, rel=1e-3)


@pytest.mark.parametrize("voxel_ang", [2.0, 5.0])
def test_a_map_has_the_mass_of_protein_of_its_volume(tmp_path, voxel_ang):
    density = np.random.default_rng(0).normal(0, 0.02, (24, 24, 24)).astype(np.float32)
    density[4:16, 6:14, 8:12] += 1.0
    path = tmp_path / "block.mrc"
    with mrcfile.new(path) as out:
        out.set_data(density)
        out.voxel_size = voxel_ang

    molecule = molecule_from_file(path)

    assert molecule.mass_da.sum() == pytest.approx(12 * 8 * 4 * voxel_ang**3 * 0.81, rel=1e-6)
    longest = voxel_ang * np.linalg.norm([11, 7, 3])
    assert molecule.diameter_ang == pytest.approx(longest, rel=1e-6)
    assert molecule.xyz_ang[:, 2].max() > 1.2 * molecule.xyz_ang[:, 0].max()  # z is the slow axis


def write_map(path, density, voxel_ang):
    with mrcfile.new(path) as out:
        out.set_data(density)
        out.voxel_size = voxel_ang


def bad_files(folder):
    block = np.zeros((8, 8, 8), np.float32)
    write_map(folder / "no-voxel.mrc", block + np.arange(8, dtype=np.float32), 0.0)
    write_map(folder / "empty.mrc", block, 2.0)
    write_map(folder / "flat.mrc", block[0], 2.0)
    write_map(folder / "nan.mrc", np.full_like(block, np.nan), 2.0)
    (folder / "text.mrc").write_text("not a map")
    (folder / "text.cif").write_text("not a model")
    (folder / "few.pdb").write_text(pdb_of(cube_of_carbon(side=2)))
    (folder / "blank.pdb").write_text("")
    (folder / "cut.pdb.gz").write_bytes(gzip.compress(pdb_of(cube_of_carbon()).encode())[:50])
    (folder / "model.gro").write_text("")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("absent.pdb", "no such file"),
        ("model.gro", "must be one of .pdb .ent .cif"),
        ("text.cif", "gemmi cannot read it"),
        ("cut.pdb.gz", "gemmi cannot read it"),
        ("few.pdb", "found 8;"),
        ("blank.pdb", "found 0;"),
        ("text.mrc", "mrcfile cannot read it"),
        ("no-voxel.mrc", "no voxel size"),
        ("flat.mrc", "found 8 x 8"),
        ("nan.mrc", "finite numbers"),
        ("empty.mrc", "found 0;"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # mrcfile sums up a map of NaN on writing
def test_an_invalid_molecule_file_raises_an_input_error(tmp_path, name, text):
    bad_files(tmp_path)

    with pytest.raises(InputError) as caught:
        molecule_from_file(tmp_path / name)

    message = str(caught.value)
    assert name in message
    assert text in message
    assert "\n" not in message


@pytest.mark.skipif(not STRUCTURES.is_dir(), reason="the shared structures are not available")
@pytest.mark.parametrize(
    ("name", "diameter_ang", "mass_kda"),
    [
        ("Hemoglobin_2hhb.pdb", 70, 64),
        ("IgG1_1igy.cif", 148, 146),
        ("GroEL_1mnf.pdb.gz", 188, 790),
        ("GltPh_2nwl-opm.pdb", 106, 130),
        ("T6SSsheath_3j9g_ps4.4.mrc", 255, None),
    ],
)
def test_real_structures_have_their_published_size(name, diameter_ang, mass_kda):
    molecule = molecule_from_file(STRUCTURES / name)

    assert molecule.diameter_ang == pytest.approx(diameter_ang, rel=0.1)
    if mass_kda is not None:
        assert molecule.mass_kda == pytest.approx(mass_kda, rel=0.1)
