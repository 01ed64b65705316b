"""Background of the specimen: ice of variable thickness and the carbon foil.

Phases are in radians, lengths in ångströms; images have the size of the canvas.

- `draw_smooth_field`: draw a low-frequency random field.
- `draw_ice_thickness`: draw the relative thickness of the ice.
- `solvent_amplitude`, `solvent_transfer`: structural noise of vitreous ice.
- `Carbon`, `draw_carbon`: carbon foil around a hole.
"""

from dataclasses import dataclass, replace

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.simulate.ctf import interaction_rad
from cryopick.simulate.layout import Canvas

__all__ = [
    "Carbon",
    "draw_carbon",
    "draw_ice_thickness",
    "draw_smooth_field",
    "solvent_amplitude",
    "solvent_transfer",
]

# Vitreous ice: 0.94 g/cm³ and an inner potential of 4.5 V. At low frequency, the scattering of a
# liquid is k_B T ρ κ times that of independent molecules, 0.06 for water.
_WATERS_PER_ANG3 = 0.0314
_WATER_V_ANG3 = 4.5 / _WATERS_PER_ANG3
_COMPRESSIBILITY = 0.06
_RING_PER_ANG = 1 / 3.7  # first peak of the structure factor of vitreous ice
_RING_WIDTH_PER_ANG = 0.025
_RING_HEIGHT = 12.0  # relative to low frequency, including the motion during exposure
_SOLVENT_B_ANG2 = 40.0  # water moves by about 1 Å² per e/Å²: McMullan et al. 2015

# Amorphous carbon: 2 g/cm³ and an inner potential of 9 V. The ice is thinner on the foil than in
# its holes, so the phase step corresponds to only a part of the foil thickness.
_CARBON_ANG = 120.0
_CARBON_NET_ANG = (15.0, 70.0)
_CARBON_V = 9.0
_CARBONS_PER_ANG3 = 0.1
_CARBON_ORDER = 0.3  # scattering at low frequency, relative to independent atoms
_HOLE_RADIUS_ANG = (6_000.0, 12_000.0)
_TAPER_ANG = (7.0, 20.0)  # width of the taper at the rim of the foil


def draw_smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float
) -> Float32[np.ndarray, "height width"]:
    """Draw a random field of unit variance without waves shorter than `wavelength_px`.

    The field is a sum of cosines along both axes with equal variance up to the shortest
    wavelength. The variance is 1 on average over many draws.
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


def draw_ice_thickness(
    rng: np.random.Generator, canvas: Canvas, variation_frac: float
) -> Float32[np.ndarray, "height width"]:
    """Draw the thickness of the ice relative to its mean; at least 0.2.

    Args:
        rng: Random generator.
        canvas: The micrograph with its margin.
        variation_frac: Standard deviation over the data set, mainly from a gradient across the
            micrograph, and from a low-frequency random field.
    """
    height, width = canvas.shape
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    variation = draw_smooth_field(rng, canvas.shape, wavelength_px=max(canvas.shape) / 4)
    gradient = rng.normal() * 1.2 * (across + down)
    relative = 1 + np.float32(variation_frac) * (gradient + np.float32(0.4) * variation)
    return np.maximum(relative, np.float32(0.2)).astype(np.float32)


def solvent_amplitude(thickness_ang: float, pixel_size_ang: float, voltage_kv: float) -> float:
    """Compute the standard deviation of the phase per pixel due to ice at low frequency, in rad.

    The power of n t molecules per area with scattering strength f is n t f² S, where S is the
    structure factor at low frequency, divided by the area of a pixel.
    """
    power = _WATERS_PER_ANG3 * thickness_ang * _WATER_V_ANG3**2 * _COMPRESSIBILITY
    return interaction_rad(voltage_kv) * float(np.sqrt(power)) / pixel_size_ang


def solvent_transfer(
    squared_frequency: Float[np.ndarray, "height half_width"],
) -> Float32[np.ndarray, "height half_width"]:
    """Compute the amplitude spectrum of ice relative to low frequency: flat, a ring at 3.7 Å."""
    frequency = np.sqrt(squared_frequency)
    ring = np.exp(-0.5 * ((frequency - _RING_PER_ANG) / _RING_WIDTH_PER_ANG) ** 2)
    motion = np.exp(squared_frequency * (-_SOLVENT_B_ANG2 / 4))
    return (np.sqrt(1 + _RING_HEIGHT * ring) * motion).astype(np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Carbon:
    """The carbon foil around a round hole; may be outside the micrograph.

    Attributes:
        centre_px: Centre of the hole (x, y) on the canvas.
        radius_px: Radius of the hole; infinite if there is no foil.
        taper_ang: Width of the logistic step at the rim.
        net_ang: Thickness of carbon that causes the phase step at the rim.
        wobble: Amplitude in pixels, number of waves and phase of the components of the
            unevenness of the rim.
    """

    centre_px: tuple[float, float]
    radius_px: float
    taper_ang: float
    net_ang: float
    wobble: Float[np.ndarray, "3 waves"]

    @classmethod
    def absent(cls) -> "Carbon":
        """Return a hole of infinite radius, without foil on the micrograph."""
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
        """Compute the distance of points from the rim; negative inside the hole."""
        dx, dy = x - self.centre_px[0], y - self.centre_px[1]
        depth = np.hypot(dx, dy) - self.radius_px
        if np.isfinite(self.radius_px):
            angle = np.arctan2(dy, dx)
            for amplitude, waves, phase in self.wobble.T:
                depth = depth + amplitude * np.sin(waves * angle + phase)
        return depth

    def phase(
        self, rng: np.random.Generator, canvas: Canvas, voltage_kv: float
    ) -> tuple[Float32[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
        """Compute the phase of the foil, with the grain of amorphous carbon, and its mask."""
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
    """Draw a foil that covers a fraction of the canvas within the range `area_frac`."""
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
