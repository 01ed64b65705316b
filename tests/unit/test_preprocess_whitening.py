import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.whitening import FREQUENCIES, radial_power, whiten, whitening_gain

SHAPE = (300, 260)
ALL = np.ones(SHAPE, bool)
WELL_TOLD = (FREQUENCIES > 0.06) & (FREQUENCIES < 0.5)


def noise(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def coloured(seed=0, shape=SHAPE):
    """Noise whose amplitude is halved from the lowest frequencies to the highest."""
    spectrum = np.fft.rfft2(noise(seed, shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    return np.fft.irfft2(spectrum * (1.5 - 1.5 * frequency), s=shape).astype(np.float32)


def test_white_noise_has_its_variance_at_every_frequency():
    power = radial_power(3 * noise(), ALL)

    assert power[WELL_TOLD] == pytest.approx(9.0, rel=0.2)


@pytest.mark.parametrize("shape", [(300, 260), (128, 700), (97, 130), (50, 40)])
def test_coloured_noise_comes_out_white(shape):
    usable = np.ones(shape, bool)
    before = radial_power(coloured(shape=shape), usable)[WELL_TOLD]
    after = radial_power(whiten(coloured(shape=shape), usable), usable)[WELL_TOLD]

    assert before.max() > 2.5 * before.min()
    # Narrow images tell their power from few waves, so it scatters.
    assert after.std() / after.mean() < (0.1 if min(shape) > 90 else 0.3)


def test_a_filtered_band_is_raised_by_no_more_than_three():
    gain = whitening_gain(radial_power(gaussian_filter(noise(), 2.0), ALL))

    assert gain.max() == pytest.approx(3.0)
    assert gain.min() >= 1 / 3


def test_slow_slopes_do_not_decide_the_gain():
    slope = 50 * np.linspace(0, 1, SHAPE[0], dtype=np.float32)[:, None]

    plain, sloped = (whitening_gain(radial_power(i, ALL)) for i in (noise(), noise() + slope))

    assert sloped[4:] / sloped[4:].mean() == pytest.approx(plain[4:] / plain[4:].mean(), rel=0.05)


def test_a_patch_of_other_power_does_not_speak_for_the_rest():
    image = noise(shape=(600, 600))
    usable = np.ones(image.shape, bool)
    clean = radial_power(image, usable)
    image[:100, :100] += 30 * gaussian_filter(noise(1, (100, 100)), 1.0)

    assert radial_power(image, usable)[WELL_TOLD] == pytest.approx(clean[WELL_TOLD], rel=0.1)


def test_windows_of_unusable_pixels_do_not_count():
    image, usable = noise(shape=(256, 384)), np.ones((256, 384), bool)
    clean = radial_power(image[:, :128], usable[:, :128])
    image[:, 128:] *= 10
    usable[:, 128:] = False

    assert radial_power(image, usable) == pytest.approx(clean, rel=1e-4)


def test_an_image_that_is_unusable_nearly_everywhere_still_gets_a_gain():
    usable = np.zeros(SHAPE, bool)
    usable[:5, :5] = True

    assert np.isfinite(whiten(noise(), usable)).all()


def test_contrast_and_mean_are_kept():
    flat, brighter = whiten(coloured(), ALL), whiten(4 * coloured() + 7, ALL)

    assert brighter == pytest.approx(4 * flat + 7, abs=1e-3)


def test_a_place_stays_where_it_is():
    image = 0.01 * noise()
    image[120, 75] += 100

    assert np.unravel_index(whiten(image, ALL).argmax(), SHAPE) == (120, 75)


def test_constant_image_stays_constant():
    assert whiten(np.full(SHAPE, 5, np.float32), ALL) == pytest.approx(5.0)


def test_the_normalisation_white_whitens_and_standardises():
    usable = ALL.copy()
    usable[:, :20] = False

    image = Normalization("white").apply(coloured() * 40 + 900, usable)

    power = radial_power(image, usable)[WELL_TOLD]
    assert image[usable].mean() == pytest.approx(0, abs=0.02)
    assert image[usable].std() == pytest.approx(1, abs=0.02)
    assert power.std() / power.mean() < 0.1
    assert not image[~usable].any()
