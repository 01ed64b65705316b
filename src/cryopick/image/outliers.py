"""Replace hot and dead pixels before they ring through a cropped spectrum.

- `replace_outliers`: give single extreme pixels the mean of their neighbours.
"""

import numpy as np
from jaxtyping import Float32, Int64

__all__ = ["replace_outliers"]

_TAIL_PERCENT = 0.5  # of the pixels on either side may be outliers and still not hide
_BEYOND = 3.5  # times as far out as that tail: nine standard deviations of a Gaussian
_MOST_IN_5X5 = 6  # a dead column has 5; more is an object
_MOST_FRACTION = 0.01  # of the micrograph: beyond that it is contrast, not defects
_BLOCK_ROWS = 256


def replace_outliers(image: Float32[np.ndarray, "height width"]) -> int:
    """Give isolated extreme pixels the mean of their neighbours, in place.

    A pixel is extreme when it lies 3.5 times as far from the median as the outer 0.5 % of
    the pixels on its side do: nine standard deviations of Gaussian noise, and further where
    counts are few or gold is dark, so that electrons and objects stay. It is isolated when
    its 5 x 5 neighbourhood has at most 6 extreme pixels: a dead column is replaced, a gold
    bead is not.

    Args:
        image: Raw micrograph in any intensity unit.

    Returns:
        How many pixels were replaced.
    """
    low, high = _limits(image)
    extreme = _outside(image, low, high)
    if not 0 < len(extreme) <= _MOST_FRACTION * image.size:
        return 0
    height, width = image.shape
    offsets = np.arange(-2, 3)
    y = (extreme // width)[:, None, None] + offsets[:, None]
    x = (extreme % width)[:, None, None] + offsets
    exists = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    around = image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    ordinary = exists & (around >= low) & (around <= high)
    count = ordinary.sum(axis=(1, 2))
    isolated = ((exists & ~ordinary).sum(axis=(1, 2)) <= _MOST_IN_5X5) & (count > 0)
    mean = np.where(ordinary, around, 0).sum(axis=(1, 2), dtype=np.float64) / np.maximum(count, 1)
    image.flat[extreme[isolated]] = mean[isolated]
    return int(isolated.sum())


def _limits(image: Float32[np.ndarray, "height width"]) -> tuple[float, float]:
    """Lowest and highest ordinary value, from a sample of at most some 260 000 pixels."""
    step = max(1, round((image.size / 2**18) ** 0.5))
    tails = [_TAIL_PERCENT, 50, 100 - _TAIL_PERCENT]
    low, median, high = np.percentile(image[::step, ::step], tails)
    if not low < high:  # nearly all pixels are equal: nothing tells what is extreme
        return -np.inf, np.inf
    return median - _BEYOND * (median - low), median + _BEYOND * (high - median)


def _outside(
    image: Float32[np.ndarray, "height width"], low: float, high: float
) -> Int64[np.ndarray, " extreme"]:
    """Flat positions of the values below `low` or above `high`."""
    found = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(image), _BLOCK_ROWS):
        rows = image[start : start + _BLOCK_ROWS]
        if rows.min() < low or rows.max() > high:
            found.append(np.flatnonzero((rows < low) | (rows > high)) + start * image.shape[1])
    return np.concatenate(found)
