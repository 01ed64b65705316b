"""Estimate the noise of a micrograph from the windows that hold the least signal.

Particles add power at low frequencies. A spectrum averaged over the whole micrograph therefore
depends on how many particles it holds. A low quantile over many small windows does not, as long
as some windows are nearly empty.

- `NoiseEstimate`, `estimate_noise`: radial noise power and the emptiest windows.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.preprocess.transforms import choose_transforms
from cryopick.preprocess.whitening import FREQUENCIES, window_starts

__all__ = ["NoiseEstimate", "estimate_noise"]

_WINDOW_PX = 64  # about four particle diameters; the taper leaves the central two
_STEP_PX = 24
_MIN_USABLE_FRAC = 0.9  # of a window
_QUANTILE = 0.25  # over windows, at each frequency
_NORMAL_QUANTILE = -0.6745  # of a standard normal variable, at that probability
_EMPTY_FRAC = 0.25  # share of the windows that give the background level
# Neighbouring Fourier coefficients of a tapered window are correlated: a ring of n coefficients
# fluctuates like one of this share of n independent ones (measured on white noise).
_INDEPENDENT_FRAC = 0.48
_NEWTON_STEPS, _SERIES_TERMS = 5, 250
_AT_ONCE = 64  # windows, which bounds the memory
_SIGNAL_RINGS = slice(1, 9)  # waves from 64 down to 8 pixels, where particles have their power


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """Noise of one micrograph.

    Attributes:
        power: Radial power of the noise at `FREQUENCIES`, in the image's unit squared.
        windows: The windows with the least power at the frequencies of particles.
    """

    power: Float[np.ndarray, "33"]
    windows: list[tuple[slice, slice]]

    def background_mean(
        self,
        image: Float32[np.ndarray, "height width"],
        usable: Bool[np.ndarray, "height width"],
    ) -> float:
        """Mean of an image over the usable pixels of the emptiest windows."""
        total, count = 0.0, 0
        is_whole = bool(usable.all())  # selecting pixels takes longer than summing them
        for window in self.windows:
            inside = image[window] if is_whole else image[window][usable[window]]
            total, count = total + float(inside.sum(dtype=np.float64)), count + inside.size
        return total / count if count else float(image[usable].mean())

    def standard_deviation(self, gain: Float[np.ndarray, "33"]) -> float:
        """Standard deviation of the noise after a filter of this radial gain."""
        side = 2 * (len(FREQUENCIES) - 1)
        along = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
        return float(np.sqrt(np.interp(along, FREQUENCIES, self.power * gain**2).mean()))


def estimate_noise(
    image: Float32[np.ndarray, "height width"], usable: Bool[np.ndarray, "height width"]
) -> NoiseEstimate:
    """Estimate the radial noise power of a micrograph.

    At each frequency, take a low quantile over windows and divide it by the value that this
    quantile has for white noise of unit power.

    Args:
        image: Micrograph at the working scale, in any unit.
        usable: Pixels that hold image. Windows that lie mostly on other pixels do not count,
            unless all do.
    """
    height, width = image.shape
    side_y, side_x = min(height, _WINDOW_PX), min(width, _WINDOW_PX)
    window_slices = [
        (slice(top, top + side_y), slice(left, left + side_x))
        for top in window_starts(height, side_y, _STEP_PX)
        for left in window_starts(width, side_x, _STEP_PX)
    ]
    counts = np.arange(len(window_slices))
    if not usable.all():
        usable_frac = np.array([usable[window_slice].mean() for window_slice in window_slices])
        counts = np.flatnonzero(usable_frac >= min(_MIN_USABLE_FRAC, usable_frac.max()))
    rings = _Rings.of_windows(side_y, side_x)
    power = np.empty((len(counts), len(FREQUENCIES)))
    transforms = choose_transforms()
    for start in range(0, len(counts), _AT_ONCE):
        block = counts[start : start + _AT_ONCE]
        windows = np.stack([image[window_slices[number]] for number in block])
        windows = (windows - windows.mean(axis=(1, 2), keepdims=True)) * rings.taper
        spectra = transforms.rfft2(windows).reshape(len(block), -1)
        power[start : start + len(block)] = np.abs(spectra) ** 2 @ rings.sums
    power = power[:, rings.filled] / rings.scale
    noise = np.quantile(power, _QUANTILE, axis=0) / rings.expected_quantile
    signal = power[:, _SIGNAL_RINGS].sum(axis=1)
    emptiest = counts[np.argsort(signal, kind="stable")[: max(1, round(_EMPTY_FRAC * len(counts)))]]
    return NoiseEstimate(
        np.interp(FREQUENCIES, FREQUENCIES[rings.filled], noise),
        [window_slices[n] for n in emptiest],
    )


@dataclass(frozen=True, eq=False)
class _Rings:
    """Sums of the spectra of tapered windows at each of `FREQUENCIES`.

    Attributes:
        taper: Factor of each pixel of a window.
        sums: Matrix from Fourier coefficients to rings.
        filled: Rings that hold a coefficient.
        scale: Sum of a filled ring for white noise of unit power.
        expected_quantile: The quantile over windows of a filled ring, for the same noise.
    """

    taper: Float32[np.ndarray, "side_y side_x"]
    sums: Float32[np.ndarray, "coefficients 33"]
    filled: Bool[np.ndarray, "33"]
    scale: Float[np.ndarray, " filled"]
    expected_quantile: Float[np.ndarray, " filled"]

    @classmethod
    @cache
    def of_windows(cls, side_y: int, side_x: int) -> "_Rings":
        """Compute the sums for windows of a size, once."""
        taper = np.outer(np.hanning(side_y + 2)[1:-1], np.hanning(side_x + 2)[1:-1])
        taper = taper.astype(np.float32)
        frequency = np.hypot(np.fft.fftfreq(side_y)[:, None], np.fft.rfftfreq(side_x))
        ring = np.rint(frequency / FREQUENCIES[1]).astype(np.intp)
        inside = ring < len(FREQUENCIES)
        members = np.bincount(ring[inside], minlength=len(FREQUENCIES))
        filled = members > 0
        sums = np.zeros((ring.size, len(FREQUENCIES)), np.float32)
        sums[np.flatnonzero(inside), ring[inside]] = 1
        freedom = np.maximum(2 * members[filled] * _INDEPENDENT_FRAC, 1.0)
        expected = 2 * _invert_gamma(freedom / 2) / freedom  # quantile of chi-squared
        return cls(taper, sums, filled, members[filled] * np.square(taper).sum(), expected)


def _invert_gamma(shape: Float[np.ndarray, " rings"]) -> Float[np.ndarray, " rings"]:
    """Compute the quantile of gamma distributions of unit scale, from one half on.

    `scipy.special.gammaincinv` gives the same values, but takes longer to import.

    Source: Wilson and Hilferty 1931, PNAS 17:684 (the start of Newton's method); Abramowitz and
    Stegun 1964, 6.5.29 (the series).
    """
    log_gamma = np.array([math.lgamma(value) for value in shape])
    deviation = 1 / (3 * np.sqrt(shape))
    x = shape * (1 - deviation**2 + _NORMAL_QUANTILE * deviation) ** 3
    for _ in range(_NEWTON_STEPS):
        steps = shape[:, None] + np.arange(1, _SERIES_TERMS)
        series = 1 + np.cumprod(x[:, None] / steps, axis=1).sum(axis=1)
        density = np.exp((shape - 1) * np.log(x) - x - log_gamma)
        below = density * x / shape * series
        x = x - (below - _QUANTILE) / density
    return x
