"""Tell micrographs with particles from those without by how their scores fall off, unlabelled.

Where there is nothing to pick, noise, crystals of ice and dirt score too, but the fewer the higher
the score, and ever faster: the logarithm of their number bends down like a parabola. Particles
are a hump on that tail. Whether the hump explains the scores much better than the tail alone,
a likelihood ratio tells. How high the hump lies matters little: scores are wrong on micrographs
unlike those that a model was calibrated on.

- `shows_particles`: which micrographs have that hump.
- `likely_empty`: whether no micrograph of many has it, from a sample of them.

Source: the ratio test is that of Wilks 1938, Ann. Math. Stat. 9:60; its limits here are from
experience (decision 0015), as the tail is only nearly a parabola.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.picks import Picks, evenly

__all__ = ["likely_empty", "shows_particles"]

_FLOOR = -4.0  # scores below are not looked at
_BIN = 0.25
_TAIL = -2.0  # the tail must be seen from the floor to here
_FEWEST = 20  # picks there, for without them nothing tells tail from hump
_SURE_ALONE = 15.0  # log-likelihood that a hump of any place and width must gain
_SURE_BESIDE = 2.0  # the same of the hump that is known from other micrographs
_LOOKED_AT = 64  # micrographs in which the hump is looked for first
_TOGETHER = 16  # micrographs whose scores make one tail where none shows a hump alone
# mean and spread of the hump
_LEAST, _MOST = (-1.0, 0.6), (4.0, 2.0)
_STARTS = (-1.0, 0.0, 1.0, 2.5)


def shows_particles(picks: Picks) -> Bool[np.ndarray, " micrographs"]:
    """Which micrographs show particles; those with too few picks to tell count as if they did.

    Args:
        picks: Picks with scores, down to a low floor such as -6.
    """
    counts = _counts(picks)
    shows = np.array([not own.tells for own in counts], bool)
    known = _known_hump(counts)
    if known is None:
        return shows
    for number, own in enumerate(counts):
        shows[number] |= own.gain(known) >= _SURE_BESIDE or own.hump()[0] >= _SURE_ALONE
    return shows


def likely_empty(picks: Picks) -> bool:
    """Whether a sample of the micrographs shows no particles, each alone or all together."""
    counts = _counts(picks)
    return all(own.tells for own in counts) and _known_hump(counts) is None


def _counts(picks: Picks) -> "list[_Counts]":
    return [_Counts.of(picks.score[rows]) for rows in picks.rows().values()]


def _known_hump(counts: "list[_Counts]") -> tuple[float, float] | None:
    """Mean and spread of particles' scores, from the micrographs that show them best."""
    telling = [own for own in counts if own.tells]
    if not telling:
        return None
    some = evenly(len(telling), _LOOKED_AT)
    humps = [telling[number].hump() for number in some]
    sure = [hump for gain, hump in humps if gain >= _SURE_ALONE]
    if sure:
        mean, spread = np.median(sure, axis=0)
        return float(mean), float(spread)
    few = evenly(len(telling), _TOGETHER)
    gain, hump = sum((telling[number] for number in few[1:]), telling[few[0]]).hump()
    return hump if gain >= _SURE_ALONE else None


@dataclass(frozen=True, eq=False)
class _Counts:
    """How many picks have which score, from `_FLOOR` on in steps of `_BIN`."""

    number: Float[np.ndarray, " bins"]

    @classmethod
    def of(cls, score: Float[np.ndarray, " picks"]) -> "_Counts":
        bins = round((8 - _FLOOR) / _BIN)
        edges = _FLOOR + _BIN * np.arange(bins + 1)
        seen = np.minimum(score[score >= _FLOOR], edges[-1])
        return cls(np.histogram(seen, edges)[0].astype(np.float64))

    def __add__(self, other: "_Counts") -> "_Counts":
        return _Counts(self.number + other.number)

    @property
    def tells(self) -> bool:
        """Whether enough of the tail is seen."""
        return bool(self.number[: round((_TAIL - _FLOOR) / _BIN)].sum() >= _FEWEST)

    def hump(self) -> tuple[float, tuple[float, float]]:
        """What a hump gains in log-likelihood, and the mean and the spread that gain the most."""
        low, high = zip(_LEAST, _MOST, strict=True)
        starts = [np.array([mean, 1.2]) for mean in _STARTS]
        best = max((self._fitted(start, (low, high)) for start in starts), key=lambda one: one[0])
        return best[0] - self._of_tail, (float(best[1][4]), float(best[1][5]))

    def gain(self, hump: tuple[float, float]) -> float:
        """What a hump of known mean and spread gains in log-likelihood."""
        mean, spread = hump
        bounds = ((mean, mean), (spread, spread))
        return self._fitted(np.array(hump), bounds)[0] - self._of_tail

    @property
    def _of_tail(self) -> float:
        """The log-likelihood without a hump."""
        return self._fitted(np.array([0.0, 1.0]), ((0.0, 0.0), (1.0, 1.0)), most=0.0)[0]

    def _fitted(
        self,
        hump: Float[np.ndarray, "2"],
        bounds: tuple[tuple[float, float], tuple[float, float]],
        most: float = np.inf,
    ) -> tuple[float, Float[np.ndarray, "6"]]:
        """The greatest log-likelihood of Poisson counts, and the numbers that reach it.

        They are the tail's logarithm a + b x - c x², x above the floor and b not above 0, the
        particles in the hump, at most `most`, and its mean and spread.
        """
        from scipy.optimize import minimize
        from scipy.special import ndtr

        seen = self.number
        edges = _FLOOR + _BIN * np.arange(len(seen) + 1)
        x = (edges[:-1] + edges[1:]) / 2 - _FLOOR
        above = float(seen[edges[:-1] >= 0].sum())

        def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
            a, b, c, particles, mean, spread = at
            tail = np.exp(np.minimum(a + b * x - c * x * x, 30))
            u = (edges - mean) / spread
            density = np.exp(-u * u / 2) / np.sqrt(2 * np.pi)
            share = np.diff(ndtr(u))
            expected = np.maximum(tail + particles * share, 1e-9)
            per = 1 - seen / expected  # slope by what is expected
            slopes = (tail, tail * x, -tail * x * x, share)
            by_mean = -particles * np.diff(density) / spread
            by_spread = -particles * np.diff(u * density) / spread
            value = expected.sum() - seen @ np.log(expected)
            return float(value), np.array([per @ own for own in (*slopes, by_mean, by_spread)])

        start = [np.log(seen[:4].mean() + 1), -0.6, 0.05, min(above + 1, most), *hump]
        limits = [(-20, 20), (-8, 0), (0, 4), (0, most), *bounds]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits)
        return -float(found.fun), found.x
