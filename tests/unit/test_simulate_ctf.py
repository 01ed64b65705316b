import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles_simulate import ctf_at

from cryopick.simulate.ctf import (
    Optics,
    contrast_transfer,
    interaction_rad,
    squared_frequency,
    wavelength_ang,
)


@pytest.mark.parametrize(
    ("voltage_kv", "picometres"), [(100, 3.7014), (200, 2.5079), (300, 1.9687)]
)
def test_wavelengths_equal_published_values(voltage_kv, picometres):
    # Williams & Carter, Transmission Electron Microscopy, table 1.2, to its four digits
    assert wavelength_ang(float(voltage_kv)) * 100 == pytest.approx(picometres, abs=1e-3)


@pytest.mark.parametrize(("voltage_kv", "milliradians"), [(100, 0.9244), (200, 0.7288)])
def test_the_interaction_constant_equals_published_values(voltage_kv, milliradians):
    # Kirkland 2010, table 5.1, converted from kV to V
    assert interaction_rad(float(voltage_kv)) * 1e3 == pytest.approx(milliradians, rel=1e-3)


def test_the_ctf_is_zero_at_multiples_of_pi():
    optics = Optics(defocus_um=2.0, voltage_kv=300.0, cs_mm=0.0, amplitude_contrast=0.0)
    first_zero = 1 / math.sqrt(wavelength_ang(300.0) * 2e4)
    pixel_ang = 4 / (256 * first_zero)  # puts the zero on the fourth bin

    transfer = contrast_transfer((256, 256), pixel_ang, optics)

    assert transfer[0, 4] == pytest.approx(0.0, abs=1e-5)
    assert (transfer[0, 1:4] < 0).all()
    assert (transfer[0, 5] > 0).all()


@pytest.mark.parametrize("amplitude_contrast", [0.0, 0.07, 1.0])
def test_at_zero_frequency_only_amplitude_contrast_remains(amplitude_contrast):
    optics = Optics(
        defocus_um=1.5,
        voltage_kv=200.0,
        cs_mm=2.0,
        amplitude_contrast=amplitude_contrast,
        b_factor_ang2=90.0,
    )

    transfer = contrast_transfer((16, 17), 1.2, optics)

    assert transfer[0, 0] == pytest.approx(-amplitude_contrast, abs=1e-6)


optics_strategy = st.builds(
    Optics,
    defocus_um=st.floats(0.3, 4),
    astigmatism_um=st.floats(0, 0.3),
    astigmatism_deg=st.floats(-180, 180),
    voltage_kv=st.sampled_from([120.0, 200.0, 300.0]),
    cs_mm=st.floats(0, 3),
    amplitude_contrast=st.floats(0, 0.3),
    b_factor_ang2=st.floats(0, 300),
)


@settings(max_examples=30, deadline=None)
@given(optics_strategy, st.integers(4, 12), st.integers(4, 12), st.floats(0.8, 6))
def test_transfer_equals_the_formula_bin_by_bin(optics, height, width, pixel_ang):
    transfer = contrast_transfer((height, width), pixel_ang, optics)

    for row, gy in enumerate(np.fft.fftfreq(height, pixel_ang)):
        for column, gx in enumerate(np.fft.rfftfreq(width, pixel_ang)):
            expected = ctf_at(gx, gy, optics, wavelength_ang(optics.voltage_kv))
            # 32-bit frequencies turn a phase of up to 10³ rad by 10⁻⁴
            assert transfer[row, column] == pytest.approx(expected, abs=2e-3)


def test_squared_frequency_ends_at_nyquist():
    squared = squared_frequency((8, 8), 2.0)

    assert squared[0, 4] == pytest.approx(1 / 16)
    assert squared[4, 4] == pytest.approx(2 / 16)
