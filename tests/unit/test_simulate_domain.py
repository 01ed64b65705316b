import numpy as np
import pytest

from cryopick.simulate.domain import Domain, simulate_field
from cryopick.simulate.shapes import builtin_molecule

DOMAIN = Domain(molecules=(builtin_molecule("ring", 120.0),), side_px=128)


@pytest.fixture(scope="module")
def fields():
    return [simulate_field(DOMAIN, [1, number]) for number in range(24)]


def test_a_field_depends_on_its_seed_alone(fields):
    again = simulate_field(DOMAIN, [1, 3])

    np.testing.assert_array_equal(again.image, fields[3].image)
    np.testing.assert_array_equal(again.xy_px, fields[3].xy_px)


def test_fields_are_finite_and_of_the_side_asked_for(fields):
    for field in fields:
        assert field.image.shape == (128, 128)
        assert field.image.dtype == np.float32
        assert np.isfinite(field.image).all()
        assert ((field.xy_px >= 0) & (field.xy_px <= 127)).all()


def test_molecules_number_and_scale_vary(fields):
    assert any(f.molecule.startswith("ring") for f in fields)
    assert len({f.molecule for f in fields}) > 3
    assert min(len(f.xy_px) for f in fields) == 0 < max(len(f.xy_px) for f in fields)
    assert len({round(f.pixel_size_ang, 3) for f in fields}) == len(fields)


def test_without_real_molecules_all_are_drawn():
    fields = [simulate_field(Domain(side_px=96), [2, n]) for n in range(4)]

    assert all("ring" not in field.molecule for field in fields)
