"""Find out on a few micrographs whether particles are elongated, and how long and wide they are.

At scales much finer than a long particle, the network scores its whole length. The regions of
positive scores, or the dependence of the scores on the direction, tell elongated particles from
compact ones. Their length is the one at which the filter of `pick.elongated` has the highest ratio
of signal to noise: the mean along a particle of the right length is nearly as high as along a
shorter one, and the noise of the mean is lower.

- `find_elongation`: sides of the particles.
- `LengthSearch`: which lengths are searched.
- `Sides`: the result.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.pick.elongation import are_compact, estimate_width, guess_width
from cryopick.pick.probe import Probe, ProbePlan
from cryopick.pick.settings import FixedContrast, is_elongated

__all__ = ["LengthSearch", "ProbeMicrographs", "Sides", "find_elongation"]

_DIVISORS = (2.0, 3.0)  # of a length; what it is divided by is the size that is scored
_MAX_MICROGRAPHS = 3
# Ratios of lengths that are compared to the assumed one: first in wide steps, then in narrow ones.
_RATIOS, _NEAR_RATIOS = (0.64, 0.8, 1.0, 1.25, 1.56, 1.95), (0.89, 1.0, 1.12, 1.25)
_BEST_PEAKS = 30
# Power of the length with which the ratio grows: 0.5 for noise without correlation. Scores fall
# towards the ends of particles, so that lengths would come out too short (decision 0021).
_LENGTH_POWER = 0.6
_CLOSE = 1.1  # ratio of lengths that are taken as equal
_MAX_ROUNDS, _MAX_NEAR_ROUNDS = 5, 4
_LOG_LENGTH_SD = 1.5  # of the prior of the length around a given one
_DOUBTFUL = 0.5  # mean directionality from which on the particles may be longer than assumed

ProbeMicrographs = Callable[[ProbePlan], Probe]


@dataclass(frozen=True)
class Sides:
    """Length and width of elongated particles in ångströms."""

    length_ang: float
    width_ang: float


@dataclass(frozen=True)
class LengthSearch:
    """Lengths in ångströms that are searched.

    Attributes:
        starts_ang: Lengths that are assumed, one after the other, until the particles look
            elongated; from there, the length is refined.
        limits_ang: Smallest and largest length.
        given_ang: Length of the particles, if it is given. Lengths near it have a higher prior, and
            the next start is tried only if the scores at the one before depend on the direction.
    """

    starts_ang: Sequence[float]
    limits_ang: tuple[float, float]
    given_ang: float | None = None


def find_elongation(
    search: LengthSearch, contrast: FixedContrast, probe: ProbeMicrographs
) -> Sides | None:
    """Find the sides of the particles if they are elongated.

    Args:
        search: Lengths to search.
        contrast: Contrast of the particles.
        probe: Function that scores the first micrographs.

    Returns:
        The sides; None if the particles do not look elongated.
    """
    for start_ang in search.starts_ang:
        width_ang, is_doubtful = _find_width(start_ang, contrast, probe)
        if width_ang is not None:
            return _refine(Sides(start_ang, width_ang), search, contrast, probe)
        if search.given_ang is not None and not is_doubtful:
            break
    return None


def _refine(
    sides: Sides, search: LengthSearch, contrast: FixedContrast, probe: ProbeMicrographs
) -> Sides | None:
    """Refine the sides; return None if particles of the refined length do not look elongated.

    The best length depends a little on the scale, and thus on the assumed length.
    """
    smallest_ang, largest_ang = search.limits_ang
    for ratios, rounds in ((_RATIOS, _MAX_ROUNDS), (_NEAR_RATIOS, _MAX_NEAR_ROUNDS)):
        for _ in range(rounds):
            tried_ang = [ratio * sides.length_ang for ratio in ratios]
            best_ang = _find_length(sides.length_ang, tried_ang, search.given_ang, contrast, probe)
            is_close = max(best_ang / sides.length_ang, sides.length_ang / best_ang) < _CLOSE
            if is_close or not smallest_ang <= best_ang <= largest_ang:
                break
            width_ang, _ = _find_width(best_ang, contrast, probe)
            if width_ang is None:
                return None
            sides = Sides(best_ang, width_ang)
    return sides


def _find_width(
    length_ang: float, contrast: FixedContrast, probe: ProbeMicrographs
) -> tuple[float | None, bool]:
    """Return the width of particles of a length, and whether they may be longer.

    The width is None if they do not look elongated.
    """
    sizes_ang = [length_ang / divisor for divisor in _DIVISORS]
    fine = probe(ProbePlan(sizes_ang, (length_ang,), _MAX_MICROGRAPHS))
    regions = [values for (sign, _), values in fine.regions_ang.items() if sign == contrast]
    directionality = {
        size: along.directionality
        for (sign, size, _), along in fine.along.items()
        if sign == contrast
    }
    width_ang = estimate_width(regions)
    if width_ang is None and not any(are_compact(one) for one in regions):
        width_ang = guess_width(directionality, length_ang)
    is_doubtful = any(
        values.mean() >= _DOUBTFUL for values in directionality.values() if len(values)
    )
    return (width_ang if is_elongated(length_ang, width_ang) else None), is_doubtful


def _find_length(
    length_ang: float,
    tried_ang: Sequence[float],
    given_ang: float | None,
    contrast: FixedContrast,
    probe: ProbeMicrographs,
) -> float:
    """Return the length with the highest ratio of signal to noise, at the scale of an assumed one.

    The ratio is multiplied by the prior around a given length.
    """
    size_ang = length_ang / min(_DIVISORS)
    fine = probe(ProbePlan([size_ang], tried_ang, _MAX_MICROGRAPHS))
    evidence = {
        tried: _measure_signal(along.heights) * tried**_LENGTH_POWER * _prior(tried, given_ang)
        for (sign, _, tried), along in fine.along.items()
        if sign == contrast and len(along.heights)
    }
    return max(evidence, key=lambda tried: evidence[tried], default=length_ang)


def _prior(length_ang: float, given_ang: float | None) -> float:
    if given_ang is None:
        return 1.0
    return math.exp(-((math.log(length_ang / given_ang) / _LOG_LENGTH_SD) ** 2) / 2)


def _measure_signal(heights: Float[np.ndarray, " peaks"]) -> float:
    """Return the mean height of the best peaks."""
    return float(np.sort(heights)[-_BEST_PEAKS:].mean())
