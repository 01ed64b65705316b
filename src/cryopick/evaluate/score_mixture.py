"""Mixtures of two densities of scores, for every combination of a grid of their parameters.

- `MixtureGrid`: the densities of particles and background for all combinations.
- `MixtureFits`: the fitted numbers of particles, with the weight of each combination.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.normal_distribution import cumulate_normal
from cryopick.evaluate.score_prior import ScorePrior

__all__ = ["BIN", "TOP", "MixtureFits", "MixtureGrid"]

BIN = 0.25
TOP = 8.0  # scores above count as this one
_MEANS = np.arange(-2.0, 7.6, 0.5)  # fainter particles look like background
_WIDTHS = (0.5, 0.7, 1.0, 1.3, 1.7, 2.2)
# Relative to the mean of the prior, in its standard deviations.
_SHIFTS = np.array([-2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25])
_STRETCHES = np.array([-1.5, 0.0, 1.5])
# Particles with low scores, beside the Gaussian of the others: fractions of all particles, and
# position and width relative to the width of the others.
_TAIL_FRACS = (0.05, 0.2)
_TAIL_SHIFT, _TAIL_WIDTH = 2.5, 2.0
_ITERATIONS = 10
_MIN_WEIGHT = 1e-4  # of a fit, relative to the best one
_MIN_VISIBLE = 0.5  # fraction of particles above the floor, also if the table was cut before


@dataclass(frozen=True, eq=False, kw_only=True)
class MixtureFits:
    """Fits of the mixture that are not negligible.

    Attributes:
        weight: Weight of each fit; they sum to 1.
        n_particles: Number of particles of each fit, including those without a pick.
        probability: Probability that a pick in a bin is a particle, for each fit.
    """

    weight: Float[np.ndarray, " fits"]
    n_particles: Float[np.ndarray, " fits"]
    probability: Float[np.ndarray, "fits bins"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MixtureGrid:
    """Combinations of the parameters of both densities.

    Attributes:
        edges: Limits of the bins.
        mean, log_width, tail_frac: Of the particles' scores.
        shift, log_stretch: Of the background's scores, relative to the prior.
        particles: Density of particles by bin, of those above the floor.
        background: Density of background picks by bin, of those above the floor.
        visible: Fraction of the particles above the floor.
        background_visible: Fraction of background picks above the floor of the prior that are
            above the floor.
        prior: The prior.
    """

    edges: Float[np.ndarray, " edges"]
    mean: Float[np.ndarray, " fits"]
    log_width: Float[np.ndarray, " fits"]
    tail_frac: Float[np.ndarray, " fits"]
    shift: Float[np.ndarray, " fits"]
    log_stretch: Float[np.ndarray, " fits"]
    particles: Float[np.ndarray, "fits bins"]
    background: Float[np.ndarray, "fits bins"]
    visible: Float[np.ndarray, " fits"]
    background_visible: Float[np.ndarray, " fits"]
    prior: ScorePrior

    @classmethod
    @lru_cache(maxsize=2)
    def create(cls, floor: float, prior: ScorePrior) -> "MixtureGrid":
        """Compute the densities above a floor, for the grid of a prior."""
        edges = np.arange(floor, TOP + BIN / 2, BIN)
        shifts = prior.shift[0] + prior.shift[1] * _SHIFTS
        stretches = prior.log_stretch[0] + prior.log_stretch[1] * _STRETCHES
        axes = np.meshgrid(
            *(_MEANS, np.log(_WIDTHS), _TAIL_FRACS, shifts, stretches), indexing="ij"
        )
        mean, log_width, tail_frac, shift, log_stretch = (axis.ravel() for axis in axes)
        # Particles depend on the first axes only, background on the last two.
        n_backgrounds = len(shifts) * len(stretches)
        z = (edges - mean[::n_backgrounds, None]) / np.exp(log_width)[::n_backgrounds, None]
        below = _cumulate_particles(z, tail_frac[::n_backgrounds, None])
        below = np.repeat(below, n_backgrounds, axis=0)
        particles = np.diff(below, axis=1)
        particles[:, -1] += 1 - below[:, -1]
        visible = np.maximum(particles.sum(axis=1), 1e-6)
        whole = np.arange(prior.floor, TOP + BIN / 2, BIN)
        centres = (whole[1:] + whole[:-1]) / 2 - prior.floor
        template = centres - shift[:n_backgrounds, None]
        template = template / np.exp(log_stretch)[:n_backgrounds, None] + prior.floor
        log_density = np.interp(template, prior.background_scores, prior.background_log_density)
        background = np.exp(log_density)
        background /= background.sum(axis=1, keepdims=True)
        background = np.tile(background, (len(mean) // n_backgrounds, 1))
        window = background[:, -(len(edges) - 1) :]
        background_visible = np.maximum(window.sum(axis=1), 1e-9)
        return cls(
            edges=edges,
            mean=mean,
            log_width=log_width,
            tail_frac=tail_frac,
            shift=shift,
            log_stretch=log_stretch,
            particles=particles / visible[:, None],
            background=window / background_visible[:, None],
            visible=visible,
            background_visible=background_visible,
            prior=prior,
        )

    def _fit_fractions(
        self, counts: Float[np.ndarray, " bins"], bin_weight: Float[np.ndarray, " bins"]
    ) -> Float[np.ndarray, " fits"]:
        """Fit the fraction of particles among the picks by Newton's method.

        The weighted log-likelihood of Poisson counts is concave in the fraction.
        """
        filled = counts > 0
        weights = (bin_weight * counts)[filled] / max(float(counts.sum()), 1.0)
        excess = self.particles[:, filled] / (self.background[:, filled] + 1e-12) - 1
        expected_slope = (self.particles - self.background) @ bin_weight
        fraction = np.full(len(self.mean), 0.1)
        for _ in range(_ITERATIONS):
            ratio = excess / (1 + fraction[:, None] * excess)
            slope = ratio @ weights - expected_slope
            np.square(ratio, out=ratio)
            step = slope / np.maximum(ratio @ weights, 1e-12)
            fraction = np.clip(fraction + step, fraction / 5, (fraction + 1) / 2)
        return np.clip(fraction, 1e-6, 1 - 1e-6)

    def fit(
        self,
        counts: Float[np.ndarray, " bins"],
        bin_weight: Float[np.ndarray, " bins"],
        labels: Float[np.ndarray, " labels"],
        label_shift: float,
    ) -> MixtureFits:
        """Fit the fraction of particles, and weigh the fits by likelihood and prior.

        Args:
            counts: Number of picks in each bin.
            bin_weight: Weight of each bin in the likelihood.
            labels: Scores of labels that the model did not learn from.
            label_shift: Standard deviation of the difference between the mean scores of labels
                and particles.
        """
        prior = self.prior
        fraction = self._fit_fractions(counts, bin_weight)
        total = float(counts.sum())
        particles = fraction[:, None] * self.particles
        mixture = particles + (1 - fraction[:, None]) * self.background
        probability = np.maximum.accumulate(particles / (mixture + 1e-300), axis=1)
        n_particles = fraction * total / self.visible
        log_weight = np.log(mixture + 1e-12) @ (counts * bin_weight)
        log_weight -= total * (mixture @ bin_weight)
        log_weight *= prior.temper
        log_weight += self._log_prior(fraction, n_particles, total, probability)
        if len(labels):
            temper = min(1.0, prior.effective_labels / len(labels))
            likelihood = self._log_likelihood_of_labels(labels)
            log_weight += temper * _average_over_means(likelihood, label_shift)
        weight = np.exp(log_weight - log_weight.max())
        chosen = weight >= _MIN_WEIGHT
        return MixtureFits(
            weight=weight[chosen] / weight[chosen].sum(),
            n_particles=n_particles[chosen],
            probability=probability[chosen],
        )

    def _log_prior(
        self,
        fraction: Float[np.ndarray, " fits"],
        n_particles: Float[np.ndarray, " fits"],
        total: float,
        probability: Float[np.ndarray, "fits bins"],
    ) -> Float[np.ndarray, " fits"]:
        prior = self.prior
        n_background = np.maximum((1 - fraction) * total, 1.0) / self.background_visible
        log_ratio = np.log(np.maximum(n_particles, 0.3) / n_background)
        # Of a logistic curve, these sums are its midpoint and the inverse of its steepness.
        midpoint = self.edges[0] + BIN * (1 - probability).sum(axis=1)
        steepness = 1 / np.maximum(BIN * (probability * (1 - probability)).sum(axis=1), 0.15)
        deviation = midpoint - prior.midpoint_by_ratio * log_ratio
        # In a table that was cut above the midpoint, only its upper limit is known.
        is_hidden = (probability[:, 0] > 0.5) & (deviation > prior.midpoint[0])
        deviation = np.where(is_hidden, prior.midpoint[0], deviation)
        return (
            _log_gaussian(self.mean, prior.mean)
            + _log_gaussian(self.log_width, prior.log_width)
            + _log_gaussian(self.shift, prior.shift)
            + _log_gaussian(self.log_stretch, prior.log_stretch)
            + _log_gaussian(log_ratio, prior.log_ratio)
            + _log_gaussian(deviation, prior.midpoint)
            + _log_gaussian(np.log(steepness), prior.log_steepness)
            + np.where(self.visible < _MIN_VISIBLE, -np.inf, 0.0)
        )

    def _log_likelihood_of_labels(
        self, labels: Float[np.ndarray, " labels"]
    ) -> Float[np.ndarray, " fits"]:
        """Sum the log-density of labels; those below the floor only count as below it."""
        floor, width = self.edges[0], np.exp(self.log_width)
        above = labels[labels >= floor]
        n_below = len(labels) - len(above)
        z = (above[None] - self.mean[:, None]) / width[:, None]
        tail = np.exp(-0.5 * np.square((z + _TAIL_SHIFT) / _TAIL_WIDTH)) / _TAIL_WIDTH
        tail_frac = self.tail_frac[:, None]
        density = (1 - tail_frac) * np.exp(-0.5 * np.square(z)) + tail_frac * tail
        log_density = np.log(density + 1e-12).sum(axis=1) - len(above) * self.log_width
        below = _cumulate_particles((floor - self.mean) / width, self.tail_frac)
        return log_density + n_below * np.log(below + 1e-12)


def _average_over_means(
    log_likelihood: Float[np.ndarray, " fits"], deviation: float
) -> Float[np.ndarray, " fits"]:
    """Average a likelihood over a Gaussian around the mean of each combination."""
    if not deviation:
        return log_likelihood
    kernel = np.exp(-0.5 * np.square((_MEANS[:, None] - _MEANS) / deviation))
    kernel /= kernel.sum(axis=1, keepdims=True)
    by_mean = log_likelihood.reshape(len(_MEANS), -1)
    highest = by_mean.max(axis=0)
    averaged = kernel @ np.exp(np.maximum(by_mean - highest, -700))  # exp(-746) is 0
    return (np.log(averaged + 1e-300) + highest).ravel()


def _cumulate_particles(
    z: Float[np.ndarray, "..."], tail_frac: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Compute the fraction of particles below standardized scores."""
    of_tail = cumulate_normal((z + _TAIL_SHIFT) / _TAIL_WIDTH)
    return (1 - tail_frac) * cumulate_normal(z) + tail_frac * of_tail


def _log_gaussian(
    value: Float[np.ndarray, " fits"], mean_std: tuple[float, float]
) -> Float[np.ndarray, " fits"]:
    mean, std = mean_std
    return -0.5 * np.square((value - mean) / std)
