"""Calibration of scores by Platt scaling: a calibrated logit of 0 is a probability of one half.

- `Calibration`: slope and offset of the linear map from logits to log-odds.
"""

import math
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import SettingsError

__all__ = ["Calibration"]


@dataclass(frozen=True)
class Calibration:
    """Linear map from the logit of a pick to its log-odds: slope · logit + offset.

    Attributes:
        slope: Factor of the logit; positive, so that the order of scores is preserved.
        offset: Log-odds at a logit of 0.

    Raises:
        SettingsError: The slope is not positive, or a number is not finite.
    """

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not (0 < self.slope < math.inf and math.isfinite(self.offset)):
            raise SettingsError(
                "the calibration must have a positive slope and a finite offset; "
                f"got {self.slope:g} · logit + {self.offset:g}"
            )

    def apply(self, logits: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Convert logits to log-odds.

        >>> Calibration(2.0, 1.0).apply(np.array([-0.5, 0.0]))
        array([0., 1.])
        """
        return logits * self.slope + self.offset

    def apply_to_map(self, logits: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """Convert logits to log-odds in single precision."""
        return logits * np.float32(self.slope) + np.float32(self.offset)
