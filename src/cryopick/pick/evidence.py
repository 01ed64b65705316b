"""Compare how well contrasts and particle sizes explain the first micrographs.

The scores of the general model are highest near the size and contrast of the particles. Decision
0020 compares measures.

- `measure_evidence`: evidence of each contrast and size, for the choice of the contrast.
- `Evidence`: that evidence, and what follows from it.
- `measure_size_evidence`: evidence of each size in one contrast, for the choice of the size.
- `SizeEvidence`: that evidence at one size.
- `prefer_given_size`: the evidence of sizes, weighted by a prior around a given one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cryopick.pick.probe import Probe
from cryopick.pick.settings import FixedContrast

__all__ = [
    "Evidence",
    "SizeEvidence",
    "measure_evidence",
    "measure_size_evidence",
    "prefer_given_size",
]

_SIZE_POWER = 0.25
# Sum of the positive logits of the peaks of pure noise, in an area of one size squared.
_NOISE_LOGITS = 0.0024
# Sum of the squares of these logits; the mean of the positive logits of noise is about 0.4.
_NOISE_SQUARES = 0.0018
_CLEAR_EVIDENCE = 3.0  # standard deviations of evidence that is not by chance
# The prior of the scale is log-normal around a multiple of the given size.
_BEST_SCALE, _LOG_SCALE_SD = 1.1, 1.0
# Bright particles are rare, and dark ones have bright fringes and gaps between them.
_MIN_RATIO = 1.15
# Standard deviations by which bright must exceed dark, as peaks of noise are few and random, and
# those below which the excess is worth a second look on more micrographs.
_MIN_DEVIATIONS, _CLEAR_DEVIATIONS = 1.0, 3.0


@dataclass(frozen=True)
class Evidence:
    """Evidence of particles by contrast and size.

    Attributes:
        values: Evidence of each contrast and size in ångströms, in the unit of `measure_evidence`.
        micrographs: Number of micrographs that were scored.
        variances: Variances of the values: the number of peaks of each height is random, with a
            Poisson distribution. Missing ones are 0.
    """

    values: dict[tuple[FixedContrast, float], float]
    micrographs: int
    variances: dict[tuple[FixedContrast, float], float] = field(default_factory=dict)

    @property
    def contrast(self) -> FixedContrast:
        """The contrast with more evidence at its best size; dark unless bright has clearly more."""
        return "bright" if self._has_bright_excess(_MIN_DEVIATIONS) else "dark"

    @property
    def is_contrast_doubtful(self) -> bool:
        """Bright has more evidence, but the excess may be that of a few peaks of noise."""
        return self._has_bright_excess(0.0) and not self._has_bright_excess(_CLEAR_DEVIATIONS)

    @property
    def best_sizes(self) -> list[float]:
        """Sizes with the most evidence, one of each contrast."""
        keys = [self._best_key(contrast) for contrast in ("dark", "bright")]
        return sorted({key[1] for key in keys if key is not None})

    @property
    def scale(self) -> float:
        """The largest evidence, which messages show as 1."""
        return max(self.values.values(), default=0.0) or 1.0

    def add(self, other: "Evidence") -> "Evidence":
        """Add evidence at other sizes."""
        values, variances = {**self.values, **other.values}, {**self.variances, **other.variances}
        return Evidence(values, self.micrographs, variances)

    def best(self, contrast: FixedContrast) -> float:
        """Evidence beyond that of noise, of a contrast at the size that has most."""
        key = self._best_key(contrast)
        return 0.0 if key is None else max(0.0, self._subtract_noise(key))

    def _best_key(self, contrast: FixedContrast) -> tuple[FixedContrast, float] | None:
        keys = [key for key in self.values if key[0] == contrast]
        return max(keys, key=self._subtract_noise, default=None)

    def _subtract_noise(self, key: tuple[FixedContrast, float]) -> float:
        return self.values[key] - _NOISE_SQUARES * key[1] ** (_SIZE_POWER - 2)

    def _has_bright_excess(self, deviations: float) -> bool:
        keys = [self._best_key(contrast) for contrast in ("dark", "bright")]
        variance = sum(self.variances.get(key, 0.0) for key in keys if key is not None)
        dark, bright = self.best("dark"), self.best("bright")
        return bright > _MIN_RATIO * dark and bright - dark > deviations * math.sqrt(variance)


def measure_evidence(probe: Probe) -> Evidence:
    """Sum the squares of the positive logits at each size and contrast, per scored area.

    Weak peaks, such as those of noise, count little. A finer scale finds more peaks, several on
    one large particle; a power of the size makes up for it.
    """
    values, variances = {}, {}
    for (contrast, size), logits in probe.logits.items():
        if not probe.area_ang2[size]:
            continue
        peaks = np.square(np.maximum(logits, 0))
        factor = size**_SIZE_POWER / probe.area_ang2[size]
        values[contrast, size] = factor * float(peaks.sum())
        variances[contrast, size] = factor**2 * float(np.square(peaks).sum())
    return Evidence(values, probe.micrographs, variances)


@dataclass(frozen=True)
class SizeEvidence:
    """Evidence of particles of one size, in a unit that is the same for all sizes.

    Attributes:
        excess: Sum of the positive logits of all peaks, per area, less that of noise.
        deviation: Standard deviation of the sum, as the number of peaks of each height is random,
            with a Poisson distribution.
    """

    excess: float
    deviation: float

    @property
    def is_clear(self) -> bool:
        """True if chance would hardly show as much."""
        return self.excess > _CLEAR_EVIDENCE * self.deviation


def measure_size_evidence(probe: Probe, contrast: FixedContrast) -> dict[float, SizeEvidence]:
    """Sum the positive logits at each size, per scored area, less those of noise.

    Noise has as many peaks in each area of one size squared, whatever the size.

    Args:
        probe: Peaks of the scores.
        contrast: Contrast of the particles.

    Returns:
        Evidence by size in ångströms, ascending.
    """
    evidence = {}
    for (sign, size), logits in sorted(probe.logits.items()):
        area = probe.area_ang2[size]
        if sign == contrast and area:
            positive = np.maximum(logits, 0)
            excess = float(positive.sum()) / area - _NOISE_LOGITS / size**2
            deviation = math.sqrt(float(np.square(positive).sum())) / area
            evidence[size] = SizeEvidence(excess, deviation)
    return evidence


def prefer_given_size(
    by_size: Mapping[float, SizeEvidence], given_ang: float | None
) -> dict[float, float]:
    """Multiply the evidence of each size by a prior around a given size.

    Args:
        by_size: Evidence by size in ångströms.
        given_ang: Size of the particles, if it is given.

    Returns:
        Weighted evidence, at least 0, by size, ascending.
    """
    return {
        size: max(0.0, evidence.excess) * _prior(size, given_ang)
        for size, evidence in sorted(by_size.items())
    }


def _prior(size_ang: float, given_ang: float | None) -> float:
    if given_ang is None:
        return 1.0
    log_ratio = math.log(size_ang / (_BEST_SCALE * given_ang))
    return math.exp(-((log_ratio / _LOG_SCALE_SD) ** 2) / 2)
