"""Contrast transfer function (CTF) of the microscope.

Spatial frequencies are in 1/Å, underfocus is positive, and spectra are those of
`numpy.fft.rfft2`. With this convention, dense objects are dark.

- `Optics`: optical parameters of the microscope.
- `contrast_transfer`: CTF on the grid of a real image.
- `drift_transfer`: attenuation of each frequency by uniform drift.
- `squared_frequency`: squared spatial frequencies of the grid.
- `wavelength_ang`, `interaction_rad`: constants for an acceleration voltage.
"""

import math
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float32

__all__ = [
    "Optics",
    "contrast_transfer",
    "drift_transfer",
    "interaction_rad",
    "squared_frequency",
    "wavelength_ang",
]

_REST_ENERGY_KEV = 510.998950


@dataclass(frozen=True, kw_only=True)
class Optics:
    """Optical parameters of the microscope.

    Attributes:
        defocus_um: Mean underfocus.
        voltage_kv: Acceleration voltage.
        cs_mm: Spherical aberration.
        amplitude_contrast: Fraction of amplitude contrast.
        b_factor_ang2: B factor of the envelope exp(-B g² / 4).
        astigmatism_um: Difference between maximum and minimum underfocus.
        astigmatism_deg: Direction of the maximum underfocus, from x towards y.
    """

    defocus_um: float
    voltage_kv: float
    cs_mm: float
    amplitude_contrast: float
    b_factor_ang2: float = 0.0
    astigmatism_um: float = 0.0
    astigmatism_deg: float = 0.0


def wavelength_ang(voltage_kv: float) -> float:
    """Compute the relativistic wavelength of an electron in ångströms.

    Source: Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., eq. 2.5.

    >>> round(wavelength_ang(300.0), 5)
    0.01969
    """
    return 12.3984198 / math.sqrt(voltage_kv * (2 * _REST_ENERGY_KEV + voltage_kv))


def interaction_rad(voltage_kv: float) -> float:
    """Compute the phase shift per projected potential, in rad/(V Å).

    Source: Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., eq. 5.6.

    >>> round(interaction_rad(300.0) * 1e3, 3)
    0.653
    """
    ratio = (_REST_ENERGY_KEV + voltage_kv) / (2 * _REST_ENERGY_KEV + voltage_kv)
    return 2 * math.pi / (wavelength_ang(voltage_kv) * voltage_kv * 1e3) * ratio


def squared_frequency(
    shape: tuple[int, int], pixel_size_ang: float
) -> Float32[np.ndarray, "height half_width"]:
    """Compute the squared spatial frequency of each bin of `rfft2`, in 1/Å²."""
    fy, fx = _frequencies(shape, pixel_size_ang)
    return fy**2 + fx**2


def contrast_transfer(
    shape: tuple[int, int], pixel_size_ang: float, optics: Optics
) -> Float32[np.ndarray, "height half_width"]:
    """Compute the contrast transfer function with its envelope, on the grid of `rfft2`.

    The relative intensity of a weak phase object is 1 + 2 F⁻¹[CTF · F[phase]], with
    CTF = -sin(χ + asin(w)) exp(-B g² / 4), where w is the amplitude contrast and
    χ = π λ g² (Δf(α) - λ² g² Cs / 2), with Δf(α) = mean + astigmatism / 2 · cos 2(α - α₀).
    It is negative at low frequency, so dense objects are dark.

    Args:
        shape: Height and width of the image.
        pixel_size_ang: Pixel size of the image.
        optics: Optical parameters.

    Source: Rohou & Grigorieff 2015, J. Struct. Biol. 192:216, eqs. 2-5.
    """
    fy, fx = _frequencies(shape, pixel_size_ang)
    squared = fy**2 + fx**2
    axis = math.radians(2 * optics.astigmatism_deg)
    skew = (fx**2 - fy**2) * math.cos(axis) + (2 * math.sin(axis)) * fy * fx
    wavelength = wavelength_ang(optics.voltage_kv)
    cs_ang = optics.cs_mm * 1e7
    chi = (math.pi * wavelength * 1e4) * (
        optics.defocus_um * squared + (optics.astigmatism_um / 2) * skew
    ) - (math.pi / 2 * wavelength**3 * cs_ang) * squared**2
    envelope = np.exp(squared * (-optics.b_factor_ang2 / 4))
    return (-np.sin(chi + math.asin(optics.amplitude_contrast)) * envelope).astype(np.float32)


def _frequencies(
    shape: tuple[int, int], pixel_size_ang: float
) -> tuple[Float32[np.ndarray, "height 1"], Float32[np.ndarray, "1 half_width"]]:
    """Compute the spatial frequencies along y and x, in 1/Å, shaped to broadcast."""
    height, width = shape
    fy = np.fft.fftfreq(height, pixel_size_ang).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(width, pixel_size_ang).astype(np.float32)[None, :]
    return fy, fx


def drift_transfer(
    shape: tuple[int, int], pixel_size_ang: float, drift_ang: float, angle_rad: float
) -> Float32[np.ndarray, "height half_width"]:
    """Compute the amplitude transfer of uniform drift by d: sin(π g·d) / (π g·d).

    Args:
        shape: Height and width of the image.
        pixel_size_ang: Pixel size of the image.
        drift_ang: Length of the drift.
        angle_rad: Direction of the drift, from x towards y.
    """
    fy = np.fft.fftfreq(shape[0], pixel_size_ang)[:, None] * math.sin(angle_rad)
    fx = np.fft.rfftfreq(shape[1], pixel_size_ang)[None, :] * math.cos(angle_rad)
    return np.sinc((fy + fx) * drift_ang).astype(np.float32)
