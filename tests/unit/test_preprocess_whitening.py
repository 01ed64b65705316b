import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.whitening import FREQUENCIES, radial_power, whiten, whitening_gain

SHAPE = (300, 260)
ALL = np.ones(SHAPE, bool)
IS_ESTIMATED = (FREQUENCIES > 0.06) & (FREQUENCIES < 0.5)


def make_noise(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make_coloured_noise(seed=0, shape=SHAPE):
    """Make noise whose amplitude halves from the lowest to the highest frequencies."""
    spectrum = np.fft.rfft2(make_noise(seed, shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    return np.fft.irfft2(spectrum * (1.5 - 1.5 * frequency), s=shape).astype(np.float32)


def test_the_power_of_white_noise_is_its_variance_at_every_frequency():
    power = radial_power(3 * make_noise(), ALL)

    assert power[IS_ESTIMATED] == pytest.approx(9.0, rel=0.2)


@pytest.mark.parametrize("shape", [(300, 260), (128, 700), (97, 130), (50, 40)])
def test_coloured_noise_is_whitened(shape):
    usable = np.ones(shape, bool)
    before = radial_power(make_coloured_noise(shape=shape), usable)[IS_ESTIMATED]
    after = radial_power(whiten(make_coloured_noise(shape=shape), usable), usable)[IS_ESTIMATED]

    assert before.max() > 2.5 * before.min()
    # The power of narrow images is estimated from few frequencies, so it varies more.
    assert after.std() / after.mean() < (0.1 if min(shape) > 90 else 0.3)


def test_the_gain_of_a_filtered_band_is_at_most_three():
    gain = whitening_gain(radial_power(gaussian_filter(make_noise(), 2.0), ALL))

    assert gain.max() == pytest.approx(3.0)
    assert gain.min() >= 1 / 3


def test_intensity_gradients_do_not_affect_the_gain():
    slope = 50 * np.linspace(0, 1, SHAPE[0], dtype=np.float32)[:, None]

    plain, sloped = (
        whitening_gain(radial_power(i, ALL)) for i in (make_noise(), make_noise() + slope)
    )

    assert sloped[4:] / sloped[4:].mean() == pytest.approx(plain[4:] / plain[4:].mean(), rel=0.05)


def test_a_patch_with_another_spectrum_does_not_affect_the_estimate():
    image = make_noise(shape=(600, 600))
    usable = np.ones(image.shape, bool)
    clean = radial_power(image, usable)
    image[:100, :100] += 30 * gaussian_filter(make_noise(1, (100, 100)), 1.0)

    assert radial_power(image, usable)[IS_ESTIMATED] == pytest.approx(clean[IS_ESTIMATED], rel=0.1)


def test_windows_of_unusable_pixels_are_ignored():
    image, usable = make_noise(shape=(256, 384)), np.ones((256, 384), bool)
    clean = radial_power(image[:, :128], usable[:, :128])
    image[:, 128:] *= 10
    usable[:, 128:] = False

    assert radial_power(image, usable) == pytest.approx(clean, rel=1e-4)


def test_a_nearly_unusable_image_is_still_whitened():
    usable = np.zeros(SHAPE, bool)
    usable[:5, :5] = True

    assert np.isfinite(whiten(make_noise(), usable)).all()


def test_contrast_and_mean_are_preserved():
    flat, brighter = whiten(make_coloured_noise(), ALL), whiten(4 * make_coloured_noise() + 7, ALL)

    assert brighter == pytest.approx(4 * flat + 7, abs=1e-3)


def test_whitening_does_not_shift_the_image():
    image = 0.01 * make_noise()
    image[120, 75] += 100

    assert np.unravel_index(whiten(image, ALL).argmax(), SHAPE) == (120, 75)


def test_constant_image_stays_constant():
    assert whiten(np.full(SHAPE, 5, np.float32), ALL) == pytest.approx(5.0)


def test_normalisation_white_whitens_and_normalises():
    usable = ALL.copy()
    usable[:, :20] = False

    image = Normalization("white").apply(make_coloured_noise() * 40 + 900, usable)

    power = radial_power(image, usable)[IS_ESTIMATED]
    assert image[usable].mean() == pytest.approx(0, abs=0.02)
    assert image[usable].std() == pytest.approx(1, abs=0.02)
    assert power.std() / power.mean() < 0.1
    assert not image[~usable].any()
