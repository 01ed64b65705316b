"""How often which intensity occurs on a micrograph.

- `Histogram`: counts by intensity.
- `histogram`: those of a micrograph's usable pixels.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.errors import MicrographError

__all__ = ["Histogram", "histogram"]

_SAMPLE = 1 << 16  # pixels that the spread is told from
_REACH = 10.0  # spreads on either side of the median; what lies beyond is no image


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often which intensity occurs among the usable pixels of one micrograph.

    Attributes:
        centres: Intensity at the middle of each bin, rising, in the image's unit.
        counts: Pixels in each bin.
    """

    centres: Float[np.ndarray, " bins"]
    counts: Float[np.ndarray, " bins"]

    @property
    def mean(self) -> float:
        """Mean intensity."""
        return float(self.counts @ self.centres / self.counts.sum())

    @property
    def sd(self) -> float:
        """Standard deviation of the intensities."""
        return float(np.sqrt(self.counts @ (self.centres - self.mean) ** 2 / self.counts.sum()))


def histogram(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    *,
    bins: int = 1024,
) -> Histogram:
    """Count the intensities of the usable pixels.

    Bins reach from the lowest to the highest intensity, but at most ten spreads from the
    median, a spread being what a Gaussian with the same central 99 % has as its standard
    deviation; what lies beyond is left out, so that a few wild pixels neither widen the bins
    nor move a fit.

    Args:
        image: Downsampled micrograph.
        usable: Pixels to count.
        bins: Number of bins; 1024 leave each 0.02 spreads wide at most.

    Raises:
        MicrographError: Fewer than two different usable intensities.
    """
    values = image[usable]
    if values.size == 0:
        raise MicrographError(
            "the micrograph has no usable pixel: borders or flat patches cover it; leave it out"
        )
    few = values[:: max(1, values.size // _SAMPLE)].astype(np.float64)
    tail_low, median, tail_high = np.percentile(few, [0.5, 50, 99.5])
    reach = _REACH * (tail_high - tail_low) / 5.15  # 5.15 sd in a Gaussian
    low = max(float(values.min()), median - reach)
    high = min(float(values.max()), median + reach)
    if not low < high:
        raise MicrographError(
            f"the micrograph's usable pixels are nearly all {median:g}: nothing to normalise; "
            "leave it out"
        )
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    return Histogram((edges[1:] + edges[:-1]) / 2, counts.astype(np.float64))
