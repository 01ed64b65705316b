"""Strong variations of the background, and how they change the input of the network."""

import numpy as np
import pytest

from cryopick.preprocess.background import subtract_strong_background
from cryopick.preprocess.normalize import Normalization

SHAPE = (260, 330)
USABLE = np.ones(SHAPE, bool)
DIP = np.s_[120:140, 240:260]


@pytest.fixture
def image():
    """Noise with a dark object."""
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    noise[DIP] -= 3
    return noise


def subtract(image, usable=USABLE):
    return subtract_strong_background(image, usable, mean=0.0, deviation=1.0)


def test_ordinary_variations_are_left_as_they_are(image):
    slope = np.linspace(-1, 1, SHAPE[1], dtype=np.float32)

    for varied in (image, image + slope):
        assert subtract(varied) is varied


def test_a_strong_slope_is_removed_up_to_the_tolerance(image):
    slope = np.linspace(-12, 12, SHAPE[1], dtype=np.float32)

    flat = subtract(image + slope)

    residue = np.median((flat - image), axis=0)
    assert np.abs(residue).max() < 4  # half a window of the slope at the edges
    assert np.abs(residue[40:-40]).max() < 2.2
    inside, beside = flat[DIP].mean(), flat[120:140, 200:230].mean()
    assert inside < beside - 2


def test_unusable_pixels_do_not_count(image):
    usable = USABLE.copy()
    usable[:, :90] = False
    image[:, :90] = 1000

    flat = subtract(image, usable)

    np.testing.assert_allclose(flat[:, 120:], image[:, 120:], atol=1e-5)


def test_objects_do_not_change_the_background(image):
    image[20:45, 20:45] = -30  # less than half of a window

    np.testing.assert_array_equal(subtract(image), image)


def test_the_contrast_of_a_particle_survives_strong_illumination(image):
    slope = 12 * np.linspace(-1, 1, SHAPE[1], dtype=np.float32)
    normalization = Normalization("noise")

    def contrast(pixels):
        normalised = normalization.apply(pixels, USABLE)
        return normalised[120:140, 200:230].mean() - normalised[DIP].mean()

    assert contrast(image + slope) > 0.8 * contrast(image)
