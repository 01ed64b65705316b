"""Separate particles from background by the distribution of scores, with the uncertainty.

Scores of picks are a mixture of two densities. Peaks of the background have nearly the same
density on all micrographs, up to a small shift and stretch. Particles are Gaussian, with a mean
and a width that depend on the data set. Neither is known exactly, so the model is fitted for every
combination of a grid, and each fit is weighted by its likelihood and by the prior from other data
sets. Scores of labels that their model did not learn from, if there are any, also count.

- `fit_score_distribution`: fit the mixture to the scores of a table.
- `ScoreDistribution`: probability of each score, number of particles, precision and recall.

Source: Efron 2010, "Large-scale inference", chapter 5 (the local false discovery rate); Lipton
and others 2014, ECML (the threshold of the highest expected F1).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.confidence import wilson_interval
from cryopick.evaluate.score_prior import ScorePrior, load_score_prior

__all__ = ["Interval", "ScoreDistribution", "fit_score_distribution"]

_BIN = 0.25
_TOP = 8.0  # scores above count as this one
_MAX_FLOOR = 7.0  # below the highest mean, so that its particles are visible
_MEANS = np.arange(-2.0, 7.6, 0.5)  # fainter particles cannot be told from the background
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
_LOWEST = -8.0  # score of a label without any pick
_MAX_HIDDEN = 2.0  # lowest score of a table that shows background, above the floor
_MAX_CUT_PICKS = 20.0  # that count as independent in a table without background
_QUANTILES = (0.025, 0.975)
_MIN_VISIBLE = 0.5  # fraction of particles above the floor, also if the table was cut before
_MIN_LABELS = 8  # with fewer, recall is estimated from the scores
_MARGIN = 0.005  # of fractions, for the chance of single picks
_Z = 1.96  # standard deviations of a Gaussian that contain 95 %


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreDistribution:
    """Fits of the mixture, with their weights.

    Attributes:
        edges: Limits of the bins of scores.
        counts: Number of picks in each bin.
        weight: Weight of each fit; they sum to 1.
        n_particles: Number of particles of each fit, including those without a pick.
        probability: Probability that a pick in a bin is a particle, for each fit.
        prior: The prior.
        labels: Scores of labels that the model did not learn from.
    """

    edges: Float[np.ndarray, " edges"]
    counts: Float[np.ndarray, " bins"]
    weight: Float[np.ndarray, " fits"]
    n_particles: Float[np.ndarray, " fits"]
    probability: Float[np.ndarray, "fits bins"]
    prior: ScorePrior
    labels: Float[np.ndarray, " labels"]

    @property
    def n_labels(self) -> int:
        """Number of labels that were used."""
        return len(self.labels)

    @cached_property
    def count(self) -> Interval:
        """Number of particles on all micrographs; the estimate is the median."""
        logs = np.log(np.maximum(self.n_particles, 1e-3))
        is_labelled = self.n_labels >= _MIN_LABELS
        extra = self.prior.labelled_deviation if is_labelled else self.prior.count_deviation
        return _map(np.exp, self._summarize(logs, extra))

    @property
    def best_threshold(self) -> float:
        """Threshold of the highest expected F1, averaged over the fits.

        F1 is computed at the limits of the bins; a parabola through three of them refines it.
        """
        n_selected = np.cumsum(self.counts[::-1])
        true_positives = np.cumsum((self.probability * self.counts)[:, ::-1], axis=1)
        f1 = 2 * true_positives / (n_selected + self.n_particles[:, None] + 1e-9)
        expected = self.weight @ f1
        best = int(expected.argmax())
        threshold = float(self.edges[:-1][::-1][best])
        if 0 < best < len(expected) - 1:
            higher, peak, lower = expected[best - 1 : best + 2]
            curvature = higher - 2 * peak + lower
            if curvature < 0:
                threshold -= _BIN * 0.5 * float((higher - lower) / curvature)
        return threshold

    def compute_probability(
        self, score: Float[np.ndarray, " picks"]
    ) -> Float[np.ndarray, " picks"]:
        """Compute the probability that picks of given scores are particles."""
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return np.interp(score, centres, self.weight @ self.probability)

    def estimate_precision(self, threshold: float) -> Interval:
        """Estimate the fraction of picks at or above a threshold that are particles."""
        true_positives, selected = self._count_above(threshold)
        precision = true_positives / max(selected, 1e-9)
        return self._summarize_fractions(precision, self.prior.precision_deviation)

    def estimate_recall(self, threshold: float) -> Interval:
        """Estimate the fraction of all particles that have a pick at or above a threshold.

        With labels, it is their fraction, with its Wilson interval.
        """
        if self.n_labels >= _MIN_LABELS:
            n_found = np.array([float((self.labels >= threshold).sum())])
            low, high = wilson_interval(n_found, np.array([self.n_labels]))
            return Interval(float(n_found[0]) / self.n_labels, float(low[0]), float(high[0]))
        true_positives, _ = self._count_above(threshold)
        recall = true_positives / np.maximum(self.n_particles, 1e-9)
        return self._summarize_fractions(recall, self.prior.recall_deviation)

    def _count_above(self, threshold: float) -> tuple[Float[np.ndarray, " fits"], float]:
        """Count particles at or above a threshold for each fit, and picks."""
        inside = np.clip((self.edges[1:] - threshold) / np.diff(self.edges), 0, 1)
        return self.probability @ (self.counts * inside), float(self.counts @ inside)

    def _summarize_fractions(
        self, fractions: Float[np.ndarray, " fits"], deviation: float
    ) -> Interval:
        from scipy.special import expit, logit

        logits = logit(np.clip(fractions, _MARGIN, 1 - _MARGIN))
        interval = _map(expit, self._summarize(logits, deviation))
        low, high = max(interval.low - _MARGIN, 0.0), min(interval.high + _MARGIN, 1.0)
        return Interval(interval.value, low, high)

    def _summarize(self, values: Float[np.ndarray, " fits"], deviation: float) -> Interval:
        """Compute the median over the fits, and an interval with the deviation between sets."""
        order = np.argsort(values)
        cumulative = np.cumsum(self.weight[order]) - self.weight[order] / 2
        low, median, high = np.interp(
            (_QUANTILES[0], 0.5, _QUANTILES[1]), cumulative, values[order]
        )
        below = np.hypot(median - low, _Z * deviation)
        above = np.hypot(high - median, _Z * deviation)
        return Interval(float(median), float(median - below), float(median + above))


def _map(function: "np.ufunc", interval: Interval) -> Interval:
    return Interval(*(float(function(x)) for x in (interval.value, interval.low, interval.high)))


def fit_score_distribution(
    score: Float[np.ndarray, " picks"],
    labels: Float[np.ndarray, " labels"] | None = None,
    prior: ScorePrior | None = None,
) -> ScoreDistribution:
    """Fit the mixture to scores.

    Args:
        score: Scores of all picks down to a low minimum.
        labels: Scores of labels, a random sample of the particles, by models that did not learn
            from them; minus infinity for a label without a pick.
        prior: The prior; by default that of this version.
    """
    prior = prior or load_score_prior()
    labels = np.zeros(0) if labels is None else np.maximum(labels, _LOWEST)
    lowest = float(score.min()) if len(score) else prior.floor
    floor = prior.floor + _BIN * max(np.floor((lowest - prior.floor) / _BIN), 0)
    grid = _Grid.create(min(float(floor), _MAX_FLOOR), prior)
    clipped = np.clip(score[score >= floor], grid.edges[0], _TOP - _BIN / 2)
    counts = np.histogram(clipped, grid.edges)[0].astype(np.float64)
    bin_weight = _weigh_bins(counts, prior.bin_deviation)
    if floor > prior.floor + _MAX_HIDDEN:
        bin_weight = np.full(len(counts), min(1.0, _MAX_CUT_PICKS / max(float(counts.sum()), 1.0)))
    fractions = grid.fit_fractions(counts, bin_weight)
    return grid.weigh(counts, bin_weight, fractions, labels, prior)


def _weigh_bins(counts: Float[np.ndarray, " bins"], deviation: float) -> Float[np.ndarray, " bins"]:
    """Weigh bins by the share of their variance that is due to chance.

    No pair of densities fits the scores exactly. A bin with many picks says nothing about smaller
    errors than the relative deviation of the densities, but the few picks of another bin count in
    full, so that some clear particles are not lost among many picks of the background.

    Source: the variance of a negative binomial count; McCullagh and Nelder 1989, "Generalized
    linear models", chapter 9 (quasi-likelihood).
    """
    expected = np.convolve(np.pad(counts, 1, mode="edge"), (0.25, 0.5, 0.25), "valid")
    return 1 / (1 + deviation**2 * expected)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Grid:
    """All combinations of the parameters of both densities.

    Attributes:
        edges: Limits of the bins.
        mean, log_width, tail_frac: Of the particles' scores.
        shift, log_stretch: Of the background's scores, relative to the prior.
        particles: Density of particles by bin, of those above the floor.
        background: Density of background picks by bin, of those above the floor.
        visible: Fraction of the particles above the floor.
        background_visible: Fraction of background picks above the floor of the prior that are
            above the floor.
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

    @classmethod
    @lru_cache(maxsize=2)
    def create(cls, floor: float, prior: ScorePrior) -> "_Grid":
        edges = np.arange(floor, _TOP + _BIN / 2, _BIN)
        shifts = prior.shift[0] + prior.shift[1] * _SHIFTS
        stretches = prior.log_stretch[0] + prior.log_stretch[1] * _STRETCHES
        axes = np.meshgrid(
            *(_MEANS, np.log(_WIDTHS), _TAIL_FRACS, shifts, stretches), indexing="ij"
        )
        mean, log_width, tail_frac, shift, log_stretch = (axis.ravel() for axis in axes)
        z = (edges - mean[:, None]) / np.exp(log_width)[:, None]
        below = _cumulate_particles(z, tail_frac[:, None])
        particles = np.diff(below, axis=1)
        particles[:, -1] += 1 - below[:, -1]
        visible = np.maximum(particles.sum(axis=1), 1e-6)
        whole = np.arange(prior.floor, _TOP + _BIN / 2, _BIN)
        centres = (whole[1:] + whole[:-1]) / 2 - prior.floor
        template = centres - shift[:, None]
        template = template / np.exp(log_stretch)[:, None] + prior.floor
        log_density = np.interp(template, prior.background_scores, prior.background_log_density)
        background = np.exp(log_density)
        background /= background.sum(axis=1, keepdims=True)
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
        )

    def fit_fractions(
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

    def weigh(
        self,
        counts: Float[np.ndarray, " bins"],
        bin_weight: Float[np.ndarray, " bins"],
        fraction: Float[np.ndarray, " fits"],
        labels: Float[np.ndarray, " labels"],
        prior: ScorePrior,
    ) -> ScoreDistribution:
        """Weigh the fits by likelihood and prior; drop those of negligible weight."""
        total = float(counts.sum())
        particles = fraction[:, None] * self.particles
        mixture = particles + (1 - fraction[:, None]) * self.background
        probability = np.maximum.accumulate(particles / (mixture + 1e-300), axis=1)
        n_particles = fraction * total / self.visible
        log_weight = np.log(mixture + 1e-12) @ (counts * bin_weight)
        log_weight -= total * (mixture @ bin_weight)
        log_weight *= prior.temper
        log_weight += self._log_prior(fraction, n_particles, total, probability, prior)
        if len(labels):
            temper = min(1.0, prior.effective_labels / len(labels))
            log_weight += temper * self._log_likelihood_of_labels(labels)
        weight = np.exp(log_weight - log_weight.max())
        chosen = weight >= _MIN_WEIGHT
        return ScoreDistribution(
            edges=self.edges,
            counts=counts,
            weight=weight[chosen] / weight[chosen].sum(),
            n_particles=np.maximum(n_particles[chosen], len(labels)),
            probability=probability[chosen],
            prior=prior,
            labels=labels,
        )

    def _log_prior(
        self,
        fraction: Float[np.ndarray, " fits"],
        n_particles: Float[np.ndarray, " fits"],
        total: float,
        probability: Float[np.ndarray, "fits bins"],
        prior: ScorePrior,
    ) -> Float[np.ndarray, " fits"]:
        n_background = np.maximum((1 - fraction) * total, 1.0) / self.background_visible
        log_ratio = np.log(np.maximum(n_particles, 0.3) / n_background)
        # Of a logistic curve, these sums are its midpoint and the inverse of its steepness.
        midpoint = self.edges[0] + _BIN * (1 - probability).sum(axis=1)
        steepness = 1 / np.maximum(_BIN * (probability * (1 - probability)).sum(axis=1), 0.15)
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


def _cumulate_particles(
    z: Float[np.ndarray, "..."], tail_frac: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Compute the fraction of particles below standardized scores."""
    from scipy.special import ndtr

    return (1 - tail_frac) * ndtr(z) + tail_frac * ndtr((z + _TAIL_SHIFT) / _TAIL_WIDTH)


def _log_gaussian(
    value: Float[np.ndarray, " fits"], mean_std: tuple[float, float]
) -> Float[np.ndarray, " fits"]:
    mean, std = mean_std
    return -0.5 * np.square((value - mean) / std)
