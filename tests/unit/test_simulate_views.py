import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_simulate

from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.simulate.molecules import Molecule
from cryopick.simulate.views import (
    convert_to_euler_angles,
    deposit_mass,
    draw_rotations,
    draw_similar_rotations,
    project_molecule,
)

MOLECULE = builtin_molecule("y-shaped", 90.0)


def centre_of_mass(image):
    rows, columns = np.indices(image.shape)
    return (columns * image).sum() / image.sum(), (rows * image).sum() / image.sum()


@given(st.integers(0, 2**32), st.integers(0, 5))
def test_rotations_are_proper(seed, count):
    rotations = draw_rotations(np.random.default_rng(seed), count)

    identity = np.broadcast_to(np.eye(3), (count, 3, 3))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), identity, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)


def turn(axis, angle_deg):
    """Rotation of the coordinate frame about y or z by an angle."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    if axis == "z":
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


@given(st.integers(0, 2**32))
def test_euler_angles_describe_the_rotation_as_turns_about_z_y_and_z(seed):
    (rotation,) = draw_rotations(np.random.default_rng(seed), 1)

    angles = {name: float(a[0]) for name, a in convert_to_euler_angles(rotation[None]).items()}

    psi, tilt, rot = angles["psi_deg"], angles["tilt_deg"], angles["rot_deg"]
    expected = turn("z", psi) @ turn("y", tilt) @ turn("z", rot)
    np.testing.assert_allclose(rotation, expected, atol=1e-6)


def test_every_orientation_is_equally_likely():
    count = 20_000
    rotations = draw_rotations(np.random.default_rng(5), count)

    # Each entry is a coordinate of a point on a sphere: uniform on [-1, 1] (Archimedes), so
    # its mean is 0 ± 1/√3n and its mean square 1/3 ± 0.3/√n; five deviations are allowed.
    assert np.abs(rotations.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / count)
    assert np.abs((rotations**2).mean(axis=0) - 1 / 3).max() < 5 * 0.3 / np.sqrt(count)
    # The angle of a uniform rotation has the mean π/2 + 2/π.
    angle = np.arccos((np.trace(rotations, axis1=1, axis2=2) - 1) / 2)
    assert angle.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=5 * 0.65 / np.sqrt(count))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1.0, 1.7, 3.3]))
def test_projections_preserve_mass_and_centre(seed, pixel_ang):
    rotation = draw_rotations(np.random.default_rng(seed), 1)[0]
    side = int(140 / pixel_ang)

    image = project_molecule(MOLECULE, rotation, pixel_ang, side)

    assert image.sum() == pytest.approx(MOLECULE.mass_da.sum())
    # the tail of the Gaussian that wraps around is below a thousandth of a pixel
    assert centre_of_mass(image) == pytest.approx((side // 2, side // 2), abs=1e-3)


def test_projection_equals_a_sum_of_gaussians():
    rng = np.random.default_rng(2)
    grains = rng.normal(scale=4.0, size=(6, 3))
    mass = rng.uniform(20, 60, 6)
    molecule = Molecule(
        name="six grains", xyz_ang=grains, mass_da=mass, blur_ang=3.0, diameter_ang=20.0
    )
    rotation = draw_rotations(rng, 1)[0]

    image = project_molecule(molecule, rotation, 1.0, 40)

    expected = oracles_simulate.projection(grains, mass, rotation, 3.0, 1.0, 40)
    # bilinear shares widen a Gaussian's variance by at most 0.25 of a pixel's square: 3 %
    np.testing.assert_allclose(image, expected, atol=0.03 * expected.max())


points = st.lists(
    st.tuples(st.floats(-3, 12), st.floats(-3, 10), st.floats(0.5, 5)), min_size=1, max_size=8
)


@given(points)
def test_deposition_preserves_mass_and_centre(rows):
    x, y, weight = np.array(rows).T
    inside = (x >= 0) & (x <= 8) & (y >= 0) & (y <= 6)
    image = np.zeros((8, 10))

    deposit_mass(image, np.stack([x[inside], y[inside]], axis=1), weight[inside])

    assert image.sum() == pytest.approx(weight[inside].sum())
    if inside.any():
        expected = [np.average(axis[inside], weights=weight[inside]) for axis in (x, y)]
        assert centre_of_mass(image) == pytest.approx(expected, abs=1e-9)


@given(points)
def test_mass_outside_the_image_does_not_wrap_around(rows):
    x, y, weight = np.array(rows).T
    image, wide = np.zeros((8, 10)), np.zeros((20, 22))

    deposit_mass(image, np.stack([x, y], axis=1), weight)
    deposit_mass(wide, np.stack([x + 5, y + 5], axis=1), weight)

    np.testing.assert_allclose(image, wide[5:13, 5:15], atol=1e-9)


def test_similar_rotations_share_the_view_with_random_in_plane_angles():
    view = draw_rotations(np.random.default_rng(1), 1)[0]
    rotations = draw_similar_rotations(np.random.default_rng(2), 400, view, tilt_sd_rad=0.1)

    up = view.T[:, 2]  # what the view brings up, the others bring nearly up
    shown = rotations @ up
    assert np.arccos(shown[:, 2].clip(-1, 1)).mean() == pytest.approx(0.125, rel=0.15)
    right = rotations @ view.T[:, 0]
    turn = np.arctan2(right[:, 1], right[:, 0])
    assert np.histogram(turn, bins=4, range=(-np.pi, np.pi))[0].min() > 60
