"""Gaussian mixture of the pixel intensities, with a scale for each micrograph.

The model is that of the paper: pixel x of micrograph k is drawn from component z in {0, 1},
z ~ Bernoulli(ρ), x | z ~ Gaussian(α_k μ_z, (α_k σ_z)²). The fit uses histograms, so its cost
does not depend on the size of the micrographs.

- `Mixture`: fitted ρ, μ and σ; its `dominant` component is the background.
- `fit_mixture`: fit one micrograph, with α = 1.
- `fit_scaled_mixture`: fit a data set: one mixture, and a scale α for each micrograph.
- `fit_scale`: fit the scale α of a new micrograph.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.preprocess.histogram import Histogram

__all__ = ["Mixture", "fit_mixture", "fit_scale", "fit_scaled_mixture"]

_MIN_WEIGHT = 1e-6  # of a component, so that the logarithms are finite
_MIN_SD = 0.02  # in units of the overall SD, so that no component collapses onto one bin
_INITIAL_OUTLIER_FRAC = 0.05  # fraction of pixels that belong to neither component
_TOLERANCE = 1e-9  # gain in log-likelihood per pixel and step at which a fit has converged
_MIN_GAIN = 1e-6  # in log-likelihood per pixel, for a later start to be preferred
_SCALE_TOLERANCE = 1e-8  # relative step at which a scale has converged: pixels are float32
_COARSE_BINS = 128
# Maximum numbers of steps from every start, from the better half of them, and from the best one.
_BRIEF, _SHORT, _LONG = 15, 45, 2000

# Weight of component 1, then means and standard deviations of both components, in units of the
# whole distribution. The order, from a small second component to equal halves, prefers the
# largest background if several solutions are equally likely.
_STARTS = (
    (0.02, 0.0, -4.0, 0.9, 1.0),
    (0.02, 0.0, 4.0, 0.9, 1.0),
    (0.15, 0.3, -1.7, 0.8, 1.0),
    (0.15, -0.3, 1.7, 0.8, 1.0),
    (0.15, 0.0, 0.0, 0.8, 1.8),
    (0.5, -0.7, 0.7, 0.7, 0.7),
)


@dataclass(frozen=True)
class Mixture:
    """Two Gaussian components of pixel intensity, at scale 1.

    Attributes:
        weight: Weight of component 1 (ρ in the paper), between 0 and 1.
        mean: Mean of components 0 and 1, in the intensity unit of the data set.
        sd: Standard deviation of components 0 and 1, in the same unit.
    """

    weight: float
    mean: tuple[float, float]
    sd: tuple[float, float]

    @property
    def dominant(self) -> int:
        """Component of most pixels: 0 if ρ < 0.5, else 1, as in the paper."""
        return 0 if self.weight < 0.5 else 1


@dataclass(frozen=True, eq=False)
class _Sample:
    """Stacked histograms of several micrographs, with the products that EM sums."""

    x: Float[np.ndarray, "micrographs bins"]
    counts: Float[np.ndarray, "micrographs bins"]
    powers: Float[np.ndarray, "micrographs bins 3"]  # counts times 1, x and x²

    @classmethod
    def from_histograms(cls, histograms: Sequence[Histogram]) -> "_Sample":
        """Stack histograms, padded with empty bins to equal length."""
        bins = max(len(histogram.centres) for histogram in histograms)
        x, counts = np.zeros((2, len(histograms), bins))
        for k, histogram in enumerate(histograms):
            used = len(histogram.centres)
            x[k, :used], counts[k, :used] = histogram.centres, histogram.counts
        return cls._with_powers(x, counts)

    @classmethod
    def _with_powers(cls, x: np.ndarray, counts: np.ndarray) -> "_Sample":
        return cls(x, counts, counts[..., None] * np.stack([np.ones_like(x), x, x**2], axis=-1))

    def coarsen(self) -> "_Sample":
        """Merge adjacent bins to about 128, which is accurate enough for most EM steps."""
        merged = max(1, self.x.shape[1] // _COARSE_BINS)
        padding = -self.x.shape[1] % merged
        shape = (len(self.x), -1, merged)
        counts = np.pad(self.counts, ((0, 0), (0, padding))).reshape(shape)
        x = np.pad(self.x, ((0, 0), (0, padding)), mode="edge").reshape(shape)
        return self._with_powers(x.mean(axis=-1), counts.sum(axis=-1))


def fit_mixture(histogram: Histogram) -> Mixture:
    """Fit the mixture to one micrograph by expectation-maximisation (EM), with α = 1.

    Starts from six fixed initial values and returns the most likely result, so the result is
    deterministic.
    """
    sample = _Sample.from_histograms([histogram])
    one = np.ones(1)
    return _fit(sample, [one], free_scales=False)[0]


def fit_scaled_mixture(
    histograms: Sequence[Histogram],
) -> tuple[Mixture, Float[np.ndarray, " micrographs"]]:
    """Fit one mixture to a data set, with a scale for each micrograph.

    Multiplying all α_k by a constant and dividing μ and σ by it does not change the model, so
    the geometric mean of the scales is set to 1.

    Args:
        histograms: Histograms of the micrographs, in the same intensity unit.

    Returns:
        The mixture, and α_k of each micrograph.

    Raises:
        ValueError: `histograms` is empty.

    Source: Bepler et al. 2019, online methods, Micrograph normalization.
    """
    if not histograms:
        raise ValueError("fitting a mixture requires at least one histogram; got none")
    means = np.array([histogram.mean for histogram in histograms])
    sds = np.array([histogram.sd for histogram in histograms])
    scale_starts = [_divide_by_geometric_mean(sds)]
    if len(histograms) > 1 and ((means > 0).all() or (means < 0).all()):
        scale_starts.insert(0, _divide_by_geometric_mean(np.abs(means)))
    return _fit(_Sample.from_histograms(histograms), scale_starts, free_scales=True)


def fit_scale(mixture: Mixture, histogram: Histogram) -> float:
    """Fit the maximum-likelihood scale α of one micrograph, given the mixture of the data set.

    A fraction of the pixels, which is also fitted, is uniformly distributed over the intensity
    range. Objects that are rare in the data set, such as carbon, thus do not bias the scale. A
    grid search over a factor of eight around the ratios of means and of standard deviations finds
    the maximum, and EM refines it.
    """
    sample = _Sample.from_histograms([histogram])
    uniform_density = 1 / (histogram.centres[-1] - histogram.centres[0])
    grid = _scale_guesses(mixture, histogram)
    outlier_frac = _INITIAL_OUTLIER_FRAC
    coarse = sample.coarsen()
    densities = np.exp(_compute_log_densities(coarse, mixture, grid)).sum(axis=0)
    log_densities = np.log((1 - outlier_frac) * densities + outlier_frac * uniform_density)
    likelihoods = log_densities @ coarse.counts[0]
    scales = grid[[int(np.argmax(likelihoods))]]
    for binned in (coarse, sample):  # most steps use the coarse bins
        for _ in range(_LONG):
            shares = (1 - outlier_frac) * np.exp(_compute_log_densities(binned, mixture, scales))
            shares /= shares.sum(axis=0) + outlier_frac * uniform_density
            moments = _compute_moments(binned, shares)
            outlier_frac = max(_MIN_WEIGHT, 1 - float(moments[0].sum() / histogram.counts.sum()))
            previous, scales = scales, _maximize_scales(moments, mixture)
            if abs(scales[0] - previous[0]) <= _SCALE_TOLERANCE * previous[0]:
                break
    return float(scales[0])


def _scale_guesses(mixture: Mixture, histogram: Histogram) -> Float[np.ndarray, " guesses"]:
    """Return a grid of scales around the ratios of standard deviations and of means."""
    weights = np.array([1 - mixture.weight, mixture.weight])
    mean, variance = np.array(mixture.mean), np.array(mixture.sd) ** 2
    total_mean = float(weights @ mean)
    total_sd = float(np.sqrt(weights @ (variance + (mean - total_mean) ** 2)))
    guesses = [histogram.sd / total_sd]
    if histogram.mean * total_mean > 0:
        guesses.append(histogram.mean / total_mean)
    return np.outer(guesses, np.exp2(np.linspace(-3, 3, 49))).ravel()


def _divide_by_geometric_mean(
    values: Float[np.ndarray, " micrographs"],
) -> Float[np.ndarray, " micrographs"]:
    return values / np.exp(np.log(values).mean())


def _fit(
    sample: _Sample, scale_starts: Sequence[Float[np.ndarray, " micrographs"]], *, free_scales: bool
) -> tuple[Mixture, Float[np.ndarray, " micrographs"]]:
    """Run EM briefly from all starts, longer from the better half, and to the end from the best.

    Most steps use coarse bins.
    """
    coarse = sample.coarsen()
    results = [
        _run_em(
            coarse,
            _make_initial(coarse, scales, start),
            scales,
            free_scales=free_scales,
            steps=_BRIEF,
        )
        for scales in scale_starts
        for start in _STARTS
    ]
    likelihoods = [likelihood for likelihood, _, _ in results]
    median = sorted(likelihoods)[len(results) // 2]
    best: tuple[float, Mixture, np.ndarray] | None = None
    for likelihood, mixture, scales in results:
        if likelihood < median:
            continue
        result = _run_em(coarse, mixture, scales, free_scales=free_scales, steps=_SHORT)
        if best is None or result[0] > best[0] + _MIN_GAIN:
            best = result
    assert best is not None, "at least one start reaches the median"
    _, mixture, scales = best
    for binned in (coarse, sample):  # most steps use the coarse bins
        _, mixture, scales = _run_em(binned, mixture, scales, free_scales=free_scales, steps=_LONG)
    return mixture, scales


def _make_initial(
    sample: _Sample,
    scales: Float[np.ndarray, " micrographs"],
    start: tuple[float, float, float, float, float],
) -> Mixture:
    """Convert a row of `_STARTS` to a mixture of the pooled pixels, divided by their scales."""
    u = sample.x / scales[:, None]
    total = sample.counts.sum()
    mean = (sample.counts * u).sum() / total
    sd = np.sqrt((sample.counts * (u - mean) ** 2).sum() / total)
    weight, mean_0, mean_1, sd_0, sd_1 = start
    return Mixture(
        weight,
        (float(mean + sd * mean_0), float(mean + sd * mean_1)),
        (float(sd * sd_0), float(sd * sd_1)),
    )


def _run_em(
    sample: _Sample,
    mixture: Mixture,
    scales: Float[np.ndarray, " micrographs"],
    *,
    free_scales: bool,
    steps: int,
) -> tuple[float, Mixture, Float[np.ndarray, " micrographs"]]:
    """Run expectation-conditional maximisation until the likelihood has converged.

    Each step maximizes over the scales with a fixed mixture, then over the mixture with fixed
    scales, so the likelihood never decreases.

    Returns:
        Mean log-likelihood per pixel, the mixture, and the scales.
    """
    total = sample.counts.sum()
    previous = -np.inf
    for _ in range(steps):
        shares, likelihoods = _compute_expectation(sample, mixture, scales)
        likelihood = float(likelihoods.sum() / total)
        if likelihood - previous < _TOLERANCE:
            break
        previous = likelihood
        moments = _compute_moments(sample, shares)
        if free_scales:
            scales = _divide_by_geometric_mean(_maximize_scales(moments, mixture))
        mixture = _maximize_mixture(moments, scales)
    return likelihood, mixture, scales


def _compute_expectation(
    sample: _Sample, mixture: Mixture, scales: Float[np.ndarray, " micrographs"]
) -> tuple[Float[np.ndarray, "2 micrographs bins"], Float[np.ndarray, " micrographs"]]:
    """Compute the share of each component in every bin, and the log-likelihood per micrograph."""
    log_densities = _compute_log_densities(sample, mixture, scales)
    difference = log_densities[1] - log_densities[0]
    ratio = np.exp(-np.abs(difference))  # of the smaller to the larger density
    ratio_sum = 1 + ratio
    log_sum = np.maximum(log_densities[0], log_densities[1]) + np.log(ratio_sum)
    share = np.where(difference > 0, 1.0, ratio) / ratio_sum
    return np.stack([1 - share, share]), np.einsum("mb,mb->m", sample.counts, log_sum)


def _compute_log_densities(
    sample: _Sample, mixture: Mixture, scales: Float[np.ndarray, " micrographs"]
) -> Float[np.ndarray, "2 micrographs bins"]:
    """Compute the logarithm of weight times density of each component, in every bin.

    For a sample of one micrograph, several scales can be given.
    """
    logs = np.empty((2, len(scales), sample.x.shape[1]))
    u = sample.x / scales[:, None]
    components = zip((1 - mixture.weight, mixture.weight), mixture.mean, mixture.sd, strict=True)
    for log, (weight, mean, sd) in zip(logs, components, strict=True):
        np.subtract(u, mean, out=log)
        np.square(log, out=log)
        log *= -0.5 / sd**2
        log += np.log(weight / (np.sqrt(2 * np.pi) * sd * scales))[:, None]
    return logs


def _compute_moments(
    sample: _Sample, shares: Float[np.ndarray, "2 micrographs bins"]
) -> Float[np.ndarray, "3 2 micrographs"]:
    """Sum 1, x and x² over the pixels of each component on each micrograph."""
    return np.matmul(shares.swapaxes(0, 1), sample.powers).transpose(2, 1, 0)


def _maximize_scales(
    moments: Float[np.ndarray, "3 2 micrographs"], mixture: Mixture
) -> Float[np.ndarray, " micrographs"]:
    """Compute the positive root of N α² + B α - A = 0, with A = Σ x²/σ² and B = Σ x μ/σ².

    Sums are over pixels, weighted by the shares of the components. The derivative of
    -N log α - Σ (x/α - μ)²/(2 σ²) is zero at the root.
    """
    mean = np.array(mixture.mean)[:, None]
    variance = np.array(mixture.sd)[:, None] ** 2
    count = moments[0].sum(axis=0)
    a = (moments[2] / variance).sum(axis=0)
    b = (moments[1] * mean / variance).sum(axis=0)
    return 2 * a / (b + np.sqrt(b**2 + 4 * count * a))  # no cancellation for b > 0


def _maximize_mixture(
    moments: Float[np.ndarray, "3 2 micrographs"], scales: Float[np.ndarray, " micrographs"]
) -> Mixture:
    """Compute the maximum-likelihood ρ, μ and σ for given scales, with minima of ρ and σ."""
    count = np.maximum(moments[0].sum(axis=1), np.finfo(float).tiny)
    first = (moments[1] / scales).sum(axis=1)
    second = (moments[2] / scales**2).sum(axis=1)
    mean = first / count
    variance = second / count - mean**2
    total_variance = second.sum() / count.sum() - (first.sum() / count.sum()) ** 2
    sd = np.sqrt(np.maximum(variance, _MIN_SD**2 * total_variance))
    weight = np.clip(count[1] / count.sum(), _MIN_WEIGHT, 1 - _MIN_WEIGHT)
    return Mixture(float(weight), (float(mean[0]), float(mean[1])), (float(sd[0]), float(sd[1])))
