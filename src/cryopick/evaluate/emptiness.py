"""Detect micrographs without particles from the distribution of their scores, without labels.

Noise, ice crystals and contamination also produce picks, but their number falls ever faster with
the score: its logarithm is a downward parabola. Particles form a peak on that tail. A likelihood
ratio tests if the peak explains the scores much better than the tail alone. The position of the
peak matters little, as scores are biased on micrographs unlike those used for calibration.
Crowded and faint particles make a tail without a peak, but a heavier one than that of the
background: such micrographs are compared with others of the batch, or remain unclear. So do
micrographs with a weak peak in a batch that is mostly empty: contamination has a weak peak as well.

- `classify_micrographs`, `Verdict`: test each micrograph for the peak.
- `is_likely_empty`: test if no micrograph has it, from a sample of them.

Source: the ratio test is that of Wilks 1938, Ann. Math. Stat. 9:60; its thresholds here are
empirical (decision 0015), as the tail is only approximately a parabola.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cryopick.array_types import Float
from cryopick.picks import Picks, choose_evenly

__all__ = ["Verdict", "classify_micrographs", "is_likely_empty"]

_FLOOR = -4.0  # lower scores are ignored
_BIN = 0.25
_TAIL = -2.0  # the tail must be visible from the floor to here
_MIN_PICKS = 20  # minimum number of picks there, to distinguish tail and peak
_MIN_GAIN = 15.0  # minimum gain in log-likelihood of a peak with any mean and width
_MIN_GAIN_KNOWN = 2.0  # minimum gain of the peak known from other micrographs
_MAX_SAMPLED = 64  # micrographs in which the peak is searched first
_MIN_SHARE = 0.4  # of the high scores of a micrograph, relative to others with particles
_SHARE_FLOOR = -1.0  # minimum of a high score
_MAX_TAIL = 1.0  # of the scores above the tail, relative to its highest part, without particles
_MIN_CROWD = 20  # picks above a probability of one half, on a micrograph without a visible tail
_MIN_GAIN_AMONG_EMPTY = 25.0  # of the peak of a micrograph in a batch that is mostly empty
_MAX_POOLED = 16  # micrographs that are pooled if none shows a peak alone
# mean and width of the peak
_LOWER_LIMITS, _UPPER_LIMITS = (-1.0, 0.6), (4.0, 2.0)
_STARTS = (-1.0, 0.0, 1.0, 2.5)


class Verdict(StrEnum):
    """Finding about one micrograph."""

    PARTICLES = "particles"
    PROBABLY_EMPTY = "probably empty"
    UNCLEAR = "unclear: faint particles or contamination"
    UNDECIDED = "too few picks to decide"


def classify_micrographs(picks: Picks) -> list[Verdict]:
    """Classify which micrographs show particles; the others of the batch show the typical peak.

    Args:
        picks: Picks with scores, down to a low minimum such as -6.
    """
    histograms = _count_scores(picks)
    typical_peak = _find_typical_peak(histograms)
    is_cut = not len(picks) or float(picks.score.min()) > _TAIL
    verdicts = []
    for histogram in histograms:
        if not histogram.is_informative:
            is_crowded = not is_cut and histogram.count_above_zero >= _MIN_CROWD
            verdicts.append(Verdict.PARTICLES if is_crowded else Verdict.UNDECIDED)
        elif typical_peak is not None and (
            histogram.compute_gain(typical_peak) >= _MIN_GAIN_KNOWN
            or histogram.fit_peak()[0] >= _MIN_GAIN
        ):
            verdicts.append(Verdict.PARTICLES)
        else:
            verdicts.append(Verdict.PROBABLY_EMPTY)
    return _doubt_few(_reconsider(verdicts, histograms), histograms)


def _doubt_few(verdicts: list[Verdict], histograms: "list[_ScoreHistogram]") -> list[Verdict]:
    """Doubt weak peaks of single micrographs if most others are probably empty."""
    n_particles = verdicts.count(Verdict.PARTICLES)
    if n_particles >= verdicts.count(Verdict.PROBABLY_EMPTY):
        return verdicts
    return [
        Verdict.UNCLEAR
        if verdict == Verdict.PARTICLES
        and histogram.is_informative
        and histogram.fit_peak()[0] < _MIN_GAIN_AMONG_EMPTY
        else verdict
        for verdict, histogram in zip(verdicts, histograms, strict=True)
    ]


def _reconsider(verdicts: list[Verdict], histograms: "list[_ScoreHistogram]") -> list[Verdict]:
    """Compare micrographs without a peak with those that show one, and with the background."""
    shares = [
        histogram.high_share
        for verdict, histogram in zip(verdicts, histograms, strict=True)
        if verdict == Verdict.PARTICLES
    ]
    is_crowded = len(shares) >= len(verdicts) / 2  # most of the batch shows particles
    minimum = _MIN_SHARE * float(np.median(shares)) if is_crowded else np.inf
    result = list(verdicts)
    for index, (verdict, histogram) in enumerate(zip(verdicts, histograms, strict=True)):
        if verdict == Verdict.PROBABLY_EMPTY:
            if histogram.high_share >= minimum:
                result[index] = Verdict.PARTICLES
            elif histogram.tail_ratio > _MAX_TAIL:
                result[index] = Verdict.UNCLEAR
    return result


def is_likely_empty(picks: Picks) -> bool:
    """Test if a sample of the micrographs shows no particles, individually or pooled."""
    histograms = _count_scores(picks)
    return (
        all(histogram.is_informative for histogram in histograms)
        and _find_typical_peak(histograms) is None
    )


def _count_scores(picks: Picks) -> "list[_ScoreHistogram]":
    return [
        _ScoreHistogram.from_scores(picks.score[rows])
        for rows in picks.rows_by_micrograph().values()
    ]


def _find_typical_peak(histograms: "list[_ScoreHistogram]") -> tuple[float, float] | None:
    """Estimate mean and width of the particles' scores from the micrographs that show them best."""
    informative = [histogram for histogram in histograms if histogram.is_informative]
    if not informative:
        return None
    sampled = choose_evenly(len(informative), _MAX_SAMPLED)
    fits = [informative[i].fit_peak() for i in sampled]
    clear_peaks = [peak for gain, peak in fits if gain >= _MIN_GAIN]
    if clear_peaks:
        mean, width = np.median(clear_peaks, axis=0)
        return float(mean), float(width)
    pooled = choose_evenly(len(informative), _MAX_POOLED)
    gain, peak = sum((informative[i] for i in pooled[1:]), informative[pooled[0]]).fit_peak()
    return peak if gain >= _MIN_GAIN else None


@dataclass(frozen=True, eq=False)
class _ScoreHistogram:
    """Histogram of scores, from `_FLOOR` in steps of `_BIN`."""

    counts: Float[np.ndarray, " bins"]

    @classmethod
    def from_scores(cls, score: Float[np.ndarray, " picks"]) -> "_ScoreHistogram":
        bins = round((8 - _FLOOR) / _BIN)
        edges = _FLOOR + _BIN * np.arange(bins + 1)
        clipped = np.minimum(score[score >= _FLOOR], edges[-1])
        return cls(np.histogram(clipped, edges)[0].astype(np.float64))

    def __add__(self, other: "_ScoreHistogram") -> "_ScoreHistogram":
        return _ScoreHistogram(self.counts + other.counts)

    @property
    def is_informative(self) -> bool:
        """True if enough of the tail is visible."""
        return bool(self.counts[: round((_TAIL - _FLOOR) / _BIN)].sum() >= _MIN_PICKS)

    @property
    def count_above_zero(self) -> float:
        """Number of scores above a probability of one half."""
        return float(self.counts[round(-_FLOOR / _BIN) :].sum())

    @property
    def high_share(self) -> float:
        """Number of high scores relative to that of low ones."""
        low = self.counts[: round((_TAIL - _FLOOR) / _BIN)].sum()
        return float(self.counts[round((_SHARE_FLOOR - _FLOOR) / _BIN) :].sum() / max(low, 1.0))

    @property
    def tail_ratio(self) -> float:
        """Number of scores above the visible tail, relative to those of its highest part."""
        near = round(1 / _BIN)
        tail = round((_TAIL - _FLOOR) / _BIN)
        return float(self.counts[tail:].sum() / max(self.counts[:near].sum(), 1.0))

    def fit_peak(self) -> tuple[float, tuple[float, float]]:
        """Fit a peak: its gain in log-likelihood, and its mean and width."""
        low, high = zip(_LOWER_LIMITS, _UPPER_LIMITS, strict=True)
        starts = [np.array([mean, 1.2]) for mean in _STARTS]
        best = max((self._fit(start, (low, high)) for start in starts), key=lambda fit: fit[0])
        return best[0] - self._tail_likelihood, (float(best[1][4]), float(best[1][5]))

    def compute_gain(self, peak: tuple[float, float]) -> float:
        """Compute the gain in log-likelihood of a peak with known mean and width."""
        mean, width = peak
        bounds = ((mean, mean), (width, width))
        return self._fit(np.array(peak), bounds)[0] - self._tail_likelihood

    @property
    def _tail_likelihood(self) -> float:
        """Log-likelihood without a peak."""
        return self._fit(np.array([0.0, 1.0]), ((0.0, 0.0), (1.0, 1.0)), max_particles=0.0)[0]

    def _fit(
        self,
        peak: Float[np.ndarray, "2"],
        bounds: tuple[tuple[float, float], tuple[float, float]],
        max_particles: float = np.inf,
    ) -> tuple[float, Float[np.ndarray, "6"]]:
        """Maximize the log-likelihood of Poisson counts; return it with the parameters.

        The parameters are those of the tail's logarithm a + b x - c x², with x above the floor and
        b at most 0, the number of particles in the peak, at most `max_particles`, and the mean and
        width of the peak.
        """
        from scipy.optimize import minimize
        from scipy.special import ndtr

        counts = self.counts
        edges = _FLOOR + _BIN * np.arange(len(counts) + 1)
        x = (edges[:-1] + edges[1:]) / 2 - _FLOOR

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            a, b, c, particles, mean, width = parameters
            tail = np.exp(np.minimum(a + b * x - c * x * x, 30))
            u = (edges - mean) / width
            density = np.exp(-u * u / 2) / np.sqrt(2 * np.pi)
            fraction = np.diff(ndtr(u))
            expected = np.maximum(tail + particles * fraction, 1e-9)
            residual = 1 - counts / expected  # derivative by the expected counts
            slopes = (tail, tail * x, -tail * x * x, fraction)
            by_mean = -particles * np.diff(density) / width
            by_width = -particles * np.diff(u * density) / width
            value = expected.sum() - counts @ np.log(expected)
            return float(value), np.array(
                [residual @ derivative for derivative in (*slopes, by_mean, by_width)]
            )

        start = [
            np.log(counts[:4].mean() + 1),
            -0.6,
            0.05,
            min(self.count_above_zero + 1, max_particles),
            *peak,
        ]
        limits = [(-20, 20), (-8, 0), (0, 4), (0, max_particles), *bounds]
        result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits)
        return -float(result.fun), result.x
