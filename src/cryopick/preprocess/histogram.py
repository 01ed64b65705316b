"""Histogram of the intensities of a micrograph.

- `Histogram`: number of pixels by intensity.
- `histogram`: compute the histogram of the usable pixels of a micrograph.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.errors import MicrographError

__all__ = ["Histogram", "histogram"]

_SAMPLE_SIZE = 1 << 16  # pixels from which the standard deviation is estimated
_RANGE_SD = 10.0  # half-width of the range in standard deviations around the median


@dataclass(frozen=True, eq=False)
class Histogram:
    """Histogram of the usable pixels of one micrograph.

    Attributes:
        centres: Intensity at the centre of each bin, ascending, in the unit of the image.
        counts: Number of pixels in each bin.
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

    The range is that of the intensities, limited to ten robust standard deviations around the
    median. Pixels outside the range are excluded, so that a few outliers neither widen the bins
    nor bias a fit. The robust standard deviation is that of a Gaussian with the same central 99 %.

    Args:
        image: Downsampled micrograph.
        usable: Pixels to count.
        bins: Number of bins; with 1024, a bin is at most 0.02 standard deviations wide.

    Raises:
        MicrographError: Fewer than two different usable intensities.
    """
    values = image[usable]
    if values.size == 0:
        raise MicrographError(
            "the micrograph has no usable pixel: it is covered by borders or flat patches; "
            "exclude it"
        )
    sample = values[:: max(1, values.size // _SAMPLE_SIZE)].astype(np.float64)
    tail_low, median, tail_high = np.percentile(sample, [0.5, 50, 99.5])
    half_range = _RANGE_SD * (tail_high - tail_low) / 5.15  # 5.15 SD in a Gaussian
    low = max(float(values.min()), median - half_range)
    high = min(float(values.max()), median + half_range)
    if not low < high:
        raise MicrographError(
            f"nearly all usable pixels of the micrograph are {median:g}, so it cannot be "
            "normalised; exclude it"
        )
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    return Histogram((edges[1:] + edges[:-1]) / 2, counts.astype(np.float64))
