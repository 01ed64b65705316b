"""Detector: shot noise of the electron dose and blur of the sensor.

- `amplitude_transfer`: Gaussian transfer function with a given value at Nyquist.
- `expose`: convert relative intensity to electron counts.
"""

import numpy as np

from cryopick.array_types import Float, Float32

__all__ = ["amplitude_transfer", "expose"]


def amplitude_transfer(
    squared_cpp: Float[np.ndarray, "height half_width"], at_nyquist: float
) -> Float32[np.ndarray, "height half_width"]:
    """Compute a Gaussian transfer function: 1 at zero frequency, `at_nyquist` at Nyquist."""
    return np.exp(squared_cpp * np.float32(4 * np.log(at_nyquist))).astype(np.float32)


def expose(
    rng: np.random.Generator,
    intensity: Float32[np.ndarray, "height width"],
    electrons_per_px: float,
    nps_nyquist: float,
    pattern: Float32[np.ndarray, "height width"] | None = None,
) -> Float32[np.ndarray, "height width"]:
    """Draw electron counts (shot noise) and blur them with the response of the sensor.

    Args:
        rng: Random generator.
        intensity: Relative intensity, not negative.
        electrons_per_px: Mean count for an intensity of 1.
        nps_nyquist: Noise power at Nyquist relative to zero frequency; 1 is white noise.
        pattern: Relative sensitivity of each pixel; None for a uniform sensor.

    Returns:
        Counts; integers only if `nps_nyquist` is 1 and the sensor is uniform.
    """
    from scipy.fft import irfft2, rfft2

    expected = intensity * np.float32(electrons_per_px)
    counts = rng.poisson(expected).astype(np.float32)
    if nps_nyquist < 1:
        height, width = counts.shape
        fy = np.fft.fftfreq(height).astype(np.float32)[:, None]
        fx = np.fft.rfftfreq(width).astype(np.float32)[None, :]
        transfer = amplitude_transfer(fy**2 + fx**2, float(np.sqrt(nps_nyquist)))
        counts = irfft2(rfft2(counts) * transfer, s=counts.shape)
    return counts if pattern is None else counts * pattern
