"""Make the power of a micrograph alike at all frequencies, so that no band drowns the others.

Against noise that is stronger in some frequencies than in others, the best detector first makes
that noise white. Microscopes, detectors, ice and earlier filters colour it each in its own way;
after this step a network sees one kind of noise.

- `radial_power`: power by frequency, whatever the direction.
- `whitening_gain`: by what to multiply each frequency.
- `whiten`: both, applied.

Source: Sigworth 2004, "Classical detection theory and the cryo-EM particle selection problem",
J. Struct. Biol. 145:111.
"""

import numpy as np

from cryopick.array_types import Bool, Float, Float32

__all__ = ["FREQUENCIES", "radial_power", "whiten", "whitening_gain"]

# Cycles per pixel at which power is told: up to Nyquist, in steps that windows of 128 resolve.
FREQUENCIES = np.linspace(0, 0.5, 33)
_WINDOW_PX = 128
_MOSTLY = 0.9  # share of a window that must be usable for it to count
_LOWEST = 3  # waves longer than 21 pixels are slopes of the ice: they are treated alike
_MOST = 3.0  # gain; a band that a filter has emptied holds nothing to bring back
_MARGIN_PX = 32  # mirrored image around the edges, against what wraps around


def radial_power(
    image: Float32[np.ndarray, "height width"], usable: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "33"]:
    """Power spectrum averaged over directions, at `FREQUENCIES`.

    The median over windows, so that a patch of foil or a crystal does not speak for the ice.

    Args:
        image: Micrograph in any unit; the result is in that unit squared.
        usable: Pixels that hold image. Windows that lie mostly on others do not count, unless
            all do.
    """
    from scipy import fft

    height, width = image.shape
    side_y, side_x = min(height, _WINDOW_PX), min(width, _WINDOW_PX)
    taper = np.outer(np.hanning(side_y + 2)[1:-1], np.hanning(side_x + 2)[1:-1])
    windows, shares = [], []
    for top in _starts(height, side_y):
        for left in _starts(width, side_x):
            place = np.s_[top : top + side_y, left : left + side_x]
            windows.append((image[place] - image[place].mean()) * taper.astype(np.float32))
            shares.append(usable[place].mean())
    counts = np.array(shares) >= min(_MOSTLY, max(shares))
    spectra = fft.rfft2(np.stack(windows)[counts])
    power = np.square(spectra.real) + np.square(spectra.imag)
    frequency = np.hypot(*np.meshgrid(fft.fftfreq(side_y), fft.rfftfreq(side_x), indexing="ij"))
    ring = np.rint(frequency / FREQUENCIES[1]).astype(np.intp)
    inside = ring < len(FREQUENCIES)
    members = np.bincount(ring[inside], minlength=len(FREQUENCIES))
    total = [np.bincount(ring[inside], one[inside], len(FREQUENCIES)) for one in power]
    told = members > 0
    median = np.median(total, axis=0)[told] / members[told] / np.square(taper).sum()
    return np.interp(FREQUENCIES, FREQUENCIES[told], median)


def whitening_gain(power: Float[np.ndarray, "33"]) -> Float[np.ndarray, "33"]:
    """Factor for the amplitude at each of `FREQUENCIES`: the inverse root of the power there.

    It is 1 where the power is the mean over the plane of frequencies, and lies between 1/3 and 3.

    Args:
        power: Radial power, in any unit.
    """
    mean = np.average(power, weights=FREQUENCIES)
    with np.errstate(divide="ignore"):
        gain = np.sqrt(mean / power) if mean > 0 else np.ones_like(power)
    gain[:_LOWEST] = gain[_LOWEST]
    return np.clip(gain, 1 / _MOST, _MOST)


def whiten(
    image: Float32[np.ndarray, "height width"], usable: Bool[np.ndarray, "height width"]
) -> Float32[np.ndarray, "height width"]:
    """Make the power spectrum of a micrograph flat, within what the gain allows.

    Multiplying the image by a positive number multiplies the result, and the mean stays about
    what it was.

    Args:
        image: Micrograph at the working scale.
        usable: Pixels that hold image; the others have no part in the result.
    """
    from scipy import fft

    mean = image[usable].mean() if usable.any() else np.float32(0)
    image = np.where(usable, image, mean)
    gain = whitening_gain(radial_power(image, usable))
    height, width = image.shape
    margin = min(_MARGIN_PX, height - 1, width - 1)
    mirrored = np.pad(image - mean, margin, mode="reflect")
    shape = tuple(fft.next_fast_len(side, real=True) for side in mirrored.shape)
    spectrum = fft.rfft2(mirrored, s=shape)
    frequency = np.hypot(*np.meshgrid(fft.fftfreq(shape[0]), fft.rfftfreq(shape[1]), indexing="ij"))
    spectrum *= np.interp(frequency, FREQUENCIES, gain).astype(np.float32)
    flat = fft.irfft2(spectrum, s=shape)
    return flat[margin : margin + height, margin : margin + width] + mean


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin that cover a length, evenly spread, each overlapping the next."""
    count = -(-length // side)
    return [round(start) for start in np.linspace(0, length - side, count)]
