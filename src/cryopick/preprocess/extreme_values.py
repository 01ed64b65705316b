"""Scale micrographs whose values single precision cannot process.

All further steps compute in float32. A contrast that is tiny beside the mean, or values near the
limits of float32, would lose their digits there.

- `scale_extreme_values`: scale such a micrograph in float64; others stay as they are.
"""

import numpy as np

from cryopick.array_types import Real

__all__ = ["scale_extreme_values"]

_MIN_CONTRAST = 1e-3  # range of the pixels relative to their median
_MIN_RANGE, _MAX_RANGE = 1e-15, 1e15  # squares and sums must stay within float32
_TAIL_PERCENT = 0.5  # outliers such as X-ray hits do not count
_SAMPLE_PIXELS = 1 << 16
_BLOCK_ROWS = 256


def scale_extreme_values(
    pixels: Real[np.ndarray, "height width"], span: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[Real[np.ndarray, "height width"], tuple[float, float]]:
    """Scale a micrograph to median 0 and a range of 1 if float32 cannot represent its contrast.

    Args:
        pixels: Raw micrograph of any real type, finite.
        span: Minimum and maximum pixel, if known.

    Returns:
        The pixels and the span: unchanged for ordinary micrographs, else scaled, as float32.
    """
    low, median, high = _percentiles(pixels)
    percentile_range = high - low
    is_ordinary = (
        _MIN_RANGE < percentile_range < _MAX_RANGE
        and percentile_range > _MIN_CONTRAST * abs(median)
    )
    if is_ordinary or percentile_range == 0:
        return pixels, span
    limit = float(np.finfo(np.float32).max) ** 0.4  # an outlier may exceed the range of float32
    scaled = np.empty(pixels.shape, np.float32)
    for start in range(0, len(pixels), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        values = (pixels[rows].astype(np.float64) - median) / percentile_range
        scaled[rows] = np.clip(values, -limit, limit)
    return scaled, (float(scaled.min()), float(scaled.max()))


def _percentiles(pixels: Real[np.ndarray, "height width"]) -> tuple[float, float, float]:
    step = max(1, round((pixels.size / _SAMPLE_PIXELS) ** 0.5))
    sample = pixels[::step, ::step].astype(np.float64)
    low, median, high = np.percentile(sample, [_TAIL_PERCENT, 50, 100 - _TAIL_PERCENT])
    return float(low), float(median), float(high)
