"""A raw micrograph as it goes into the Fourier transform, read a few rows at a time.

What holds no image has one value, single extreme pixels have the mean of their neighbours,
and all are float32. Nothing is held whole, so a memory-mapped micrograph takes no memory.

- `Clean`: such a micrograph.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float32, Int64, Integer, Real
from cryopick.preprocess.mask import Invalid

__all__ = ["Clean"]

_TAIL_PERCENT = 0.5  # of the pixels on either side may be outliers and still not hide
_BEYOND = 3.5  # times as far out as that tail: nine standard deviations of a Gaussian
_MOST_IN_5X5 = 6  # a dead column has 5; more is an object
_MOST_FRACTION = 0.01  # of the micrograph: beyond that it is contrast, not defects
_BLOCK_PIXELS = 1 << 19  # few enough for the cache, enough that threads seldom meet


@dataclass(frozen=True, eq=False)
class Clean:
    """A raw micrograph, filled and mended.

    Attributes:
        pixels: The raw micrograph, finite, of any real type; may be memory-mapped.
        invalid: What of it holds no image.
        level: The value that this is given: the mean of what holds image. A step from image
            to fill would ring through the whole line when the spectrum is cropped; the mean
            makes it as small as one value can.
        outliers: Flat positions, rising, of the pixels that are mended.
        mended: Their new values.
    """

    pixels: Real[np.ndarray, "height width"]
    invalid: Invalid
    level: float = 0.0
    outliers: Int64[np.ndarray, " outliers"] = field(default_factory=lambda: np.zeros(0, np.int64))
    mended: Float32[np.ndarray, " outliers"] = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )

    @classmethod
    def of(
        cls,
        pixels: Real[np.ndarray, "height width"],
        invalid: Invalid,
        span: tuple[float, float] = (-np.inf, np.inf),
    ) -> "Clean":
        """Find out what to fill and what to mend.

        A pixel is extreme when it lies 3.5 times as far from the median as the outer 0.5 %
        of the pixels on its side do: nine standard deviations of Gaussian noise, and further
        where counts are few or gold is dark, so that electrons and objects stay. It is
        mended when its 5 x 5 neighbourhood has at most 6 extreme pixels: a dead column is, a
        gold bead is not.

        Args:
            pixels: The raw micrograph.
            invalid: What of it holds no image.
            span: Least and greatest pixel, if known: where both are ordinary none is looked for.
        """
        filled = cls(pixels, invalid, _level(pixels, invalid))
        low, high = filled._limits()
        if low <= span[0] and span[1] <= high:
            return filled
        extreme = filled._outside(low, high)
        if not 0 < len(extreme) <= _MOST_FRACTION * pixels.size:
            return filled
        isolated, mean = filled._neighbours(extreme, low, high)
        return cls(pixels, invalid, filled.level, extreme[isolated], mean[isolated])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape

    def rows(self, start: int, stop: int) -> Float32[np.ndarray, "rows width"]:
        """Rows `start` to `stop`, without the last; maybe a view of the raw pixels."""
        raw, width = self.pixels[start:stop], self.shape[1]
        first, last = np.searchsorted(self.outliers, [start * width, stop * width])
        if first == last and self.invalid.is_empty:
            return np.asarray(raw, dtype=np.float32)
        rows = np.array(raw, dtype=np.float32)
        self.invalid.fill(rows, self.level, first_row=start)
        rows.flat[self.outliers[first:last] - start * width] = self.mended[first:last]
        return rows

    def _limits(self) -> tuple[float, float]:
        """Lowest and highest ordinary value, from a sample of at most some 260 000 pixels."""
        step = max(1, round((self.pixels.size / 2**18) ** 0.5))
        sample = np.array(self.pixels[::step, ::step], dtype=np.float32)
        if not self.invalid.is_empty:
            y, x = (np.arange(0, side, step) for side in self.shape)
            sample[self.invalid.covers(y[:, None], x)] = self.level
        tails = [_TAIL_PERCENT, 50, 100 - _TAIL_PERCENT]
        low, median, high = np.percentile(sample, tails)
        if not low < high:  # nearly all pixels are equal: nothing tells what is extreme
            return -np.inf, np.inf
        return median - _BEYOND * (median - low), median + _BEYOND * (high - median)

    def _outside(self, low: float, high: float) -> Int64[np.ndarray, " extreme"]:
        """Flat positions of the values below `low` or above `high`."""
        height, width = self.shape
        found = [np.zeros(0, dtype=np.int64)]
        step = max(1, _BLOCK_PIXELS // width)
        for start in range(0, height, step):
            rows = self.rows(start, min(start + step, height))
            if rows.min() < low or rows.max() > high:
                found.append(np.flatnonzero((rows < low) | (rows > high)) + start * width)
        return np.concatenate(found)

    def _neighbours(
        self, extreme: Int64[np.ndarray, " extreme"], low: float, high: float
    ) -> tuple[Bool[np.ndarray, " extreme"], Float32[np.ndarray, " extreme"]]:
        """Which extreme pixels are isolated, and the mean of the ordinary ones around each."""
        height, width = self.shape
        offsets = np.arange(-2, 3)
        y = (extreme // width)[:, None, None] + offsets[:, None]
        x = (extreme % width)[:, None, None] + offsets
        exists = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        around = self._at(np.clip(y, 0, height - 1), np.clip(x, 0, width - 1))
        ordinary = exists & (around >= low) & (around <= high)
        count = ordinary.sum(axis=(1, 2))
        isolated = ((exists & ~ordinary).sum(axis=(1, 2)) <= _MOST_IN_5X5) & (count > 0)
        total = np.where(ordinary, around, 0).sum(axis=(1, 2), dtype=np.float64)
        return isolated, (total / np.maximum(count, 1)).astype(np.float32)

    def _at(
        self, y: Integer[np.ndarray, "..."], x: Integer[np.ndarray, "..."]
    ) -> Float32[np.ndarray, "..."]:
        """Single pixels, filled and not mended."""
        values: np.ndarray[Any, Any] = self.pixels[y, x].astype(np.float32)
        if not self.invalid.is_empty:
            values[self.invalid.covers(y, x)] = self.level
        return values


def _level(pixels: Real[np.ndarray, "height width"], invalid: Invalid) -> float:
    """Mean of what holds image, from a sample; 0 where all does and nothing is to be filled."""
    if invalid.is_empty:
        return 0.0
    step = max(1, min(pixels.shape) // 1024)
    sample = np.asarray(pixels[::step, ::step], dtype=np.float32)
    usable = invalid.usable(sample.shape)
    return float((sample[usable] if usable.any() else sample).mean(dtype=np.float64))
