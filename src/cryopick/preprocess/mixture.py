"""Fit two Gaussian components to histograms of pixels, with a scale for each micrograph.

The model is the paper's: pixel x of micrograph k is drawn from component z in {0, 1},
z ~ Bernoulli(ρ), x | z ~ Gaussian(α_k μ_z, (α_k σ_z)²). A pixel enters only through its
histogram bin, so a fit costs the same whatever the micrographs' size.

- `Mixture`: fitted ρ, μ and σ; its `dominant` component is the background.
- `fit_mixture`: one micrograph, α = 1.
- `fit_scaled_mixture`: a data set: one mixture, and an α for each micrograph.
- `fit_scale`: the α of one more micrograph.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.preprocess.histogram import Histogram

__all__ = ["Mixture", "fit_mixture", "fit_scale", "fit_scaled_mixture"]

_LEAST_WEIGHT = 1e-6  # keeps both components alive, so that the logarithms stay finite
_LEAST_SD = 0.02  # of the whole spread: no component may collapse onto one bin
_FIRST_STRANGER = 0.05  # first guess of the share of pixels that neither component explains
_TOLERANCE = 1e-9  # gain in log-likelihood a pixel and step at which a fit has converged
_WORTHWHILE = 1e-6  # gain a pixel that a later start must bring to be preferred
_SETTLED = 1e-8  # relative step at which a scale has converged: pixels are float32
_COARSE_BINS = 128
_BRIEF, _SHORT, _LONG = 15, 45, 2000  # steps from every start, the likelier half, the best

# weight of component 1, then means and standard deviations of both, in units of the whole
# distribution's. From a small second component to even halves: when several explain the
# pixels equally well, the one with the plainest background wins.
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
        weight: Share of component 1 (the paper's ρ), between 0 and 1.
        mean: Mean of components 0 and 1, in the data set's intensity unit.
        sd: Standard deviation of components 0 and 1, in the same unit.
    """

    weight: float
    mean: tuple[float, float]
    sd: tuple[float, float]

    @property
    def dominant(self) -> int:
        """The component that most pixels belong to: 0 if ρ < 0.5, else 1, as in the paper."""
        return 0 if self.weight < 0.5 else 1


@dataclass(frozen=True, eq=False)
class _Sample:
    """Histograms of several micrographs, stacked, with what expectation-maximisation sums."""

    x: Float[np.ndarray, "micrographs bins"]
    counts: Float[np.ndarray, "micrographs bins"]
    powers: Float[np.ndarray, "micrographs bins 3"]  # counts times 1, x and x²

    @classmethod
    def of(cls, histograms: Sequence[Histogram]) -> "_Sample":
        """Stack histograms; those with fewer bins are padded by empty ones."""
        bins = max(len(histogram.centres) for histogram in histograms)
        x, counts = np.zeros((2, len(histograms), bins))
        for k, histogram in enumerate(histograms):
            used = len(histogram.centres)
            x[k, :used], counts[k, :used] = histogram.centres, histogram.counts
        return cls._with_powers(x, counts)

    @classmethod
    def _with_powers(cls, x: np.ndarray, counts: np.ndarray) -> "_Sample":
        return cls(x, counts, counts[..., None] * np.stack([np.ones_like(x), x, x**2], axis=-1))

    def coarse(self) -> "_Sample":
        """Neighbouring bins merged, so that some 128 are left: enough to come near the end."""
        merged = max(1, self.x.shape[1] // _COARSE_BINS)
        spare = -self.x.shape[1] % merged
        shape = (len(self.x), -1, merged)
        counts = np.pad(self.counts, ((0, 0), (0, spare))).reshape(shape)
        x = np.pad(self.x, ((0, 0), (0, spare)), mode="edge").reshape(shape)
        return self._with_powers(x.mean(axis=-1), counts.sum(axis=-1))


def fit_mixture(histogram: Histogram) -> Mixture:
    """Fit the two components to one micrograph by expectation-maximisation, with α = 1.

    Starts from six fixed guesses and keeps the likeliest end, so that the same histogram
    gives the same mixture.
    """
    sample = _Sample.of([histogram])
    one = np.ones(1)
    return _fit(sample, [one], free_scales=False)[0]


def fit_scaled_mixture(
    histograms: Sequence[Histogram],
) -> tuple[Mixture, Float[np.ndarray, " micrographs"]]:
    """Fit one mixture to a data set, with a scale for each micrograph.

    Scaling every α_k by c and μ, σ by 1/c changes nothing, so the geometric mean of the
    scales is set to 1.

    Args:
        histograms: One for each micrograph, in one intensity unit.

    Returns:
        The mixture, and α_k for each micrograph in the order given.

    Raises:
        ValueError: There is no histogram.

    Source: Bepler et al. 2019, online methods, Micrograph normalization.
    """
    if not histograms:
        raise ValueError("a mixture is fitted to at least one histogram; got none")
    means = np.array([histogram.mean for histogram in histograms])
    spreads = np.array([histogram.sd for histogram in histograms])
    scale_starts = [_relative(spreads)]
    if len(histograms) > 1 and ((means > 0).all() or (means < 0).all()):
        scale_starts.insert(0, _relative(np.abs(means)))
    return _fit(_Sample.of(histograms), scale_starts, free_scales=True)


def fit_scale(mixture: Mixture, histogram: Histogram) -> float:
    """Find the likeliest scale α of one micrograph, given the data set's mixture.

    A share of the pixels, itself fitted, may be anything between the lowest and highest
    intensity: so carbon that the data set hardly has does not drag the scale along. A coarse
    search over a factor of eight either way from what mean and spread suggest finds the
    peak, expectation-maximisation its top.
    """
    sample = _Sample.of([histogram])
    anything = 1 / (histogram.centres[-1] - histogram.centres[0])
    grid = _scale_guesses(mixture, histogram)
    stranger = _FIRST_STRANGER
    coarse = sample.coarse()
    known = np.exp(_log_densities(coarse, mixture, grid)).sum(axis=0)
    likelihoods = np.log((1 - stranger) * known + stranger * anything) @ coarse.counts[0]
    scales = grid[[int(np.argmax(likelihoods))]]
    for each in (coarse, sample):  # most steps where they are cheap
        for _ in range(_LONG):
            parts = (1 - stranger) * np.exp(_log_densities(each, mixture, scales))
            parts /= parts.sum(axis=0) + stranger * anything
            moments = _moments(each, parts)
            stranger = max(_LEAST_WEIGHT, 1 - float(moments[0].sum() / histogram.counts.sum()))
            before, scales = scales, _maximize_scales(moments, mixture)
            if abs(scales[0] - before[0]) <= _SETTLED * before[0]:
                break
    return float(scales[0])


def _scale_guesses(mixture: Mixture, histogram: Histogram) -> Float[np.ndarray, " guesses"]:
    """Scales around those that make spread, or mean, that of the mixture."""
    weights = np.array([1 - mixture.weight, mixture.weight])
    mean, variance = np.array(mixture.mean), np.array(mixture.sd) ** 2
    whole_mean = float(weights @ mean)
    whole_sd = float(np.sqrt(weights @ (variance + (mean - whole_mean) ** 2)))
    guesses = [histogram.sd / whole_sd]
    if histogram.mean * whole_mean > 0:
        guesses.append(histogram.mean / whole_mean)
    return np.outer(guesses, np.exp2(np.linspace(-3, 3, 49))).ravel()


def _relative(sizes: Float[np.ndarray, " micrographs"]) -> Float[np.ndarray, " micrographs"]:
    """Sizes divided by their geometric mean."""
    return sizes / np.exp(np.log(sizes).mean())


def _fit(
    sample: _Sample, scale_starts: Sequence[Float[np.ndarray, " micrographs"]], *, free_scales: bool
) -> tuple[Mixture, Float[np.ndarray, " micrographs"]]:
    """Run EM briefly from every start, longer from the likelier half, to its end from the best.

    All but the last few steps see coarse bins.
    """
    coarse = sample.coarse()
    ends = [
        _climb(
            coarse, _initial(coarse, scales, start), scales, free_scales=free_scales, steps=_BRIEF
        )
        for scales in scale_starts
        for start in _STARTS
    ]
    likelihoods = [likelihood for likelihood, _, _ in ends]
    least = sorted(likelihoods)[len(ends) // 2]
    best: tuple[float, Mixture, np.ndarray] | None = None
    for likelihood, mixture, scales in ends:
        if likelihood < least:
            continue
        end = _climb(coarse, mixture, scales, free_scales=free_scales, steps=_SHORT)
        if best is None or end[0] > best[0] + _WORTHWHILE:
            best = end
    assert best is not None, "half of the starts are left"
    _, mixture, scales = best
    for each in (coarse, sample):  # most steps where they are cheap
        _, mixture, scales = _climb(each, mixture, scales, free_scales=free_scales, steps=_LONG)
    return mixture, scales


def _initial(
    sample: _Sample,
    scales: Float[np.ndarray, " micrographs"],
    start: tuple[float, float, float, float, float],
) -> Mixture:
    """Place a start from the table on the pooled, unscaled pixels."""
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


def _climb(
    sample: _Sample,
    mixture: Mixture,
    scales: Float[np.ndarray, " micrographs"],
    *,
    free_scales: bool,
    steps: int,
) -> tuple[float, Mixture, Float[np.ndarray, " micrographs"]]:
    """Alternate expectation and maximisation until the likelihood stands still.

    Each step maximises over the scales with the mixture held, then over the mixture with
    the scales held (expectation - conditional maximisation), so the likelihood never falls.

    Returns:
        Mean log-likelihood of a pixel, the mixture, and the scales.
    """
    total = sample.counts.sum()
    before = -np.inf
    for _ in range(steps):
        share, likelihoods = _expect(sample, mixture, scales)
        likelihood = float(likelihoods.sum() / total)
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
        moments = _moments(sample, share)
        if free_scales:
            scales = _relative(_maximize_scales(moments, mixture))
        mixture = _maximize_mixture(moments, scales)
    return likelihood, mixture, scales


def _expect(
    sample: _Sample, mixture: Mixture, scales: Float[np.ndarray, " micrographs"]
) -> tuple[Float[np.ndarray, "2 micrographs bins"], Float[np.ndarray, " micrographs"]]:
    """Share of each component in every bin, and each micrograph's log-likelihood."""
    parts = _log_densities(sample, mixture, scales)
    gap = parts[1] - parts[0]
    smaller = np.exp(-np.abs(gap))  # of the two densities, in units of the larger
    both = 1 + smaller
    whole = np.maximum(parts[0], parts[1]) + np.log(both)
    second = np.where(gap > 0, 1.0, smaller) / both
    return np.stack([1 - second, second]), np.einsum("mb,mb->m", sample.counts, whole)


def _log_densities(
    sample: _Sample, mixture: Mixture, scales: Float[np.ndarray, " micrographs"]
) -> Float[np.ndarray, "2 micrographs bins"]:
    """Logarithm of each component's share times its density, for an intensity.

    A sample of one micrograph may be asked about several scales at once.
    """
    logs = np.empty((2, len(scales), sample.x.shape[1]))
    u = sample.x / scales[:, None]
    parts = zip((1 - mixture.weight, mixture.weight), mixture.mean, mixture.sd, strict=True)
    for log, (weight, mean, sd) in zip(logs, parts, strict=True):
        np.subtract(u, mean, out=log)
        np.square(log, out=log)
        log *= -0.5 / sd**2
        log += np.log(weight / (np.sqrt(2 * np.pi) * sd * scales))[:, None]
    return logs


def _moments(
    sample: _Sample, share: Float[np.ndarray, "2 micrographs bins"]
) -> Float[np.ndarray, "3 2 micrographs"]:
    """Sums of 1, x and x² over the pixels of each component on each micrograph."""
    return np.matmul(share.swapaxes(0, 1), sample.powers).transpose(2, 1, 0)


def _maximize_scales(
    moments: Float[np.ndarray, "3 2 micrographs"], mixture: Mixture
) -> Float[np.ndarray, " micrographs"]:
    """Positive root of N α² + B α - A = 0, where A = Σ x²/σ² and B = Σ x μ/σ².

    Sums run over pixels, each component with its share. It is where the derivative of
    -N log α - Σ (x/α - μ)²/(2 σ²) vanishes.
    """
    mean = np.array(mixture.mean)[:, None]
    variance = np.array(mixture.sd)[:, None] ** 2
    count = moments[0].sum(axis=0)
    a = (moments[2] / variance).sum(axis=0)
    b = (moments[1] * mean / variance).sum(axis=0)
    return 2 * a / (b + np.sqrt(b**2 + 4 * count * a))  # this form cancels nothing where b > 0


def _maximize_mixture(
    moments: Float[np.ndarray, "3 2 micrographs"], scales: Float[np.ndarray, " micrographs"]
) -> Mixture:
    """Likeliest ρ, μ and σ given the scales, with floors on ρ and σ."""
    count = np.maximum(moments[0].sum(axis=1), np.finfo(float).tiny)
    first = (moments[1] / scales).sum(axis=1)
    second = (moments[2] / scales**2).sum(axis=1)
    mean = first / count
    variance = second / count - mean**2
    whole_variance = second.sum() / count.sum() - (first.sum() / count.sum()) ** 2
    sd = np.sqrt(np.maximum(variance, _LEAST_SD**2 * whole_variance))
    weight = np.clip(count[1] / count.sum(), _LEAST_WEIGHT, 1 - _LEAST_WEIGHT)
    return Mixture(float(weight), (float(mean[0]), float(mean[1])), (float(sd[0]), float(sd[1])))
