"""Separate particles from background by the distribution of scores, with the uncertainty.

Scores of picks are a mixture of two densities. Peaks of the background have nearly the same
density on all micrographs, up to a small shift and stretch. Particles are Gaussian with a tail of
low scores, with a mean and a width that depend on the data set. Neither is known exactly, so the
model is fitted for every combination of a grid (`score_mixture`), and each fit is weighted by its
likelihood and by the prior from other data sets. Scores of labels that their model did not learn
from, if there are any, also count.

- `fit_score_distribution`: fit the mixture to the scores of a table.
- `ScoreDistribution`: probability of each score, number of particles, precision and recall.

Source: Efron 2010, "Large-scale inference", chapter 5 (the local false discovery rate); Lipton
and others 2014, ECML (the threshold of the highest expected F1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.confidence import wilson_interval
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.score_mixture import BIN, TOP, MixtureGrid
from cryopick.evaluate.score_prior import ScorePrior, load_score_prior

__all__ = ["Interval", "ScoreDistribution", "fit_score_distribution"]

_MAX_FLOOR = 7.0  # below the highest mean, so that its particles are visible
_LOWEST = -8.0  # score of a label without any pick
_MAX_HIDDEN = 2.0  # lowest score of a table that shows background, above the floor
_MAX_CUT_PICKS = 20.0  # that count as independent in a table without background
_QUANTILES = (0.025, 0.975)
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
        labels: Scores of labels that the model did not learn from, if there are any.
    """

    edges: Float[np.ndarray, " edges"]
    counts: Float[np.ndarray, " bins"]
    weight: Float[np.ndarray, " fits"]
    n_particles: Float[np.ndarray, " fits"]
    probability: Float[np.ndarray, "fits bins"]
    prior: ScorePrior
    labels: LabelSample | None

    @property
    def n_labels(self) -> int:
        """Number of labels that were used."""
        return len(self.labels.score) if self.labels else 0

    @cached_property
    def count(self) -> Interval:
        """Number of particles on all micrographs; the estimate is the median."""
        logs = np.log(np.maximum(self.n_particles, 1e-3))
        extra = self.prior.count_deviation
        if self.labels and self.n_labels >= _MIN_LABELS:
            is_elsewhere = not self.labels.is_picked
            extra = self.prior.labelled_deviation
            extra = self.prior.elsewhere_deviation if is_elsewhere else extra
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
                threshold -= BIN * 0.5 * float((higher - lower) / curvature)
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

        With labels on the picked micrographs, it is their fraction, with its Wilson interval.
        """
        if self.labels and self.labels.is_picked and self.n_labels >= _MIN_LABELS:
            n_found = np.array([float((self.labels.score >= threshold).sum())])
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
        clipped = np.clip(fractions, _MARGIN, 1 - _MARGIN)
        logits = np.log(clipped / (1 - clipped))
        interval = _map(_compute_logistic, self._summarize(logits, deviation))
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


def _compute_logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _map(function: Callable[[float], float], interval: Interval) -> Interval:
    return Interval(*(float(function(x)) for x in (interval.value, interval.low, interval.high)))


def fit_score_distribution(
    score: Float[np.ndarray, " picks"],
    labels: LabelSample | None = None,
    prior: ScorePrior | None = None,
) -> ScoreDistribution:
    """Fit the mixture to scores.

    Args:
        score: Scores of all picks down to a low minimum.
        labels: Scores of labels that the model did not learn from, if there are any.
        prior: The prior; by default that of this version.
    """
    prior = prior or load_score_prior()
    label_score = np.zeros(0) if labels is None else np.maximum(labels.score, _LOWEST)
    label_shift = labels.compute_shift(prior.label_shift) if labels else 0.0
    lowest = float(score.min()) if len(score) else prior.floor
    floor = prior.floor + BIN * max(np.floor((lowest - prior.floor) / BIN), 0)
    grid = MixtureGrid.create(min(float(floor), _MAX_FLOOR), prior)
    clipped = np.clip(score[score >= floor], grid.edges[0], TOP - BIN / 2)
    counts = np.histogram(clipped, grid.edges)[0].astype(np.float64)
    bin_weight = _weigh_bins(counts, prior.bin_deviation)
    if floor > prior.floor + _MAX_HIDDEN:
        bin_weight = np.full(len(counts), min(1.0, _MAX_CUT_PICKS / max(float(counts.sum()), 1.0)))
    fits = grid.fit(counts, bin_weight, label_score, label_shift)
    n_labels = len(label_score) if labels and labels.is_picked else 0
    return ScoreDistribution(
        edges=grid.edges,
        counts=counts,
        weight=fits.weight,
        n_particles=np.maximum(fits.n_particles, n_labels),
        probability=fits.probability,
        prior=prior,
        labels=labels,
    )


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
