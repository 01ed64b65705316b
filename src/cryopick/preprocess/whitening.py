"""Spectral whitening: flatten the power spectrum of a micrograph.

The optimal linear detector in coloured noise whitens the noise first. Microscopes, detectors, ice
and earlier filters all give the noise different spectra; after whitening, a network sees noise of
one kind only.

- `radial_power`: radially averaged power spectrum.
- `whitening_gain`: amplitude gain at each frequency.
- `whiten`: apply the gain to a micrograph.
- `window_starts`: starts of windows that cover a length.

Source: Sigworth 2004, "Classical detection theory and the cryo-EM particle selection problem",
J. Struct. Biol. 145:111.
"""

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.preprocess.transforms import choose_transforms, next_fast_length

__all__ = ["FREQUENCIES", "radial_power", "whiten", "whitening_gain", "window_starts"]

# Frequency bins in cycles per pixel, up to Nyquist; windows of 128 pixels resolve this step.
FREQUENCIES = np.linspace(0, 0.5, 33)
_WINDOW_PX = 128
_MIN_USABLE_FRAC = 0.9  # of the pixels of a window
_LOWEST_BIN = 3  # longer waves than 21 pixels are ice gradients: they all get the gain of this bin
_MAX_GAIN = 3.0  # a band that a filter has removed contains nothing to amplify
_MARGIN_PX = 32  # mirrored border that suppresses wrap-around


def radial_power(
    image: Float32[np.ndarray, "height width"], usable: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "33"]:
    """Estimate the power spectrum, averaged over directions, at `FREQUENCIES`.

    Takes the median over overlapping windows, so that carbon foil or an ice crystal in a few
    windows does not affect the estimate.

    Args:
        image: Micrograph in any unit; the result is in that unit squared.
        usable: Pixels that contain image. Windows with less than 90 % usable pixels are skipped,
            unless all windows are of that kind.
    """
    height, width = image.shape
    side_y, side_x = min(height, _WINDOW_PX), min(width, _WINDOW_PX)
    taper = np.outer(np.hanning(side_y + 2)[1:-1], np.hanning(side_x + 2)[1:-1])
    windows, usable_fracs = [], []
    for top in window_starts(height, side_y, side_y):
        for left in window_starts(width, side_x, side_x):
            area = np.s_[top : top + side_y, left : left + side_x]
            windows.append((image[area] - image[area].mean()) * taper.astype(np.float32))
            usable_fracs.append(usable[area].mean())
    is_used = np.array(usable_fracs) >= min(_MIN_USABLE_FRAC, max(usable_fracs))
    spectra = choose_transforms().rfft2(np.stack(windows)[is_used])
    power = np.square(spectra.real) + np.square(spectra.imag)
    frequency = np.hypot(np.fft.fftfreq(side_y)[:, None], np.fft.rfftfreq(side_x))
    ring = np.rint(frequency / FREQUENCIES[1]).astype(np.intp)
    inside = ring < len(FREQUENCIES)
    counts = np.bincount(ring[inside], minlength=len(FREQUENCIES))
    sums = [np.bincount(ring[inside], window[inside], len(FREQUENCIES)) for window in power]
    is_filled = counts > 0
    median = np.median(sums, axis=0)[is_filled] / counts[is_filled] / np.square(taper).sum()
    return np.interp(FREQUENCIES, FREQUENCIES[is_filled], median)


def whitening_gain(power: Float[np.ndarray, "33"]) -> Float[np.ndarray, "33"]:
    """Compute the amplitude gain at each of `FREQUENCIES`: the inverse square root of the power.

    The gain is 1 where the power equals its mean over the frequency plane, and is clipped to
    the range from 1/3 to 3.

    Args:
        power: Radial power spectrum, in any unit.
    """
    mean = np.average(power, weights=FREQUENCIES)
    with np.errstate(divide="ignore"):
        gain = np.sqrt(mean / power) if mean > 0 else np.ones_like(power)
    gain[:_LOWEST_BIN] = gain[_LOWEST_BIN]
    return np.clip(gain, 1 / _MAX_GAIN, _MAX_GAIN)


def whiten(
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    gain: Float[np.ndarray, "33"] | None = None,
) -> Float32[np.ndarray, "height width"]:
    """Flatten the power spectrum of a micrograph, within the limits of the gain.

    Scaling the image by a positive factor scales the result by the same factor. The mean is
    approximately preserved.

    Args:
        image: Micrograph at the working scale.
        usable: Pixels that contain image; all others are ignored.
        gain: Amplitude gain at each of `FREQUENCIES`; None whitens the image's own power.
    """
    mean = image[usable].mean() if usable.any() else np.float32(0)
    image = np.where(usable, image, mean)
    gain = whitening_gain(radial_power(image, usable)) if gain is None else gain
    height, width = image.shape
    margin = min(_MARGIN_PX, height - 1, width - 1)
    mirrored = np.pad(image - mean, margin, mode="reflect")
    shape = tuple(next_fast_length(side) for side in mirrored.shape)
    transforms = choose_transforms()
    spectrum = transforms.rfft2(mirrored, s=shape)
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    spectrum *= np.interp(frequency, FREQUENCIES, gain).astype(np.float32)
    flat = transforms.irfft2(spectrum, s=shape)
    return flat[margin : margin + height, margin : margin + width] + mean


def window_starts(length: int, side: int, max_step: int) -> list[int]:
    """Compute the starts of evenly spaced windows that cover a length.

    Args:
        length: Length to cover.
        side: Length of a window, at most `length`.
        max_step: Maximum distance between the starts of neighbouring windows.
    """
    count = 1 + -(-(length - side) // max_step)
    return [round(start) for start in np.linspace(0, length - side, count)]
