"""What calibrated scores promise: particles, precision and recall at every threshold, unlabelled.

A score is the logarithm of the odds that a pick is a particle, so that the sum of the
probabilities is the number of particles to expect. Particles that no pick found, however low its
score, are not counted: keep all picks down to a low floor.

- `Promise`, `promised`: the numbers at every threshold.
- `best_threshold`: the one whose F1 should be best.
- `best_cut`, `Cut`: the picks that it keeps, none on micrographs without a sign of particles.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float, Integer
from cryopick.errors import SettingsError
from cryopick.evaluate.emptiness import shows_particles
from cryopick.evaluate.thresholds import thresholded
from cryopick.picks import Picks

__all__ = ["Cut", "Promise", "best_cut", "best_threshold", "promised"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Promise:
    """Expected values when the picks of at least a threshold are kept, from the highest down.

    Attributes:
        threshold: The scores that occur, descending.
        kept: Picks kept at each.
        particles: Particles among them.
        precision: Share of the kept that are particles.
        recall: Share of all expected particles that are kept.
        f1: Harmonic mean of the two.
        total: Particles among all picks.
    """

    threshold: Float[np.ndarray, " steps"]
    kept: Integer[np.ndarray, " steps"]
    particles: Float[np.ndarray, " steps"]
    precision: Float[np.ndarray, " steps"]
    recall: Float[np.ndarray, " steps"]
    f1: Float[np.ndarray, " steps"]
    total: float

    @property
    def best_threshold(self) -> float:
        """The threshold of the highest expected F1; of equal ones the highest."""
        return float(self.threshold[np.argmax(self.f1)])


def promised(picks: Picks) -> Promise:
    """What the scores of picks promise.

    Raises:
        SettingsError: There is no pick, or some have no score.
    """
    from scipy.special import expit

    if not len(picks) or not picks.is_scored:
        raise SettingsError(
            "expected numbers need picks with scores, such as `cryopick pick` writes"
        )
    score = np.sort(picks.score)[::-1]
    chance = expit(score)
    is_last = np.append(np.diff(score) != 0, True)  # equal scores are kept or dropped together
    kept = np.flatnonzero(is_last) + 1
    particles = np.cumsum(chance)[is_last]
    total = float(particles[-1])
    return Promise(
        threshold=score[is_last],
        kept=kept,
        particles=particles,
        precision=particles / kept,
        recall=particles / total,
        f1=2 * particles / (kept + total),
        total=total,
    )


def best_threshold(picks: Picks) -> float:
    """The threshold of the highest expected F1; of equal ones the highest.

    Its probability is half of that F1.

    Raises:
        SettingsError: There is no pick, or some have no score.

    Source: Lipton, Elkan and Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize
    F1 measure", ECML.
    """
    return promised(picks).best_threshold


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """What the automatic threshold keeps.

    Attributes:
        kept: The picks.
        promise: What scores promise of the picks on micrographs that show particles; None where
            none does.
        without_signs: The other micrographs, of which nothing is kept.
    """

    kept: Picks
    promise: Promise | None
    without_signs: tuple[str, ...]


def best_cut(picks: Picks) -> Cut:
    """Keep the picks of the best threshold, on micrographs that show particles.

    Raises:
        SettingsError: There is no pick, or some have no score.
    """
    promised(picks)  # objects to what has no scores
    shows = shows_particles(picks)
    named = zip(picks.micrographs, shows, strict=True)
    without = tuple(name for name, own in named if not own)
    believed = picks.select(shows[picks.index])
    if not len(believed):
        return Cut(kept=believed, promise=None, without_signs=without)
    promise = promised(believed)
    kept = thresholded(believed, promise.best_threshold)
    return Cut(kept=kept, promise=promise, without_signs=without)
