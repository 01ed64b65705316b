from dataclasses import replace

import numpy as np
import pytest

from cryopick.simulate.effects import Effects, apply_effects, draw_effects

NOTHING = Effects()


def image(seed=0, side=96):
    return np.random.default_rng(seed).standard_normal((side, side), dtype=np.float32)


def after(**changes):
    return apply_effects(np.random.default_rng(1), image(), replace(NOTHING, **changes))


def low_share(picture):
    """Compute the fraction of the power below an eighth of Nyquist."""
    power = np.abs(np.fft.rfft2(picture - picture.mean())) ** 2
    frequency = np.hypot(
        np.fft.fftfreq(picture.shape[0])[:, None], np.fft.rfftfreq(picture.shape[1])
    )
    return power[frequency < 0.06].sum() / power.sum()


def test_no_effects_leave_the_image_unchanged():
    np.testing.assert_array_equal(after(), image())


def test_noise_adds_its_variance():
    assert after(noise=2.0).std() == pytest.approx(np.sqrt(5), rel=0.03)


def test_coloured_noise_is_strongest_at_low_frequency():
    assert low_share(after(noise=2.0, noise_exponent=1.0)) > 3 * low_share(after(noise=2.0))


@pytest.mark.parametrize("change", [{"unevenness": 1.0}, {"mottle": 2.0}])
def test_unevenness_is_smooth(change):
    assert low_share(after(**change)) > low_share(image()) + 0.3


def test_a_bad_micrograph_is_often_mottled():
    bad, good = (
        sum(draw_effects(np.random.default_rng(n), is_bad=is_bad).mottle > 0 for n in range(100))
        for is_bad in (True, False)
    )
    assert bad > 30 > 10 > good


@pytest.mark.parametrize("change", [{"blur_px": 1.0}, {"median": True}])
def test_filters_reduce_noise(change):
    assert after(**change).std() < 0.6


def test_equalisation_evens_out_mean_and_standard_deviation():
    left_half = np.arange(96) < 48
    uneven = image() * np.where(left_half, 1, 3) + np.where(left_half, 0, 5)
    even = apply_effects(
        np.random.default_rng(1), uneven.astype(np.float32), replace(NOTHING, equalise=1.0)
    )

    spread = [even[:, 4:30].std(), even[:, -30:-4].std()]
    assert spread[1] / spread[0] < 1.8
    assert abs(even[:, -30:].mean() - even[:, :30].mean()) < 1.5


def test_compression_is_monotonic_and_reduces_the_range():
    plain, pressed = image().ravel(), after(compress=1.0).ravel()

    assert (np.argsort(plain) == np.argsort(pressed)).all()
    assert np.abs(pressed).max() < np.abs(plain).max()


def test_jpeg_compression_changes_little():
    assert np.corrcoef(after(jpeg_quality=90).ravel(), image().ravel())[0, 1] > 0.97


def test_inversion_changes_the_sign():
    np.testing.assert_array_equal(after(is_inverted=True), -image())


def test_drawn_effects_differ_and_keep_images_finite():
    drawn = [draw_effects(np.random.default_rng(seed)) for seed in range(40)]

    assert len(set(drawn)) > 30
    for seed, effects in enumerate(drawn):
        assert np.isfinite(apply_effects(np.random.default_rng(seed), image(seed), effects)).all()
