"""Repair isolated bad pixels and fill invalid regions of a raw micrograph.

The micrograph is read a few rows at a time, so a memory-mapped one is never in memory as a whole.

- `CleanedMicrograph`: rows of a micrograph with repaired pixels, as float32.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float32, Int64, Integer, Real
from cryopick.preprocess.mask import InvalidRegions

__all__ = ["CleanedMicrograph"]

_TAIL_PERCENT = 0.5  # percentile of the tails of the intensity distribution
_TAIL_FACTOR = 3.5  # outliers are this many times as far from the median: 9 SD of a Gaussian
_MAX_OUTLIERS_IN_5X5 = 6  # a dead column has 5; more are an object
_MIN_LINE_FRAC = 0.5  # of a row or column; with so many outliers it is a defect of the detector
_MAX_OUTLIER_FRAC = 0.01  # of the micrograph; more are image contrast instead of defects
_BLOCK_PIXELS = 1 << 19  # fits the cache, and is large enough that threads rarely wait


@dataclass(frozen=True, eq=False)
class CleanedMicrograph:
    """A raw micrograph with filled invalid regions and repaired pixels.

    Attributes:
        pixels: The raw micrograph, finite, of any real type; may be memory-mapped.
        invalid: Regions that contain no image.
        level: Fill value of these regions: the mean of the image, which minimizes the ringing at
            their edges when the spectrum is cropped.
        outliers: Flat indices of the repaired pixels, ascending.
        repaired: New values of these pixels.
    """

    pixels: Real[np.ndarray, "height width"]
    invalid: InvalidRegions
    level: float = 0.0
    outliers: Int64[np.ndarray, " outliers"] = field(default_factory=lambda: np.zeros(0, np.int64))
    repaired: Float32[np.ndarray, " outliers"] = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )

    @classmethod
    def from_pixels(
        cls,
        pixels: Real[np.ndarray, "height width"],
        invalid: InvalidRegions,
        span: tuple[float, float] = (-np.inf, np.inf),
    ) -> "CleanedMicrograph":
        """Find the fill value and the pixels to repair.

        A pixel is an outlier if it is more than 3.5 times as far from the median as the 0.5 %
        percentile on its side. This is nine standard deviations of Gaussian noise, and more for
        low counts or dark gold, so that electrons and objects are preserved. An outlier is
        repaired if its 5 x 5 neighbourhood has at most 6 outliers, like a dead column but unlike
        a gold bead, or if it is on a row or column of which most pixels are outliers, up to four
        side by side.

        Args:
            pixels: The raw micrograph.
            invalid: Regions that contain no image.
            span: Minimum and maximum pixel, if known; if neither is an outlier, there is none.
        """
        filled = cls(pixels, invalid, _compute_fill_level(pixels, invalid))
        low, high = filled._compute_limits()
        if low <= span[0] and span[1] <= high:
            return filled
        outliers = filled._find_outliers(low, high)
        if not 0 < len(outliers) <= _MAX_OUTLIER_FRAC * pixels.size:
            return filled
        is_isolated, has_neighbours, mean = filled._average_neighbours(outliers, low, high)
        is_defect = is_isolated | _find_on_lines(outliers, pixels.shape)
        is_repaired = is_defect & has_neighbours
        return cls(pixels, invalid, filled.level, outliers[is_repaired], mean[is_repaired])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape

    def rows(self, start: int, stop: int) -> Float32[np.ndarray, "rows width"]:
        """Return the rows from `start` to `stop` (exclusive); may be a view of the raw pixels."""
        raw, width = self.pixels[start:stop], self.shape[1]
        first, last = np.searchsorted(self.outliers, [start * width, stop * width])
        if first == last and self.invalid.is_empty:
            return np.asarray(raw, dtype=np.float32)
        rows = np.array(raw, dtype=np.float32)
        self.invalid.fill(rows, self.level, first_row=start)
        rows.flat[self.outliers[first:last] - start * width] = self.repaired[first:last]
        return rows

    def _compute_limits(self) -> tuple[float, float]:
        """Compute the range of values that are not outliers, from at most 260 000 pixels."""
        step = max(1, round((self.pixels.size / 2**18) ** 0.5))
        sample = np.array(self.pixels[::step, ::step], dtype=np.float32)
        if not self.invalid.is_empty:
            y, x = (np.arange(0, side, step) for side in self.shape)
            sample[self.invalid.covers(y[:, None], x)] = self.level
        tails = [_TAIL_PERCENT, 50, 100 - _TAIL_PERCENT]
        low, median, high = np.percentile(sample, tails)
        if not low < high:  # nearly all pixels are equal, so outliers cannot be defined
            return -np.inf, np.inf
        return median - _TAIL_FACTOR * (median - low), median + _TAIL_FACTOR * (high - median)

    def _find_outliers(self, low: float, high: float) -> Int64[np.ndarray, " outliers"]:
        """Find the flat indices of the values below `low` or above `high`."""
        height, width = self.shape
        indices = [np.zeros(0, dtype=np.int64)]
        step = max(1, _BLOCK_PIXELS // width)
        for start in range(0, height, step):
            rows = self.rows(start, min(start + step, height))
            if rows.min() < low or rows.max() > high:
                indices.append(np.flatnonzero((rows < low) | (rows > high)) + start * width)
        return np.concatenate(indices)

    def _average_neighbours(
        self, outliers: Int64[np.ndarray, " outliers"], low: float, high: float
    ) -> tuple[
        Bool[np.ndarray, " outliers"],
        Bool[np.ndarray, " outliers"],
        Float32[np.ndarray, " outliers"],
    ]:
        """Find the isolated outliers and those near normal pixels; average these."""
        height, width = self.shape
        offsets = np.arange(-2, 3)
        y = (outliers // width)[:, None, None] + offsets[:, None]
        x = (outliers % width)[:, None, None] + offsets
        exists = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        values = self._read_pixels(np.clip(y, 0, height - 1), np.clip(x, 0, width - 1))
        is_normal = exists & (values >= low) & (values <= high)
        count = is_normal.sum(axis=(1, 2))
        outlier_count = (exists & ~is_normal).sum(axis=(1, 2))
        total = np.where(is_normal, values, 0).sum(axis=(1, 2), dtype=np.float64)
        mean = (total / np.maximum(count, 1)).astype(np.float32)
        return outlier_count <= _MAX_OUTLIERS_IN_5X5, count > 0, mean

    def _read_pixels(
        self, y: Integer[np.ndarray, "..."], x: Integer[np.ndarray, "..."]
    ) -> Float32[np.ndarray, "..."]:
        """Read single pixels with filled invalid regions, without repair."""
        values: np.ndarray[Any, Any] = self.pixels[y, x].astype(np.float32)
        if not self.invalid.is_empty:
            values[self.invalid.covers(y, x)] = self.level
        return values


def _find_on_lines(
    outliers: Int64[np.ndarray, " outliers"], shape: tuple[int, int]
) -> Bool[np.ndarray, " outliers"]:
    """Find the outliers on rows and columns of which most pixels are outliers."""
    height, width = shape
    row, column = np.divmod(outliers, width)
    bad_rows = np.bincount(row, minlength=height) > _MIN_LINE_FRAC * width
    bad_columns = np.bincount(column, minlength=width) > _MIN_LINE_FRAC * height
    return bad_rows[row] | bad_columns[column]


def _compute_fill_level(pixels: Real[np.ndarray, "height width"], invalid: InvalidRegions) -> float:
    """Estimate the mean of the image from a sample; 0 if there are no invalid regions."""
    if invalid.is_empty:
        return 0.0
    step = max(1, min(pixels.shape) // 1024)
    sample = np.asarray(pixels[::step, ::step], dtype=np.float32)
    usable = invalid.usable(sample.shape)
    return float((sample[usable] if usable.any() else sample).mean(dtype=np.float64))
