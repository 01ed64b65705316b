import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import oracles_image as oracles

from cryopick.preprocess.gaussian_mixture import Mixture, fit_mixture, fit_scale, fit_scaled_mixture
from cryopick.preprocess.histogram import Histogram

COUNT = 20_000


def draw(mixture, *, scale=1.0, count=COUNT, seed=0):
    rng = np.random.default_rng(seed)
    component = (rng.random(count) < mixture.weight).astype(int)
    return scale * rng.normal(np.array(mixture.mean)[component], np.array(mixture.sd)[component])


def count_in_bins(pixels, bins=1024):
    counts, edges = np.histogram(pixels, bins=bins)
    return Histogram((edges[1:] + edges[:-1]) / 2, counts.astype(float))


def exact_histogram(mixture, scale=1.0):
    """Make the expected histogram of infinitely many pixels."""
    spread = 8 * max(mixture.sd)
    x = np.linspace(min(mixture.mean) - spread, max(mixture.mean) + spread, 2000)
    weights = (1 - mixture.weight, mixture.weight)
    density = sum(
        w / s * np.exp(-(((x - m) / s) ** 2) / 2)
        for w, m, s in zip(weights, mixture.mean, mixture.sd, strict=True)
    )
    return Histogram(scale * x, density)


def assert_same_mixture(found, expected, rel):
    """Compare mixtures up to a swap of the components."""
    order = 1 if (found.mean[0] > found.mean[1]) == (expected.mean[0] > expected.mean[1]) else -1
    weight = found.weight if order == 1 else 1 - found.weight
    assert weight == pytest.approx(expected.weight, abs=rel)
    assert found.mean[::order] == pytest.approx(expected.mean, abs=rel * max(expected.sd))
    assert found.sd[::order] == pytest.approx(expected.sd, rel=rel)


def test_the_histogram_fit_equals_expectation_maximisation_over_pixels():
    truth = Mixture(0.3, (10.0, 14.0), (1.0, 1.5))
    true_scales = (0.8, 1.0, 1.25)
    micrographs = [draw(truth, scale=s, seed=i) for i, s in enumerate(true_scales)]
    weight, mean, sd, scales = oracles.pixel_mixture(
        micrographs, 0.5, (9.5, 14.5), (1.2, 1.2), np.ones(3), steps=150
    )

    mixture, found_scales = fit_scaled_mixture([count_in_bins(m) for m in micrographs])

    # bins are 0.01 sd wide: their effect on means and spreads is of its square
    assert_same_mixture(mixture, Mixture(weight, mean, sd), rel=1e-3)
    np.testing.assert_allclose(found_scales, scales, rtol=1e-4)


@pytest.mark.parametrize(
    "truth",
    [
        Mixture(0.5, (100.0, 120.0), (6.0, 5.0)),
        Mixture(0.05, (100.0, 70.0), (6.0, 5.0)),
        Mixture(0.97, (60.0, 100.0), (3.0, 5.0)),
        Mixture(0.02, (100.0, 130.0), (5.0, 3.0)),
        Mixture(0.3, (-20.0, -14.0), (1.0, 1.0)),
        Mixture(0.2, (0.0, 4.0), (1.0, 1.0)),
    ],
)
def test_known_parameters_are_recovered(truth):
    assert_same_mixture(fit_mixture(exact_histogram(truth)), truth, rel=0.01)


def test_known_scales_are_recovered():
    truth = Mixture(0.2, (100.0, 80.0), (5.0, 6.0))
    scales = np.array([0.5, 0.9, 1.0, 1.3, 1.7])

    mixture, found = fit_scaled_mixture([exact_histogram(truth, s) for s in scales])

    unit = np.exp(np.log(scales).mean())
    np.testing.assert_allclose(found, scales / unit, rtol=1e-3)
    rescaled = Mixture(
        truth.weight, tuple(unit * m for m in truth.mean), tuple(unit * s for s in truth.sd)
    )
    assert_same_mixture(mixture, rescaled, rel=0.01)


def test_scales_follow_from_standard_deviations_if_means_are_near_zero():
    truth = Mixture(0.2, (0.1, -2.5), (1.0, 0.8))
    scales = np.array([0.5, 1.0, 2.0])

    _, found = fit_scaled_mixture([exact_histogram(truth, s) for s in scales])

    np.testing.assert_allclose(found, scales, rtol=0.01)


def test_means_of_either_sign_still_give_positive_scales_and_a_mixture():
    plain = Mixture(0.1, (0.0, -3.0), (1.0, 1.0))
    histograms = [exact_histogram(plain) for _ in range(3)]
    shifted = [
        Histogram(h.centres + offset, h.counts)
        for h, offset in zip(histograms, (-5, 0, 5), strict=True)
    ]

    mixture, scales = fit_scaled_mixture(shifted)

    assert (scales > 0).all()
    assert np.isfinite([mixture.weight, *mixture.mean, *mixture.sd]).all()


@settings(deadline=None, max_examples=30)
@given(
    st.floats(0.3, 3),
    st.floats(0.02, 0.98),
    st.sampled_from([(100.0, 80.0), (3.0, 1.0), (0.0, 2.0), (-9.0, -5.0)]),
)
def test_the_scale_of_a_new_micrograph_is_recovered(scale, weight, mean):
    mixture = Mixture(weight, mean, (1.0, 1.2))

    found = fit_scale(mixture, exact_histogram(mixture, scale))

    assert found == pytest.approx(scale, rel=1e-4)


def test_carbon_does_not_bias_the_scale():
    mixture = Mixture(0.05, (100.0, 60.0), (5.0, 6.0))  # ice, and little carbon
    half_carbon = exact_histogram(Mixture(0.5, mixture.mean, mixture.sd), 1.2)

    assert fit_scale(mixture, half_carbon) == pytest.approx(1.2, rel=1e-3)


def test_fits_are_deterministic():
    histograms = [count_in_bins(draw(Mixture(0.3, (5.0, 8.0), (1.0, 1.0)), seed=i)) for i in (1, 2)]

    first, repeated = (fit_scaled_mixture(histograms) for _ in range(2))

    assert first[0] == repeated[0]
    np.testing.assert_array_equal(first[1], repeated[1])


def test_the_background_of_noise_has_its_mean_and_standard_deviation():
    noise = np.random.default_rng(4).normal(50, 3, 200_000)

    mixture = fit_mixture(count_in_bins(noise))

    assert mixture.mean[mixture.dominant] == pytest.approx(50, abs=0.3)
    assert mixture.sd[mixture.dominant] == pytest.approx(3, rel=0.05)


def test_a_spike_of_one_value_does_not_collapse_a_component():
    pixels = np.concatenate([np.random.default_rng(5).normal(50, 3, COUNT), np.full(2000, 44.0)])

    mixture = fit_mixture(count_in_bins(pixels))

    assert min(mixture.sd) >= 0.019 * pixels.std()


@pytest.mark.parametrize(("weight", "dominant"), [(0.49, 0), (0.5, 1), (0.9, 1)])
def test_the_dominant_component_is_the_one_most_pixels_belong_to(weight, dominant):
    assert Mixture(weight, (0.0, 1.0), (1.0, 1.0)).dominant == dominant


def test_fitting_without_histograms_is_rejected():
    with pytest.raises(ValueError, match="at least one histogram"):
        fit_scaled_mixture([])
