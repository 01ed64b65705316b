"""The fit of tail and peak, compared with a minimizer of SciPy from many starts."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr

from cryopick.evaluate.normal_distribution import cumulate_normal
from cryopick.evaluate.score_histogram import ScoreHistogram

EDGES = np.arange(-4.0, 8.1, 0.25)
X = (EDGES[:-1] + EDGES[1:]) / 2 + 4
TAIL = ((-20, 20), (-8, 0), (0, 4))


def compute_loss(parameters, counts):
    """The negative log-likelihood of Poisson counts, from its formula."""
    a, b, c, particles, mean, width = parameters
    expected = np.exp(np.minimum(a + b * X - c * X**2, 30))
    expected = expected + particles * np.diff(ndtr((EDGES - mean) / width))
    expected = np.maximum(expected, 1e-9)
    return float(expected.sum() - counts @ np.log(expected))


def maximize(counts, most, means=((-1, 4),), widths=(0.6, 2.0)):
    """Fit by the minimizer from several starts; return the highest log-likelihood."""
    best = -np.inf
    for low, high in means:
        for mean in np.linspace(low, high, 4 if high > low else 1):
            start = [np.log(counts[:4].mean() + 1), -0.6, 0.05, min(20.0, most), mean, widths[1]]
            bounds = [*TAIL, (0, most), (low, high), widths]
            fit = minimize(compute_loss, start, args=(counts,), method="L-BFGS-B", bounds=bounds)
            best = max(best, -fit.fun)
    return best


@pytest.fixture(params=[(2500, 0, 0), (500, 40, 2.0), (100, 200, 0.5), (2500, 900, 3.5)], ids=str)
def histogram(request):
    n_background, n_particles, mean = request.param
    rng = np.random.default_rng(n_particles)
    background = -9 + 3.2 * np.abs(rng.normal(size=n_background))
    return ScoreHistogram.from_scores(
        np.concatenate([background, rng.normal(mean, 1.0, n_particles)])
    )


def test_the_gain_of_a_free_peak_is_at_least_that_of_the_minimizer(histogram):
    gain, (mean, width) = histogram.fitted_peak

    expected = maximize(histogram.counts, np.inf) - maximize(histogram.counts, 0.0)
    assert gain >= expected - 0.3  # both may miss a peak that explains chance
    assert gain >= -1e-6
    assert -1 <= mean <= 4
    assert 0.6 <= width <= 2


def test_the_gain_of_a_known_peak_is_that_of_the_minimizer(histogram):
    gain = histogram.compute_gain((1.5, 1.2))

    known = maximize(histogram.counts, np.inf, means=((1.5, 1.5),), widths=(1.2, 1.2))
    expected = known - maximize(histogram.counts, 0.0)
    assert gain >= expected - 0.01
    assert -1e-6 <= gain <= histogram.fitted_peak[0] + 1e-3


def test_histograms_add_up():
    one, other = (ScoreHistogram.from_scores(np.array(scores)) for scores in ([-3.9], [9.0, 0.1]))

    total = one + other

    assert total.counts.sum() == 3
    assert total.count_above_zero == 2
    assert total.counts[-1] == 1  # above the last edge


def test_the_normal_distribution_is_exact_far_into_its_tails():
    z = np.linspace(-37, 8, 200).reshape(4, 50)

    np.testing.assert_allclose(cumulate_normal(z), ndtr(z), rtol=1e-12)
