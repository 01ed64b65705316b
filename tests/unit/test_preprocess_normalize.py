import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import FormatError, MicrographError
from cryopick.preprocess.gaussian_mixture import Mixture
from cryopick.preprocess.histogram import histogram
from cryopick.preprocess.normalize import Normalization, fit_normalization

KINDS = ["dataset", "micrograph", "affine", "white"]
SHAPE = (200, 220)
ALL = np.ones(SHAPE, dtype=bool)
quick = settings(deadline=None, max_examples=20)


def micrograph(seed=0, *, level=100.0, particles_frac=0.15):
    """Make ice with an SD of a tenth of its mean, and darker particles on a part."""
    rng = np.random.default_rng(seed)
    dark = rng.random(SHAPE) < particles_frac
    ice, particle = rng.normal(1, 0.1, SHAPE), rng.normal(0.75, 0.12, SHAPE)
    return (level * np.where(dark, particle, ice)).astype(np.float32), ~dark


def data_set(count=4, **more):
    levels = np.geomspace(60, 180, count)
    return [micrograph(i, level=level, **more) for i, level in enumerate(levels)]


def fitted(kind, images):
    return fit_normalization(kind, [histogram(image, ALL) for image in images])


@pytest.mark.parametrize("kind", ["dataset", "micrograph"])
def test_the_background_is_normalised(kind):
    images = data_set()
    normalization = fitted(kind, [image for image, _ in images])

    for image, background in images:
        standard = normalization.apply(image, ALL)
        assert standard[background].mean() == pytest.approx(0, abs=0.1)
        assert standard[background].std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["dataset", "micrograph"])
def test_carbon_does_not_bias_the_background(kind):
    image, background = micrograph()
    normalization = fitted(kind, [image for image, _ in data_set()])
    on_carbon = image.copy()
    on_carbon[:100, :110] *= 0.5  # a dark quarter

    standard = normalization.apply(on_carbon, ALL)

    ice = standard[100:][background[100:]]
    assert ice.mean() == pytest.approx(0, abs=0.25)
    assert ice.std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_unusable_pixels_are_zero_and_have_no_effect(kind):
    image, _ = micrograph()
    normalization = fitted(kind, [image for image, _ in data_set()])
    usable = ALL.copy()
    usable[:, :50] = False
    bordered = np.where(usable, image, np.float32(-1e6))

    standard = normalization.apply(bordered, usable)

    np.testing.assert_array_equal(standard, normalization.apply(image, usable))
    assert (standard[~usable] == 0).all()


@pytest.mark.parametrize("kind", ["dataset", "micrograph", "affine"])
def test_a_few_outliers_have_no_effect(kind):
    image, _ = micrograph()
    normalization = fitted(kind, [image for image, _ in data_set()])
    wild = image.copy()
    wild[::40, ::40] = 1e7

    calm = normalization.apply(image, ALL)
    standard = normalization.apply(wild, ALL)

    ordinary = wild == image
    np.testing.assert_allclose(standard[ordinary], calm[ordinary], atol=0.02)


def test_a_few_outliers_have_little_effect_with_whitening():
    image, _ = micrograph()
    wild = image.copy()
    wild[7::80, 5::80] = 1e7

    calm, standard = (Normalization("white").apply(one, ALL) for one in (image, wild))

    moved = np.abs(standard - calm)[wild == image]
    assert np.median(moved) < 0.1


@quick
@given(st.sampled_from(KINDS), st.floats(1e-3, 1e3))
def test_normalisation_is_invariant_to_scale(kind, brightness):
    image, _ = micrograph(level=1.0)
    shared = Mixture(0.15, (1.0, 0.75), (0.1, 0.12)) if kind == "dataset" else None
    normalization = Normalization(kind, shared)

    brighter = normalization.apply(image * np.float32(brightness), ALL)

    # a pixel may fall into the next of 1024 bins by rounding
    np.testing.assert_allclose(brighter, normalization.apply(image, ALL), atol=2e-3)


def test_normalisation_is_invariant_to_the_unit_of_the_data_set():
    images = [image for image, _ in data_set()]
    one = fitted("dataset", images)
    other = fitted("dataset", [image * np.float32(64) for image in images])

    for image in images:
        np.testing.assert_allclose(
            one.apply(image, ALL), other.apply(image * np.float32(64), ALL), atol=2e-3
        )


def test_affine_uses_mean_and_standard_deviation():
    image, _ = micrograph()

    standard = Normalization("affine").apply(image, ALL)

    np.testing.assert_allclose(standard, (image - image.mean()) / image.std(), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_normalisation_is_deterministic(kind):
    images = [image for image, _ in data_set()]

    first, repeated = (fitted(kind, images) for _ in range(2))

    assert first == repeated
    np.testing.assert_array_equal(first.apply(images[0], ALL), repeated.apply(images[0], ALL))


@pytest.mark.parametrize("kind", KINDS)
def test_normalisation_round_trips_through_json(kind):
    normalization = fitted(kind, [image for image, _ in data_set(2)])

    back = Normalization.from_dict(json.loads(json.dumps(normalization.to_dict())))

    assert back == normalization


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "dataset", "mixture": None},
        {"kind": "median", "mixture": None},
        {"kind": "affine", "mixture": {"weight": 0.1, "mean": [0, 1], "sd": [1, 1]}},
        {"kind": "dataset", "mixture": {"weight": 0.1, "mean": [0], "sd": [1, 1]}},
        {"kind": "dataset", "mixture": {"weight": "much", "mean": [0, 1], "sd": [1, 1]}},
    ],
)
def test_invalid_values_raise_format_errors(values):
    with pytest.raises(FormatError, match="normalisation must have kind and mixture"):
        Normalization.from_dict(values)


def test_the_histogram_counts_every_usable_pixel_once():
    image, _ = micrograph()
    usable = image > 70

    counted = histogram(image, usable, bins=300)

    assert counted.counts.sum() == usable.sum()
    assert len(counted.centres) == 300
    assert counted.mean == pytest.approx(image[usable].mean(), rel=1e-4)
    assert counted.sd == pytest.approx(image[usable].std(), rel=1e-3)


def test_a_micrograph_without_usable_pixels_is_rejected():
    with pytest.raises(MicrographError, match="no usable pixel"):
        histogram(micrograph()[0], ~ALL)


def test_a_constant_micrograph_is_rejected():
    with pytest.raises(MicrographError, match="nearly all usable pixels of the micrograph are 7"):
        histogram(np.full(SHAPE, 7, dtype=np.float32), ALL)
