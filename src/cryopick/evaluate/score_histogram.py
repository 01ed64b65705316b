"""Histograms of the scores of a micrograph, and the fit of a tail and a peak to them.

The number of picks in a bin has a Poisson distribution around the sum of a tail, whose logarithm is
a downward parabola, and a Gaussian peak. All starting points are fitted at once by Fisher scoring
with damping, which takes milliseconds; SciPy's minimizer takes ten times as long, and a tenth of a
second to import.

- `TAIL`: scores below are those of the tail.
- `ScoreHistogram`: counts of scores, and the gain in likelihood by a peak.

Source: Marquardt 1963, J. Soc. Ind. Appl. Math. 11:431 (the damping).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryopick.array_types import Float
from cryopick.evaluate.normal_distribution import cumulate_normal

__all__ = ["TAIL", "ScoreHistogram"]

_FLOOR = -4.0  # lower scores are ignored
_TOP = 8.0
_BIN = 0.25
TAIL = -2.0  # the tail must be visible from the floor to here
_MIN_PICKS = 20  # minimum number of picks there, to distinguish tail and peak
_SHARE_FLOOR = -1.0  # minimum of a high score
_EDGES = _FLOOR + _BIN * np.arange(round((_TOP - _FLOOR) / _BIN) + 1)
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2 - _FLOOR
# Parameters: those of the tail's logarithm a + b x - c x², with x above the floor, then the number
# of particles in the peak, its mean and its width.
_LOWER_LIMITS = np.array([-20.0, -8.0, 0.0, 0.0, -1.0, 0.6])
_UPPER_LIMITS = np.array([20.0, 0.0, 4.0, np.inf, 4.0, 2.0])
_STARTS = np.array([(mean, width) for mean in (-1.0, 0.0, 1.0, 2.5) for width in (0.7, 1.4)])
_MAX_EXPONENT = 30.0
_MIN_EXPECTED = 1e-9
_MIN_INFORMATION = 1e-9  # where a parameter has no effect
_MAX_STEPS = 200
_TOLERANCE = 1e-7  # of the log-likelihood
_DAMPING, _MAX_DAMPING = 1e-2, 1e8
_LESS_DAMPING, _MORE_DAMPING = 0.2, 4.0


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Histogram of scores, from -4 in steps of 0.25."""

    counts: Float[np.ndarray, " bins"]

    @classmethod
    def from_scores(cls, score: Float[np.ndarray, " picks"]) -> "ScoreHistogram":
        """Count scores; those above the last bin count in it."""
        clipped = np.minimum(score[score >= _FLOOR], _TOP)
        return cls(np.histogram(clipped, _EDGES)[0].astype(np.float64))

    def __add__(self, other: "ScoreHistogram") -> "ScoreHistogram":
        return ScoreHistogram(self.counts + other.counts)

    @property
    def is_informative(self) -> bool:
        """True if enough of the tail is visible."""
        return bool(self.counts[: round((TAIL - _FLOOR) / _BIN)].sum() >= _MIN_PICKS)

    @property
    def count_above_zero(self) -> float:
        """Number of scores above a probability of one half."""
        return float(self.counts[round(-_FLOOR / _BIN) :].sum())

    @property
    def high_share(self) -> float:
        """Number of high scores relative to that of low ones."""
        low = self.counts[: round((TAIL - _FLOOR) / _BIN)].sum()
        return float(self.counts[round((_SHARE_FLOOR - _FLOOR) / _BIN) :].sum() / max(low, 1.0))

    @property
    def tail_ratio(self) -> float:
        """Number of scores above the visible tail, relative to those of its highest part."""
        near = round(1 / _BIN)
        tail = round((TAIL - _FLOOR) / _BIN)
        return float(self.counts[tail:].sum() / max(self.counts[:near].sum(), 1.0))

    @cached_property
    def fitted_peak(self) -> tuple[float, tuple[float, float]]:
        """Gain in log-likelihood of the best peak, with its mean and width."""
        likelihood, parameters = self._fit_peaks(_STARTS, _LOWER_LIMITS, _UPPER_LIMITS)
        mean, width = parameters[4:]
        return likelihood - self._fitted_tail[0], (float(mean), float(width))

    def compute_gain(self, peak: tuple[float, float]) -> float:
        """Compute the gain in log-likelihood of a peak with known mean and width."""
        low, high = _LOWER_LIMITS.copy(), _UPPER_LIMITS.copy()
        low[4:] = high[4:] = peak
        return self._fit_peaks(np.array([peak]), low, high)[0] - self._fitted_tail[0]

    @cached_property
    def _fitted_tail(self) -> tuple[float, Float[np.ndarray, "6"]]:
        """Log-likelihood without a peak, and the parameters."""
        high = _UPPER_LIMITS.copy()
        high[3] = 0.0
        likelihood, parameters = self._fit(self._guess_tail()[None], _LOWER_LIMITS, high)
        return float(likelihood[0]), parameters[0]

    def _guess_tail(self) -> Float[np.ndarray, "6"]:
        """Guess the parameters, with any mean and width."""
        height = math.log(float(self.counts[:4].mean()) + 1)
        return np.array([height, -0.6, 0.05, self.count_above_zero + 1, 0.0, 1.0])

    def _fit_peaks(
        self,
        peaks: Float[np.ndarray, "peaks 2"],
        low: Float[np.ndarray, "6"],
        high: Float[np.ndarray, "6"],
    ) -> tuple[float, Float[np.ndarray, "6"]]:
        """Maximize the log-likelihood from several means and widths, with two tails each.

        One of these is the tail without a peak, so that a peak never has a loss.
        """
        tails = np.stack([self._guess_tail(), self._fitted_tail[1]])
        start = np.tile(tails, (len(peaks), 1))
        start[:, 4:] = np.repeat(peaks, len(tails), axis=0)
        likelihood, parameters = self._fit(start, low, high)
        best = int(likelihood.argmax())
        return float(likelihood[best]), parameters[best]

    def _fit(
        self,
        start: Float[np.ndarray, "fits 6"],
        low: Float[np.ndarray, "6"],
        high: Float[np.ndarray, "6"],
    ) -> tuple[Float[np.ndarray, " fits"], Float[np.ndarray, "fits 6"]]:
        """Maximize the log-likelihood from several starts.

        Returns:
            The log-likelihood and the parameters of each fit.
        """
        parameters = start.clip(low, high)
        loss, slope, information = self._expand(parameters)
        damping = np.full(len(start), _DAMPING)
        for _ in range(_MAX_STEPS):
            trial = _step(parameters, slope, information, damping, (low, high))
            trial_loss, trial_slope, trial_information = self._expand(trial)
            decrease = loss - trial_loss
            is_better = decrease > 0
            parameters[is_better], loss[is_better] = trial[is_better], trial_loss[is_better]
            slope[is_better] = trial_slope[is_better]
            information[is_better] = trial_information[is_better]
            is_done = (np.abs(decrease) < _TOLERANCE) | (damping > _MAX_DAMPING)
            if is_done.all():
                break
            damping *= np.where(is_better, _LESS_DAMPING, _MORE_DAMPING)
        return -loss, parameters

    def _expand(
        self, parameters: Float[np.ndarray, "fits 6"]
    ) -> tuple[
        Float[np.ndarray, " fits"], Float[np.ndarray, "fits 6"], Float[np.ndarray, "fits 6 6"]
    ]:
        """Compute the negative log-likelihood, its gradient, and the Fisher information."""
        a, b, c, particles, mean, width = (column[:, None] for column in parameters.T)
        x = _CENTRES
        tail = np.exp(np.minimum(a + b * x - c * x * x, _MAX_EXPONENT))
        u = (_EDGES - mean) / width
        density = np.exp(-u * u / 2) / math.sqrt(2 * math.pi)
        fraction = np.diff(cumulate_normal(u))
        expected = np.maximum(tail + particles * fraction, _MIN_EXPECTED)
        by_mean = -particles * np.diff(density) / width
        by_width = -particles * np.diff(u * density) / width
        derivatives = np.stack(
            [tail, tail * x, -tail * x * x, fraction, by_mean, by_width], axis=1
        )  # of the expected counts: fits, parameters, bins
        loss = expected.sum(axis=1) - np.log(expected) @ self.counts
        slope = (derivatives @ (1 - self.counts / expected)[..., None])[..., 0]
        weighted = derivatives / expected[:, None]
        return loss, slope, weighted @ derivatives.transpose(0, 2, 1)


def _step(
    parameters: Float[np.ndarray, "fits 6"],
    slope: Float[np.ndarray, "fits 6"],
    information: Float[np.ndarray, "fits 6 6"],
    damping: Float[np.ndarray, " fits"],
    limits: tuple[Float[np.ndarray, "6"], Float[np.ndarray, "6"]],
) -> Float[np.ndarray, "fits 6"]:
    """Make a damped step within the limits; parameters that a limit holds do not take part."""
    low, high = limits
    is_held = ((parameters <= low) & (slope > 0)) | ((parameters >= high) & (slope < 0))
    matrix = np.where(is_held[:, :, None] | is_held[:, None, :], 0.0, information)
    diagonal = np.arange(parameters.shape[1])
    matrix[:, diagonal, diagonal] *= 1 + damping[:, None]
    matrix[:, diagonal, diagonal] += _MIN_INFORMATION
    change = np.linalg.solve(matrix, np.where(is_held, 0.0, slope)[..., None])[..., 0]
    return (parameters - change).clip(low, high)
