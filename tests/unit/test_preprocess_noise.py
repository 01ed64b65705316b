import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cryopick.preprocess.noise import estimate_noise
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.whitening import FREQUENCIES, whitening_gain

SHAPE = (420, 380)
ALL = np.ones(SHAPE, bool)
RESOLVED = FREQUENCIES > 0.03
NOISE = Normalization("noise")


def draw_noise(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def draw_discs(count, seed=1, shape=SHAPE, keep_clear=()):
    """Dark discs of 17 pixels, none within 60 pixels of the points to keep clear."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape, np.float32)
    placed = 0
    while placed < count:
        centre = rng.uniform(0, shape)
        if all(np.hypot(*(centre - point)) > 60 for point in keep_clear):
            image[np.hypot(y - centre[0], x - centre[1]) < 8.5] = -1.0
            placed += 1
    return gaussian_filter(image, 1.0)


def test_white_noise_has_its_variance_at_every_frequency():
    power = estimate_noise(3 * draw_noise(), ALL).power

    assert power[RESOLVED] == pytest.approx(9.0, rel=0.15)
    assert power[RESOLVED].mean() == pytest.approx(9.0, rel=0.03)


@pytest.mark.parametrize(("count", "tolerance"), [(5, 0.05), (40, 0.2)])  # of 550 that would fit
def test_particles_hardly_change_the_gain(count, tolerance):
    images = (draw_noise(), draw_noise() + draw_discs(count))
    empty, filled = (whitening_gain(estimate_noise(image, ALL).power) for image in images)

    assert filled == pytest.approx(empty, rel=tolerance)


@pytest.mark.parametrize("count", [10, 40])
def test_a_particle_looks_the_same_whatever_lies_elsewhere(count):
    particle = draw_discs(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    particle[np.hypot(y - 210, x - 190) < 8.5] = -1.0
    alone = draw_noise() + particle
    crowded = alone + draw_discs(count, keep_clear=[(210, 190)])

    window = np.s_[190:230, 170:210]
    difference = NOISE.apply(crowded, ALL)[window] - NOISE.apply(alone, ALL)[window]

    assert np.abs(difference.mean()) < 0.1  # the background moves little ...
    assert difference.std() < 0.1  # ... and the noise, whose standard deviation is 1, less


def test_the_level_is_that_of_the_empty_parts():
    image = draw_noise() + 5
    particles = draw_discs(40)
    particles[:, 200:] = 0

    estimate = estimate_noise(image + 3 * particles, ALL)

    # The mean of all pixels is 4.6.
    assert estimate.background_mean(image + 3 * particles, ALL) == pytest.approx(5, abs=0.05)


def test_empty_background_becomes_standard():
    normalised = NOISE.apply(40 * draw_noise() + 900, ALL)

    assert normalised.mean() == pytest.approx(0, abs=0.05)
    assert normalised.std() == pytest.approx(0.96, abs=0.04)  # compression takes off a little


def test_scale_and_offset_of_the_intensities_do_not_matter():
    image = draw_noise() + draw_discs(20)

    assert NOISE.apply(7 * image + 3000, ALL) == pytest.approx(NOISE.apply(image, ALL), abs=1e-2)


def test_inverting_bright_particles_equals_normalising_dark_ones():
    image = draw_noise() + draw_discs(20)

    bright = Normalization("noise", inverted=True).apply(-image, ALL)

    assert bright == pytest.approx(NOISE.apply(image, ALL), abs=1e-3)


def test_strong_contrast_is_compressed():
    image = draw_noise()
    image[200:220, 200:220] -= 300

    assert NOISE.apply(image, ALL).min() > -25


def test_noiseless_and_unusable_parts_stay_finite():
    usable = ALL.copy()
    usable[:, 100:] = False

    assert np.isfinite(NOISE.apply(draw_discs(20), ALL)).all()
    assert not NOISE.apply(draw_noise(), usable)[:, 100:].any()


def test_inversion_survives_json():
    again = Normalization.from_dict(Normalization("noise", inverted=True).to_dict())

    assert again == Normalization("noise", inverted=True)
    assert Normalization.from_dict({"kind": "white", "mixture": None}) == Normalization("white")
