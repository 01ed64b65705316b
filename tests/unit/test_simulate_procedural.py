import numpy as np
import pytest

from cryopick.simulate.builtin_molecules import builtin_molecule, molecule_from_blobs
from cryopick.simulate.procedural import FAMILIES, add_belt, draw_molecule


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_makes_molecules_with_at_most_protein_density(family):
    for seed in range(3):
        blobs = FAMILIES[family](np.random.default_rng(seed))
        molecule = molecule_from_blobs(family, blobs * 60.0, grid_ang=6.0)

        assert len(molecule.mass_da) > 20
        # no denser than a solid ball of protein of that diameter
        ball_da = 0.81 * np.pi / 6 * molecule.diameter_ang**3
        assert 0 < molecule.mass_da.sum() < 1.3 * ball_da


def test_drawn_molecules_vary_in_size_and_family():
    molecules = [draw_molecule(np.random.default_rng(seed)) for seed in range(150)]

    assert len({molecule.name for molecule in molecules}) >= len(FAMILIES)
    diameters = [molecule.diameter_ang for molecule in molecules]
    assert min(diameters) < 120
    assert max(diameters) > 350
    assert min(m.mass_kda for m in molecules) < 150
    assert max(m.mass_kda for m in molecules) > 5_000


def test_a_molecule_is_a_function_of_the_random_generator():
    first, repeated = (draw_molecule(np.random.default_rng(8)) for _ in range(2))

    np.testing.assert_array_equal(first.xyz_ang, repeated.xyz_ang)


def test_a_belt_adds_mass_around_the_molecule():
    original = builtin_molecule("rod", 120.0)
    with_belt = add_belt(np.random.default_rng(0), original)

    assert with_belt.mass_kda > original.mass_kda
    across = [
        np.quantile(np.linalg.norm(m.xyz_ang - m.xyz_ang.mean(axis=0), axis=1), 0.5)
        for m in (original, with_belt)
    ]
    assert with_belt.diameter_ang < original.diameter_ang + 80
    assert across[1] > 0


def test_stretching_preserves_density_and_changes_proportions():
    molecule = builtin_molecule("compact", 100.0)
    longer = molecule.stretch(np.array([2.0, 1.0, 1.0]))

    assert longer.mass_kda == pytest.approx(2 * molecule.mass_kda)
    before, after = (np.ptp(m.xyz_ang, axis=0) for m in (molecule, longer))
    np.testing.assert_allclose(after / before, [2, 1, 1], rtol=0.1)


def test_coarser_grains_are_fewer_with_the_same_total_mass():
    molecule = builtin_molecule("compact", 100.0)
    coarse = molecule.stretch(np.ones(3), grain_ang=12.0)

    assert len(coarse.mass_da) < len(molecule.mass_da) / 5
    assert coarse.mass_kda == pytest.approx(molecule.mass_kda)
    assert coarse.blur_ang > molecule.blur_ang
