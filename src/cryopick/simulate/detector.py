"""How intensity becomes counts: the dose, the noise of counting, the blur of the sensor.

- `amplitude_transfer`: a Gaussian fall-off that has a given value at Nyquist.
- `expose`: counts of electrons for a relative intensity.
"""

import numpy as np

from cryopick.array_types import Float, Float32

__all__ = ["amplitude_transfer", "expose"]


def amplitude_transfer(
    squared_cpp: Float[np.ndarray, "height half_width"], at_nyquist: float
) -> Float32[np.ndarray, "height half_width"]:
    """Amplitude transfer of 1 at zero frequency and `at_nyquist` at 0.5 cycles per pixel."""
    return np.exp(squared_cpp * np.float32(4 * np.log(at_nyquist))).astype(np.float32)


def expose(
    rng: np.random.Generator,
    intensity: Float32[np.ndarray, "height width"],
    electrons_per_px: float,
    nps_nyquist: float,
    pattern: Float32[np.ndarray, "height width"] | None = None,
) -> Float32[np.ndarray, "height width"]:
    """Count electrons, each where it falls, and let the sensor spread what it counts.

    Args:
        rng: Where the randomness comes from.
        intensity: Relative intensity, nowhere negative.
        electrons_per_px: Mean count for an intensity of 1.
        nps_nyquist: Noise power at Nyquist relative to that at zero; 1 leaves white noise.
        pattern: Relative sensitivity of each pixel; None for an even sensor.

    Returns:
        Counts; whole numbers only where `nps_nyquist` is 1 and the sensor is even.
    """
    from scipy.fft import irfft2, rfft2

    expected = intensity * np.float32(electrons_per_px)
    counts = rng.poisson(expected).astype(np.float32)
    if nps_nyquist < 1:
        height, width = counts.shape
        fy = np.fft.fftfreq(height).astype(np.float32)[:, None]
        fx = np.fft.rfftfreq(width).astype(np.float32)[None, :]
        spread = amplitude_transfer(fy**2 + fx**2, float(np.sqrt(nps_nyquist)))
        counts = irfft2(rfft2(counts) * spread, s=counts.shape)
    return counts if pattern is None else counts * pattern
