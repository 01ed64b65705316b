import numpy as np
import pytest

from cryopick.simulate.background import (
    Carbon,
    draw_carbon,
    draw_ice_thickness,
    draw_smooth_field,
    solvent_amplitude,
    solvent_transfer,
)
from cryopick.simulate.detector import amplitude_transfer, expose
from cryopick.simulate.junk import (
    draw_aggregate,
    draw_contaminant,
    draw_crystal,
    draw_drop,
    draw_fragment,
)
from cryopick.simulate.layout import Canvas
from cryopick.simulate.molecule_files import load_molecule

CANVAS = Canvas.with_margin((256, 320), 2.0, 20.0)
MOLECULE = load_molecule("compact", 120.0)


def test_a_smooth_field_has_unit_variance_on_average():
    fields = [draw_smooth_field(np.random.default_rng(i), (40, 60), 20.0) for i in range(400)]

    assert np.var(fields) == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.mean(fields)) < 0.02


def test_a_smooth_field_has_no_wave_below_the_minimum_wavelength():
    field = draw_smooth_field(np.random.default_rng(0), (64, 64), 16.0)
    mirrored = np.block([[field, field[:, ::-1]], [field[::-1], field[::-1, ::-1]]])

    power = np.abs(np.fft.rfft2(mirrored)) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128))

    assert power[frequency > 1 / 16 + 1e-9].sum() < 1e-6 * power.sum()


def test_ice_thickness_has_mean_one_and_is_positive():
    maps = [draw_ice_thickness(np.random.default_rng(i), CANVAS, 0.3) for i in range(60)]

    assert np.mean(maps) == pytest.approx(1.0, abs=0.03)
    assert np.min(maps) >= 0.2 - 1e-6
    assert draw_ice_thickness(np.random.default_rng(0), CANVAS, 0.0) == pytest.approx(1.0)


def test_solvent_noise_scales_with_thickness_and_pixel_size():
    assert solvent_amplitude(800.0, 1.5, 300.0) == pytest.approx(
        2 * solvent_amplitude(200.0, 1.5, 300.0)
    )
    assert solvent_amplitude(200.0, 0.5, 300.0) == pytest.approx(
        3 * solvent_amplitude(200.0, 1.5, 300.0)
    )


def test_the_ring_of_vitreous_ice_is_at_3_7_angstroms():
    spacing_ang = np.linspace(2.5, 30, 2000)
    transfer = solvent_transfer((1 / spacing_ang**2)[None, :])[0]

    assert spacing_ang[np.argmax(transfer)] == pytest.approx(3.7, abs=0.2)
    assert transfer[-1] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_carbon_covers_the_requested_fraction(seed):
    rng = np.random.default_rng(seed)
    carbon = draw_carbon(rng, CANVAS, (0.3, 0.3))

    phase, covered = carbon.phase(rng, CANVAS, 300.0)

    assert covered.mean() == pytest.approx(0.3, abs=0.02)
    assert phase[covered].mean() > 10 * np.abs(phase[~covered]).mean()
    assert phase[covered].std() > phase[~covered].std()


def test_absent_carbon_covers_nothing():
    depth = Carbon.absent().depth_px(np.array([0.0, 1e6]), np.array([0.0, -1e6]))

    assert (depth < 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_fragment_is_a_small_part_of_the_molecule(seed):
    grains, mass = draw_fragment(np.random.default_rng(seed), MOLECULE)

    assert 0.05 < mass.sum() / MOLECULE.mass_da.sum() < 0.5
    assert len(grains) == len(mass)


def test_an_aggregate_is_heavier_and_wider_than_a_molecule():
    grains, mass = draw_aggregate(np.random.default_rng(0), MOLECULE)

    assert mass.sum() > 2 * MOLECULE.mass_da.sum()
    assert np.ptp(grains, axis=0).max() > 1.2 * MOLECULE.diameter_ang


@pytest.mark.parametrize("seed", range(6))
def test_a_contaminant_is_inside_its_patch(seed):
    thickness = draw_contaminant(np.random.default_rng(seed), 12.0)

    assert thickness.min() == 0
    assert 0.5 < thickness.max() <= 1.0
    border = np.concatenate([thickness[0], thickness[-1], thickness[:, 0], thickness[:, -1]])
    assert (border > 0).mean() < 0.25  # one grown together may be cut, and most are not


@pytest.mark.parametrize("seed", range(6))
def test_a_drop_is_round_and_inside_its_patch(seed):
    thickness = draw_drop(np.random.default_rng(seed), 12.0)

    assert 0.5 < thickness.max() <= 1.0
    border = np.concatenate([thickness[0], thickness[-1], thickness[:, 0], thickness[:, -1]])
    assert (border == 0).all()
    area_px = float((thickness > 0).sum())
    assert 0.3 * np.pi * 12**2 < area_px < 3 * np.pi * 12**2


@pytest.mark.parametrize("seed", range(4))
def test_a_crystal_is_zero_at_the_edges_of_its_patch(seed):
    for part in draw_crystal(np.random.default_rng(seed), 60.0, 1.5):
        assert np.abs(part).max() > 0.01
        for border in (part[0], part[-1], part[:, 0], part[:, -1]):
            np.testing.assert_array_equal(border, 0)


def test_counts_are_poisson_for_an_ideal_sensor():
    intensity = np.full((300, 300), 0.8, np.float32)

    counts = expose(np.random.default_rng(0), intensity, 25.0, nps_nyquist=1.0)

    # mean 20 ± √(20/n), variance 20 ± 20 √(2/n): five deviations
    assert counts.mean() == pytest.approx(20, abs=5 * np.sqrt(20 / counts.size))
    assert counts.var() == pytest.approx(20, abs=5 * 20 * np.sqrt(2 / counts.size))
    np.testing.assert_array_equal(counts, np.rint(counts))


def test_the_sensor_attenuates_noise_at_nyquist_and_preserves_the_mean():
    intensity = np.ones((256, 256), np.float32)
    counts = expose(np.random.default_rng(0), intensity, 50.0, nps_nyquist=0.4)

    power = np.abs(np.fft.rfft2(counts - counts.mean())) ** 2 / counts.size
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256))
    assert counts.mean() == pytest.approx(50, abs=0.2)
    # a few thousand exponential values on each ring stray by 2 % from their mean
    near_zero, near_nyquist = frequency < 0.1, np.abs(frequency - 0.5) < 0.02
    assert power[near_zero].mean() == pytest.approx(50, rel=0.1)
    assert power[near_nyquist].mean() == pytest.approx(50 * 0.4, rel=0.1)


def test_amplitude_transfer_has_its_value_at_nyquist():
    assert amplitude_transfer(np.array([[0.0, 0.25]]), 0.3)[0] == pytest.approx([1.0, 0.3])
