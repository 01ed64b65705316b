"""Compare how well contrasts and particle sizes explain the first micrographs.

The scores of the general model are highest near the size and contrast of the particles. The
evidence at a size is a sum over its peaks, divided by the scored area and times a power of the
size: a finer scale finds more peaks, several on one large particle. Without a given size, squares
of the positive logits are summed, so that weak peaks of noise count little; near a given size, the
logits themselves, times a prior around it. Decision 0020 compares other measures.

- `measure_evidence`: evidence of a probe.
- `Evidence`: evidence by contrast and size, and what follows from it.
"""

import math
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.pick.probe import Probe
from cryopick.pick.settings import FixedContrast

__all__ = ["Evidence", "measure_evidence"]

_SIZE_POWER = 0.25
# The prior of the scale is log-normal around a multiple of the given size.
_BEST_SCALE, _LOG_SCALE_SD = 1.1, 0.7
# Bright particles are rare, and dark ones have bright fringes and gaps between them.
_MIN_RATIO = 1.15


@dataclass(frozen=True)
class Evidence:
    """Evidence of particles by contrast and size.

    Attributes:
        values: Evidence in any unit, the same for all; sizes in ångströms.
        micrographs: Number of micrographs that were scored.
    """

    values: dict[tuple[FixedContrast, float], float]
    micrographs: int

    @property
    def contrast(self) -> FixedContrast:
        """The contrast with more evidence at its best size; dark unless bright has more."""
        return "bright" if self.best("bright") > _MIN_RATIO * self.best("dark") else "dark"

    @property
    def scale(self) -> float:
        """The largest evidence, which messages show as 1."""
        return max(self.values.values(), default=0.0) or 1.0

    def add(self, other: "Evidence") -> "Evidence":
        """Add evidence at other sizes."""
        return Evidence({**self.values, **other.values}, self.micrographs)

    def best(self, contrast: FixedContrast) -> float:
        """Evidence of a contrast at the size that has most."""
        return max((v for (sign, _), v in self.values.items() if sign == contrast), default=0.0)

    def by_size(self, contrast: FixedContrast) -> dict[float, float]:
        """Evidence of a contrast by size, ascending."""
        return {
            size: value for (sign, size), value in sorted(self.values.items()) if sign == contrast
        }


def measure_evidence(probe: Probe, given_ang: float | None = None) -> Evidence:
    """Measure the evidence at each size and contrast.

    Args:
        probe: Peaks of the scores.
        given_ang: Size of the particles, if it is given.
    """
    values = {
        (contrast, size): _sum_peaks(logits, is_given=given_ang is not None)
        * size**_SIZE_POWER
        * _prior(size, given_ang)
        / probe.area_ang2[size]
        for (contrast, size), logits in probe.logits.items()
    }
    return Evidence(values, probe.micrographs)


def _sum_peaks(logits: Float[np.ndarray, " peaks"], *, is_given: bool) -> float:
    positive = np.maximum(logits, 0)
    return float(positive.sum() if is_given else np.square(positive).sum())


def _prior(size_ang: float, given_ang: float | None) -> float:
    if given_ang is None:
        return 1.0
    log_ratio = math.log(size_ang / (_BEST_SCALE * given_ang))
    return math.exp(-((log_ratio / _LOG_SCALE_SD) ** 2) / 2)
