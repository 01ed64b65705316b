import numpy as np
import pytest

from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.simulate.domain import Domain, simulate_field

DOMAIN = Domain(molecules=(builtin_molecule("ring", 120.0),), side_px=128)


@pytest.fixture(scope="module")
def fields():
    return [simulate_field(DOMAIN, [1, number]) for number in range(24)]


def test_a_field_is_a_function_of_its_seed(fields):
    repeated = simulate_field(DOMAIN, [1, 3])

    np.testing.assert_array_equal(repeated.image, fields[3].image)
    np.testing.assert_array_equal(repeated.xy_px, fields[3].xy_px)


def test_fields_are_finite_and_have_the_requested_size(fields):
    for field in fields:
        assert field.image.shape == (128, 128)
        assert field.image.dtype == np.float32
        assert np.isfinite(field.image).all()
        assert ((field.xy_px >= 0) & (field.xy_px <= 127)).all()


def test_molecule_particle_count_and_scale_vary(fields):
    assert any(f.molecule.startswith("ring") for f in fields)
    assert len({f.molecule for f in fields}) > 3
    assert min(len(f.xy_px) for f in fields) == 0 < max(len(f.xy_px) for f in fields)
    assert len({round(f.pixel_size_ang, 3) for f in fields}) == len(fields)


def test_all_molecules_are_procedural_without_real_ones():
    fields = [simulate_field(Domain(side_px=96), [2, n]) for n in range(4)]

    assert all("ring" not in field.molecule for field in fields)
