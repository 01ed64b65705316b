"""Logits as odds: a line that makes a logit of 0 even odds, and keeps the order of scores.

- `Odds`: the line.
"""

import math
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import SettingsError

__all__ = ["Odds"]


@dataclass(frozen=True)
class Odds:
    """Log-odds of a pick as a line in its logit: slope · logit + offset.

    Raises:
        SettingsError: The slope is not above 0, which would turn the order of scores over, or a
            number is not finite.
    """

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not (0 < self.slope < math.inf and math.isfinite(self.offset)):
            raise SettingsError(
                f"odds need a finite line that rises; got {self.slope:g} · logit + {self.offset:g}"
            )

    def of(self, logits: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """The log-odds of logits.

        >>> Odds(2.0, 1.0).of(np.array([-0.5, 0.0]))
        array([0., 1.])
        """
        return logits * self.slope + self.offset

    def of_map(self, logits: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """The same in single precision."""
        return logits * np.float32(self.slope) + np.float32(self.offset)
