"""What carries the particles: ice of uneven thickness, and the foil it hangs in.

Phases are in radians, lengths in ångströms; images have the size of the canvas.

- `smooth_field`: a random landscape without fine detail.
- `ice_thickness`: relative thickness of the ice.
- `solvent_amplitude`, `solvent_transfer`: the structural noise of vitreous ice.
- `Carbon`, `draw_carbon`: the foil beyond the rim of its hole.
"""

from dataclasses import dataclass, replace

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.simulate.ctf import interaction_rad
from cryopick.simulate.layout import Canvas

__all__ = [
    "Carbon",
    "draw_carbon",
    "ice_thickness",
    "smooth_field",
    "solvent_amplitude",
    "solvent_transfer",
]

# Vitreous ice: 0.94 g/cm³ and an inner potential of 4.5 V. At low frequency the molecules of a
# liquid scatter far less than independent ones would: by k_B T ρ κ, 0.06 for water.
_WATERS_PER_ANG3 = 0.0314
_WATER_V_ANG3 = 4.5 / _WATERS_PER_ANG3
_COMPRESSIBILITY = 0.06
_RING_PER_ANG = 1 / 3.7  # first peak of the structure factor of vitreous ice
_RING_WIDTH_PER_ANG = 0.025
_RING_HEIGHT = 12.0  # over the level at low frequency, after the motion during exposure
_SOLVENT_B_ANG2 = 40.0  # water moves by about 1 Å² per e/Å²: McMullan et al. 2015

# Amorphous carbon: 2 g/cm³ and an inner potential of 9 V. The ice is thinner on the foil than
# in its holes, so the step in phase is that of a part of its thickness.
_CARBON_ANG = 120.0
_CARBON_NET_ANG = (15.0, 70.0)
_CARBON_V = 9.0
_CARBONS_PER_ANG3 = 0.1
_CARBON_ORDER = 0.3  # scattering at low frequency, relative to independent atoms
_HOLE_RADIUS_ANG = (6_000.0, 12_000.0)
_TAPER_ANG = (7.0, 20.0)  # width over which the foil thins out at its rim


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float
) -> Float32[np.ndarray, "height width"]:
    """Draw a random landscape of unit variance with no wave shorter than `wavelength_px`.

    A sum of cosines along both axes, all equally strong up to the shortest; the variance is
    the mean over many draws.
    """
    bases, radii = [], []
    for side in shape:
        waves = np.arange(1 + int(2 * side / wavelength_px), dtype=np.float32)
        position = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / side
        bases.append(np.cos(np.pi * position[:, None] * waves).astype(np.float32))
        radii.append(waves * wavelength_px / (2 * side))
    within = np.hypot(radii[0][:, None], radii[1]) <= 1
    within[0, 0] = len(radii[0]) == len(radii[1]) == 1
    coefficients = np.where(within, rng.normal(size=within.shape), 0).astype(np.float32)
    power = np.where(within, 1.0, 0.0)
    power[1:] /= 2
    power[:, 1:] /= 2
    return bases[0] @ (coefficients / np.float32(np.sqrt(power.sum()))) @ bases[1].T


def ice_thickness(
    rng: np.random.Generator, canvas: Canvas, variation_frac: float
) -> Float32[np.ndarray, "height width"]:
    """Thickness of the ice relative to its mean, at least a fifth of it everywhere.

    Args:
        rng: Where the randomness comes from.
        canvas: The micrograph with its margin.
        variation_frac: Standard deviation over the data set: most of it a slope across the
            micrograph, the rest a gentle landscape.
    """
    height, width = canvas.shape
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    hills = smooth_field(rng, canvas.shape, wavelength_px=max(canvas.shape) / 4)
    slope = rng.normal() * 1.2 * (across + down)
    relative = 1 + np.float32(variation_frac) * (slope + np.float32(0.4) * hills)
    return np.maximum(relative, np.float32(0.2)).astype(np.float32)


def solvent_amplitude(thickness_ang: float, pixel_size_ang: float, voltage_kv: float) -> float:
    """Standard deviation of the phase of a pixel that ice causes below its first ring, in rad.

    The power of n t molecules per area of scattering strength f is n t f² S, with S their
    order at low frequency; an area of one pixel divides it.
    """
    power = _WATERS_PER_ANG3 * thickness_ang * _WATER_V_ANG3**2 * _COMPRESSIBILITY
    return interaction_rad(voltage_kv) * float(np.sqrt(power)) / pixel_size_ang


def solvent_transfer(
    squared_frequency: Float[np.ndarray, "height half_width"],
) -> Float32[np.ndarray, "height half_width"]:
    """Amplitude spectrum of ice relative to low frequency: flat, and a ring at 3.7 Å."""
    frequency = np.sqrt(squared_frequency)
    ring = np.exp(-0.5 * ((frequency - _RING_PER_ANG) / _RING_WIDTH_PER_ANG) ** 2)
    motion = np.exp(squared_frequency * (-_SOLVENT_B_ANG2 / 4))
    return (np.sqrt(1 + _RING_HEIGHT * ring) * motion).astype(np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Carbon:
    """The foil around a round hole, which may miss the micrograph altogether.

    Attributes:
        centre_px: Centre of the hole (x, y) on the canvas.
        radius_px: Radius of the hole; infinite where there is no foil.
        taper_ang: Width of the logistic step at the rim.
        net_ang: Thickness of carbon that would make the same step in phase.
        wobble: Amplitude in pixels, waves per turn and phase of the rim's unevenness.
    """

    centre_px: tuple[float, float]
    radius_px: float
    taper_ang: float
    net_ang: float
    wobble: Float[np.ndarray, "3 waves"]

    @classmethod
    def nowhere(cls) -> "Carbon":
        """A hole so large that its rim misses every micrograph."""
        return cls(
            centre_px=(0.0, 0.0),
            radius_px=np.inf,
            taper_ang=1.0,
            net_ang=0.0,
            wobble=np.zeros((3, 0)),
        )

    def depth_px(
        self, x: Float[np.ndarray, "*#any"], y: Float[np.ndarray, "*#any"]
    ) -> Float[np.ndarray, "*#any"]:
        """How far beyond the rim a point lies; negative in the hole."""
        right, down = x - self.centre_px[0], y - self.centre_px[1]
        depth = np.hypot(right, down) - self.radius_px
        if np.isfinite(self.radius_px):
            angle = np.arctan2(down, right)
            for amplitude, waves, phase in self.wobble.T:
                depth = depth + amplitude * np.sin(waves * angle + phase)
        return depth

    def phase(
        self, rng: np.random.Generator, canvas: Canvas, voltage_kv: float
    ) -> tuple[Float32[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
        """Phase of the foil, with the grain of amorphous carbon, and where it is."""
        height, width = canvas.shape
        x = np.arange(width, dtype=np.float32)[None, :]
        y = np.arange(height, dtype=np.float32)[:, None]
        depth = self.depth_px(x, y)
        taper = np.float32(self.taper_ang / canvas.pixel_size_ang)
        cover = (1 / (1 + np.exp(np.clip(-depth / taper, -30, 30)))).astype(np.float32)
        step = interaction_rad(voltage_kv) * _CARBON_V * self.net_ang
        power = _CARBONS_PER_ANG3 * _CARBON_ANG * (_CARBON_V / _CARBONS_PER_ANG3) ** 2
        grain = interaction_rad(voltage_kv) * np.sqrt(power * _CARBON_ORDER)
        noise = rng.standard_normal(canvas.shape, dtype=np.float32)
        noise *= np.float32(grain / canvas.pixel_size_ang)
        return cover * (np.float32(step) + noise), depth > 0


def draw_carbon(rng: np.random.Generator, canvas: Canvas, area_frac: tuple[float, float]) -> Carbon:
    """Draw a foil that covers a share of the canvas between the two of `area_frac`."""
    height, width = canvas.shape
    radius = rng.uniform(*_HOLE_RADIUS_ANG) / canvas.pixel_size_ang
    angle = rng.uniform(0, 2 * np.pi)
    centre = (width / 2 - radius * np.cos(angle), height / 2 - radius * np.sin(angle))
    waves = np.round(2 * np.pi * radius * canvas.pixel_size_ang / rng.uniform(150, 2500, 6))
    amplitude = rng.exponential(6.0, 6) / canvas.pixel_size_ang
    wobble = np.stack([amplitude, waves, rng.uniform(0, 2 * np.pi, 6)])
    middle = Carbon(
        centre_px=centre,
        radius_px=radius,
        taper_ang=float(rng.uniform(*_TAPER_ANG)),
        net_ang=float(rng.uniform(*_CARBON_NET_ANG)),
        wobble=wobble,
    )
    y, x = np.meshgrid(np.linspace(0, height, 64), np.linspace(0, width, 64), indexing="ij")
    shift = np.quantile(middle.depth_px(x, y), 1 - rng.uniform(*area_frac))
    return replace(middle, radius_px=radius + float(shift))
