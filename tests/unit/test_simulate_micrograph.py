import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cryopick.errors import SettingsError
from cryopick.simulate.micrograph import simulate_dataset, simulate_micrograph, simulate_scene
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings

SMALL = SimulationSettings(
    width_px=288,
    height_px=256,
    pixel_size_ang=4.0,
    diameter_ang=120.0,
    particles=20,
    overlapping_frac=0.0,
    ice_variation_frac=0.0,
    seed=7,
).without_junk()
MOLECULE = load_molecule("compact", 120.0)


def simulate(index=0, **changes):
    return simulate_micrograph(replace(SMALL, **changes), MOLECULE, index)


def test_a_micrograph_is_a_function_of_seed_and_index():
    _, second = simulate_dataset(SMALL, 2)
    repeated = simulate(index=1)

    np.testing.assert_array_equal(second.image, repeated.image)
    np.testing.assert_array_equal(second.xy_px, repeated.xy_px)


@pytest.mark.parametrize("change", [{"index": 1}, {"seed": 8}])
def test_index_and_seed_change_the_micrograph(change):
    assert not np.allclose(simulate().xy_px, simulate(**change).xy_px)


def test_the_amount_of_junk_does_not_change_defocus_and_carbon():
    clean = simulate(carbon_prob=1.0)
    dirty = simulate(carbon_prob=1.0, broken=9.0, contaminants=3.0)

    assert clean.truth["defocus_um"][0] == dirty.truth["defocus_um"][0]
    np.testing.assert_array_equal(clean.carbon, dirty.carbon)


@pytest.mark.parametrize("shape", [(256, 288), (251, 197), (64, 500)])
def test_image_and_columns_have_consistent_shapes(shape):
    height, width = shape
    result = simulate(height_px=height, width_px=width, particles=5)

    assert result.image.shape == result.carbon.shape == shape
    assert result.image.dtype == np.float32
    assert result.xy_px.shape == (5, 2)
    assert all(len(column) == 5 for column in result.truth.values())
    assert {"rot_deg", "tilt_deg", "psi_deg"} < result.truth.keys()


def test_the_requested_particles_are_inside_and_separated():
    result = simulate(particles=30)

    x, y = result.xy_px.T
    assert len(x) == 30
    assert ((x >= 0) & (x <= 287) & (y >= 0) & (y <= 255)).all()
    gaps = np.hypot(x[:, None] - x, y[:, None] - y)[~np.eye(30, dtype=bool)]
    assert gaps.min() >= MOLECULE.diameter_ang / 4.0


def test_particles_that_may_overlap_come_closer():
    result = simulate(particles=40, overlapping_frac=1.0)

    x, y = result.xy_px.T
    gaps = np.hypot(x[:, None] - x, y[:, None] - y)[~np.eye(len(x), dtype=bool)]
    assert MOLECULE.diameter_ang / 8.0 <= gaps.min() < MOLECULE.diameter_ang / 4.0


def test_particles_are_dark_where_the_truth_says():
    rows, columns = np.indices((256, 288))
    result = simulate(dose_e_per_ang2=100.0)
    x, y = result.xy_px.T[:, :, None, None]
    nearest = np.hypot(columns - x, rows - y).min(axis=0)

    particle, ground = result.image[nearest < 6], result.image[nearest > 25]
    assert particle.mean() < ground.mean() - 5 * ground.std() / np.sqrt(particle.size)
    assert 0.01 < 1 - particle.mean() / ground.mean() < 0.25


def test_the_mean_count_is_dose_times_pixel_area():
    for dose in (2.0, 40.0):
        image = simulate(dose_e_per_ang2=dose, gain_error_frac=0.0).image
        expected = dose * 16

        assert image.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / image.size))


def test_without_contrast_there_is_only_shot_noise():
    image = simulate(
        particles=0, ice_thickness_ang=1e-6, gain_error_frac=0.0, nps_nyquist=1.0
    ).image

    # the variance of n Poisson values strays by √(2/n): five deviations
    assert image.var() / image.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / image.size))


def test_more_ice_is_more_noise():
    thin, thick = (simulate(particles=0, ice_thickness_ang=t).image.var() for t in (10.0, 2000.0))

    assert thick > 1.05 * thin


def test_fixed_pattern_is_the_same_on_every_micrograph():
    rest = [
        image.image - image.image.mean()
        for image in simulate_dataset(replace(SMALL, gain_error_frac=0.2, particles=0), 2)
    ]

    correlation = np.corrcoef(rest[0].ravel(), rest[1].ravel())[0, 1]
    assert correlation > 0.8


@pytest.mark.parametrize(
    ("field", "amount", "kind", "radius_ang"),
    [
        ("broken", 25.0, "broken", 0.3 * 120),
        ("aggregates", 9.0, "aggregate", 60.0),
        ("contaminants", 25.0, "contaminant", 40.0),
        ("drops", 25.0, "drop", 0.2 * 120),
        ("crystals", 2.0, "crystal", 300.0),
    ],
)
def test_particles_avoid_junk_and_junk_is_not_ground_truth(field, amount, kind, radius_ang):
    changes = {"width_px": 512, "height_px": 512, "particles": 60}
    clean = simulate(**changes)
    dirty = simulate(**changes, **{field: amount})

    assert len(dirty.junk[kind]) > 0
    assert sum(len(xy) for xy in clean.junk.values()) == 0
    assert 0 < len(dirty.xy_px) <= 60
    gaps = np.linalg.norm(dirty.xy_px[:, None] - dirty.junk[kind], axis=2)
    assert gaps.min() > (radius_ang + MOLECULE.diameter_ang / 2) / 4.0


@pytest.mark.parametrize(
    "junk",
    [
        {"broken": 300.0},
        {"aggregates": 6.0},
        {"contaminants": 9.0},
        {"drops": 40.0},
        {"crystals": 3.0},
    ],
)
def test_junk_changes_the_image_but_not_the_ground_truth(junk):
    clean, dirty = simulate(particles=0), simulate(particles=0, **junk)

    assert len(dirty.xy_px) == 0
    # shot noise alone strays by √(2/n), half a percent
    assert dirty.image.var() > 1.04 * clean.image.var()


@pytest.mark.parametrize("index", range(4))
def test_no_particle_lies_on_carbon_or_within_reach_of_it(index):
    result = simulate(index, carbon_prob=1.0, carbon_area_frac=(0.4, 0.4), particles=30)

    rows, columns = np.nonzero(result.carbon)
    x, y = result.xy_px.T[:, :, None]
    reach = MOLECULE.diameter_ang / 2 / 4.0
    assert 0 < len(result.xy_px) < 30
    # the rim's unevenness may cut the shortest way by a pixel or two
    assert np.hypot(columns - x, rows - y).min() > reach - 2
    assert result.image[result.carbon].mean() < result.image[~result.carbon].mean()


def test_too_many_particles_are_rejected_with_the_maximum():
    with pytest.raises(SettingsError, match=r"at most \d+ of 1\d\d Å .* got 900; reduce particles"):
        simulate(particles=900)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dose_e_per_ang2": 0.0}, "dose_e_per_ang2 must be above 0; got 0.0"),
        ({"dose_e_per_ang2": float("nan")}, "dose_e_per_ang2 must be above 0"),
        ({"width_px": 10}, "width_px must be at least 64; got 10"),
        ({"pixel_size_ang": 0.0}, "pixel_size_ang must be between 0.1 and 100; got 0.0"),
        ({"particles": -1}, "particles must be at least 0"),
        ({"overlapping_frac": 1.5}, "overlapping_frac must be between 0 and 1; got 1.5"),
        ({"defocus_um": (3.0, 1.0)}, "defocus_um must run from low to high; got 3.0 to 1.0"),
        ({"defocus_um": (0.0, 1.0)}, "defocus_um must be above 0"),
        ({"carbon_area_frac": (0.1, 1.0)}, "carbon_area_frac must be above 0 and below 1"),
        ({"mtf_nyquist": 0.0}, "mtf_nyquist must be above 0 and at most 1"),
        ({"diameter_ang": 5.0}, "diameter_ang must be between 30 and 5000; got 5.0"),
        ({"seed": -3}, "seed must be at least 0"),
        ({"crystals": float("inf")}, "crystals must be at least 0 and finite"),
    ],
)
def test_settings_out_of_range_are_rejected(change, says):
    with pytest.raises(SettingsError) as caught:
        replace(SMALL, **change)

    assert says in str(caught.value)


def test_importing_the_simulation_is_cheap():
    code = "import sys, cryopick.simulate; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"torch", "matplotlib", "scipy", "gemmi", "mrcfile"} & set(loaded)


def test_exposures_of_a_scene_share_the_specimen_only():
    scene = simulate_scene(SMALL, MOLECULE, 0)
    rng = np.random.default_rng(0)

    exposures = [scene.expose(rng, dose_frac) for dose_frac in (1.0, 1.0, 0.1)]

    noise = [exposure - scene.intensity for exposure in exposures]
    assert scene.intensity.mean() == pytest.approx(1, abs=1e-5)
    assert all(abs(each.mean()) < 0.01 for each in noise)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05
    assert noise[2].std() > 2 * noise[0].std()  # shot noise is higher at a tenth of the dose


def test_a_scene_shows_the_particles_of_the_micrograph():
    from scipy.ndimage import gaussian_filter

    scene, micrograph = simulate_scene(SMALL, MOLECULE, 2), simulate(index=2)

    np.testing.assert_array_equal(scene.xy_px, micrograph.xy_px)
    blurred = [gaussian_filter(image, 4) for image in (scene.intensity, micrograph.image)]
    assert np.corrcoef(*(image.ravel() for image in blurred))[0, 1] > 0.8
