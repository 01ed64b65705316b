"""Tilt series, back-projection and simulated tomograms."""

import numpy as np
import pytest

from cryopick.errors import SettingsError
from cryopick.simulate.builtin_molecules import builtin_molecule
from cryopick.tomograms.coordinates import get_xyz
from cryopick.tomograms.simulation.settings import TomogramSettings
from cryopick.tomograms.simulation.tilt_series import list_tilts, project, reconstruct
from cryopick.tomograms.simulation.tomogram import simulate_tomogram

SMALL = TomogramSettings(
    molecules=("ring", "compact"),
    particles=3,
    width_px=40,
    height_px=36,
    depth_px=24,
    crowders=5,
    membranes=1,
    gold=1,
)


@pytest.fixture(scope="module")
def molecules():
    return [builtin_molecule("ring", 90.0), builtin_molecule("compact", 90.0)]


def test_untilted_projection_is_the_sum_along_the_beam():
    volume = np.random.default_rng(0).normal(size=(6, 5, 8)).astype(np.float32)

    images = project(volume, np.array([0.0]))

    np.testing.assert_allclose(images[0], volume.sum(axis=0), atol=1e-5)


def test_a_tilted_voxel_is_recorded_where_the_geometry_says():
    volume = np.zeros((21, 3, 41), np.float32)
    volume[10 + 6, 1, 20 + 8] = 1.0

    image = project(volume, np.array([30.0]))[0, 1]

    expected = 20 + 8 * np.cos(np.pi / 6) + 6 * np.sin(np.pi / 6)
    assert image.sum() == pytest.approx(1.0)
    assert (image * np.arange(41)).sum() == pytest.approx(expected, abs=1e-5)


def test_a_point_is_reconstructed_at_its_position():
    volume = np.zeros((24, 5, 32), np.float32)
    volume[9, 2, 20] = 1.0
    tilts = list_tilts(60.0, 3.0)

    result = reconstruct(project(volume, tilts), tilts, 24)

    assert np.unravel_index(result.argmax(), result.shape) == (9, 2, 20)


def test_the_missing_wedge_holds_almost_no_power():
    volume = np.random.default_rng(1).normal(size=(32, 4, 32)).astype(np.float32)
    tilts = list_tilts(60.0, 3.0)

    power = np.abs(np.fft.fftn(reconstruct(project(volume, tilts), tilts, 32), axes=(0, 2))) ** 2

    kz, kx = np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32), indexing="ij")
    angle = np.degrees(np.arctan2(np.abs(kz), np.abs(kx)))
    radius = np.hypot(kz, kx)
    ring = (radius > 0.15) & (radius < 0.4)
    inside, outside = ring & (angle > 75), ring & (angle < 50)
    assert power.mean(axis=1)[inside].mean() < 0.05 * power.mean(axis=1)[outside].mean()


def test_simulation_depends_on_settings_and_number_only(molecules):
    first, again, other = (simulate_tomogram(SMALL, molecules, n, "a") for n in (0, 0, 1))

    np.testing.assert_array_equal(first.volume, again.volume)
    assert np.abs(first.volume - other.volume).max() > 0


def test_particles_do_not_overlap_and_are_dark(molecules):
    simulated = simulate_tomogram(SMALL, molecules, 0, "a")

    xyz = get_xyz(simulated.picks)
    distance = np.linalg.norm(xyz[:, None] - xyz, axis=2) + 99 * np.eye(len(xyz))
    x, y, z = np.round(xyz).astype(int).T
    compact = simulated.picks.extra["class"] == 2
    assert set(simulated.picks.extra["class"].tolist()) == {1, 2}
    assert distance.min() * SMALL.voxel_size_ang >= 90 * 0.99
    assert simulated.volume[z, y, x][compact].mean() < simulated.volume.mean()


def test_halves_are_tomograms_of_alternate_images(molecules):
    settings = TomogramSettings(**{**vars(SMALL), "halves": True})

    simulated = simulate_tomogram(settings, molecules, 0, "a")

    even, odd = simulated.halves
    correlation = np.corrcoef(even.ravel(), odd.ravel())[0, 1]
    assert even.shape == simulated.volume.shape
    assert 0.0 < correlation < 0.99


@pytest.mark.parametrize(
    "wrong", [{"molecules": ()}, {"depth_px": 2}, {"max_tilt_deg": 95.0}, {"tilt_step_deg": 70.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        TomogramSettings(**wrong)
