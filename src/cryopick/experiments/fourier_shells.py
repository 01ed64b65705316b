"""Fourier shell correlation of two half maps, over all directions and in cones.

Cones show the anisotropy of a reconstruction: where a picker misses views, the directions that only
those views contain are resolved worse.

- `compute_shell_correlation`: correlation by spatial frequency.
- `find_resolution`: resolution at a threshold of the correlation.
- `measure_anisotropy`: resolution in cones around directions over a hemisphere.
- `mask_sphere`: soft spherical mask.
- `read_map`: a map from an MRC file.

Source: Harauz and van Heel 1986, Optik 73:146 (the correlation); Rosenthal and Henderson 2003,
J. Mol. Biol. 333:721 (0.143); Tan et al. 2017, Nat. Methods 14:793 (cones and sphericity, 3DFSC).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import FormatError, SettingsError
from cryopick.io.images.mrc import open_mrc_volume

__all__ = [
    "FSC_THRESHOLD",
    "Anisotropy",
    "ShellCorrelation",
    "compute_shell_correlation",
    "find_resolution",
    "mask_sphere",
    "measure_anisotropy",
    "read_map",
]

FSC_THRESHOLD = 0.143
_CONE_HALF_ANGLE_DEG = 20.0
_DIRECTIONS = 100  # over a hemisphere
_EDGE_FRAC = 0.1  # of the radius, in which the mask falls to 0


@dataclass(frozen=True, eq=False)
class ShellCorrelation:
    """Correlation of two half maps by spatial frequency.

    Attributes:
        frequency: Spatial frequency of each shell in 1/Å, from 0.
        correlation: Fourier shell correlation.
    """

    frequency: Float[np.ndarray, " shells"]
    correlation: Float[np.ndarray, " shells"]


@dataclass(frozen=True, eq=False)
class Anisotropy:
    """Resolution by direction.

    Attributes:
        direction: Unit vectors (x, y, z) over a hemisphere.
        resolution_ang: Resolution in the cone around each.
        sphericity: Sphericity of the surface of the highest resolved frequency in each direction:
            1 for a sphere, which is isotropic resolution.
    """

    direction: Float[np.ndarray, "directions 3"]
    resolution_ang: Float[np.ndarray, " directions"]
    sphericity: float


def read_map(path: Path) -> tuple[Float32[np.ndarray, "depth height width"], float]:
    """Read a cubic map and its voxel size in ångströms from an uncompressed MRC file.

    Raises:
        MicrographError: The file is no volume, or is truncated or compressed.
        FormatError: The map is not cubic, states no voxel size or has voxels that are not finite.
    """
    voxels, voxel_size_ang = open_mrc_volume(path)
    depth, height, width = voxels.shape
    if not depth == height == width:
        raise FormatError(
            f"{path}: expected a cubic map, found {width} x {height} x {depth} voxels; pad the map"
        )
    if voxel_size_ang is None:
        raise FormatError(
            f"{path}: the header states no voxel size; write it with the program that made the map"
        )
    density = voxels.read().astype(np.float32)
    if not np.isfinite(density).all():
        raise FormatError(f"{path}: has voxels that are not finite; reconstruct the map again")
    return density, voxel_size_ang


def mask_sphere(
    density: Float[np.ndarray, "side side side"], radius_px: float
) -> Float[np.ndarray, "side side side"]:
    """Multiply a map by a sphere with a soft edge around its centre."""
    side = len(density)
    z, y, x = np.mgrid[:side, :side, :side] - side // 2
    distance = np.sqrt(x * x + y * y + z * z)
    edge = max(2.0, _EDGE_FRAC * radius_px)
    ramp = np.clip((distance - radius_px) / edge, 0, 1)
    return density * (0.5 + 0.5 * np.cos(np.pi * ramp))


def compute_shell_correlation(
    half1: Float[np.ndarray, "side side side"],
    half2: Float[np.ndarray, "_ _ _"],
    voxel_size_ang: float,
) -> ShellCorrelation:
    """Correlate two half maps in shells of one Fourier voxel.

    Raises:
        SettingsError: The maps differ in size.
    """
    spectra = _FourierPair.of(half1, half2)
    return ShellCorrelation(
        spectra.frequencies(voxel_size_ang), spectra.correlate(np.ones(len(spectra.cross), bool))
    )


def find_resolution(curve: ShellCorrelation, threshold: float = FSC_THRESHOLD) -> float:
    """Return the resolution in ångströms at which the correlation first falls below a threshold.

    The crossing is interpolated. If the correlation never falls below the threshold, the highest
    frequency counts; NaN if it is below from the first shell on.
    """
    below = np.flatnonzero(curve.correlation[1:] < threshold) + 1
    if not len(below):
        return float(1 / curve.frequency[-1])
    shell = int(below[0])
    if shell == 1:
        return math.nan
    high, low = curve.correlation[shell - 1], curve.correlation[shell]
    part = (high - threshold) / (high - low)
    step = curve.frequency[shell] - curve.frequency[shell - 1]
    return float(1 / (curve.frequency[shell - 1] + part * step))


def measure_anisotropy(
    half1: Float[np.ndarray, "side side side"],
    half2: Float[np.ndarray, "_ _ _"],
    voxel_size_ang: float,
) -> Anisotropy:
    """Measure the resolution at FSC 0.143 in cones of 20° around 100 directions.

    Directions without any resolved shell have the resolution of the first shell.

    Raises:
        SettingsError: The maps differ in size.
    """
    spectra = _FourierPair.of(half1, half2)
    frequency = spectra.frequencies(voxel_size_ang)
    directions = _spread_over_hemisphere(_DIRECTIONS)
    limit = math.cos(math.radians(_CONE_HALF_ANGLE_DEG))
    resolutions = []
    for direction in directions:
        is_inside = np.abs(spectra.unit @ direction) >= limit  # both ends: the maps are real
        curve = ShellCorrelation(frequency, spectra.correlate(is_inside))
        resolution = find_resolution(curve)
        resolutions.append(1 / frequency[1] if math.isnan(resolution) else resolution)
    values = np.array(resolutions)
    return Anisotropy(directions, values, _compute_sphericity(directions, 1 / values))


@dataclass(frozen=True, eq=False)
class _FourierPair:
    """Products of the Fourier coefficients of two maps, up to the Nyquist frequency.

    Attributes:
        shell: Shell of each coefficient.
        unit: Direction (x, y, z) of each; 0 for the origin.
        cross: Real part of the product of one and the conjugate of the other; this and the
            powers count a coefficient and its conjugate.
        power1, power2: Squared absolute values.
        side: Side of the maps in voxels.
    """

    shell: np.ndarray
    unit: np.ndarray
    cross: np.ndarray
    power1: np.ndarray
    power2: np.ndarray
    side: int

    @classmethod
    def of(cls, half1: np.ndarray, half2: np.ndarray) -> "_FourierPair":
        if half1.shape != half2.shape or len({*half1.shape}) != 1:
            raise SettingsError(
                f"half maps must be cubes of the same size; got {half1.shape} and {half2.shape}"
            )
        from scipy.fft import fftfreq, rfftfreq, rfftn

        side = len(half1)
        first, second = rfftn(half1), rfftn(half2)
        index = fftfreq(side, 1 / side)
        z, y, x = np.meshgrid(index, index, rfftfreq(side, 1 / side), indexing="ij")
        radius = np.sqrt(x * x + y * y + z * z)
        shell = np.rint(radius).astype(int)
        is_used = shell <= side // 2
        vectors = np.stack([x, y, z], axis=-1)[is_used]
        unit = vectors / np.maximum(radius[is_used], 1e-9)[:, None]
        # The half transform lacks the conjugates of all planes but those of x = 0 and Nyquist.
        weight = np.where((x == 0) | (2 * x == side), 1.0, 2.0)[is_used]
        return cls(
            shell[is_used],
            unit,
            weight * (first * second.conj()).real[is_used],
            weight * np.abs(first[is_used]) ** 2,
            weight * np.abs(second[is_used]) ** 2,
            side,
        )

    def frequencies(self, voxel_size_ang: float) -> np.ndarray:
        return np.arange(self.side // 2 + 1) / (self.side * voxel_size_ang)

    def correlate(self, is_inside: np.ndarray) -> np.ndarray:
        """Correlate the coefficients of a region in each shell; 1 for an empty shell."""
        count = self.side // 2 + 1
        shell = self.shell[is_inside]
        cross, power1, power2 = (
            np.bincount(shell, weights=values[is_inside], minlength=count)
            for values in (self.cross, self.power1, self.power2)
        )
        norm = np.sqrt(power1 * power2)
        return np.divide(cross, norm, out=np.ones(count), where=norm > 0)


def _spread_over_hemisphere(count: int) -> Float[np.ndarray, "{count} 3"]:
    """Return directions of equal density over a hemisphere, on a spiral."""
    number = np.arange(count)
    z = 1 - (number + 0.5) / count
    azimuth = number * math.pi * (3 - math.sqrt(5))
    across = np.sqrt(1 - z * z)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), z], axis=1)


def _compute_sphericity(
    directions: Float[np.ndarray, "directions 3"], radius: Float[np.ndarray, " directions"]
) -> float:
    """Compute π^⅓ (6 V)^⅔ / A of the body with a radius in each direction and its opposite."""
    from scipy.spatial import ConvexHull

    both = np.concatenate([directions, -directions])
    corners = both * np.tile(radius, 2)[:, None]
    triangles = corners[ConvexHull(both).simplices]
    first, second, third = np.moveaxis(triangles, 1, 0)
    normal = np.cross(second - first, third - first)
    volume = np.abs(np.einsum("ij,ij->i", first, normal)).sum() / 6
    area = np.linalg.norm(normal, axis=1).sum() / 2
    return float(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area)
