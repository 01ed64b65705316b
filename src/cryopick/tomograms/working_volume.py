"""Rescale a tomogram to the voxel size of a network, section by section, and standardize it.

A working voxel averages raw voxels with a triangular weight that is two working voxels wide, which
removes most of the noise beyond the new Nyquist frequency. Voxel 0 stays where it is:
x_raw = factor · x_working (decision 0001). Only one raw section and the working volume are in
memory.

- `WorkingVolume`: the rescaled volume and its factor.
- `load_working_volume`: read a tomogram.
- `estimate_bytes`: memory of picking, known before anything is read.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float32
from cryopick.errors import MicrographError, SettingsError
from cryopick.tomograms.volumes import Tomogram

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["WorkingVolume", "estimate_bytes", "load_working_volume"]

_MAX_SD = 6.0  # gold beads reach hundreds of standard deviations
_BYTES_PER_VOXEL = 12  # volume, scores and their order, in single precision


@dataclass(frozen=True, eq=False)
class WorkingVolume:
    """A standardized volume at the voxel size of a network.

    Attributes:
        image: Voxels with mean 0 and standard deviation 1, limited to 6 standard deviations.
        factor: Raw voxels per working voxel.
    """

    image: Float32[np.ndarray, "depth height width"]
    factor: float


def estimate_bytes(shape: tuple[int, int, int], factor: float) -> int:
    """Estimate the memory that picking takes: the working volume, its scores and one section.

    >>> estimate_bytes((300, 1000, 1000), 1.0) / 1e9
    3.608
    """
    working = [_count_working(side, factor) for side in shape]
    return int(np.prod(working)) * _BYTES_PER_VOXEL + 8 * shape[1] * shape[2]


def load_working_volume(
    tomogram: Tomogram, working_voxel_ang: float, *, max_gb: float
) -> WorkingVolume:
    """Read a tomogram at the voxel size of a network.

    Args:
        tomogram: The tomogram.
        working_voxel_ang: Voxel size of the network's input.
        max_gb: Maximum memory of picking in 10⁹ bytes.

    Raises:
        SettingsError: Picking would take more memory.
        MicrographError: The tomogram is constant, or a voxel is not finite.
    """
    factor = working_voxel_ang / tomogram.voxel_size_ang
    needed_gb = estimate_bytes(tomogram.shape, factor) / 1e9
    if needed_gb > max_gb:
        raise SettingsError(
            f"{tomogram.path}: picking needs {needed_gb:.1f} GB and the limit is {max_gb:g} GB; "
            "raise --max-memory-gb, or --working-voxel-ang of the training"
        )
    depth, height, width = tomogram.shape
    along_y, along_x = _make_resampling(height, factor), _make_resampling(width, factor)
    along_z = _make_resampling(depth, factor).tocsc()
    image = np.zeros((along_z.shape[0], along_y.shape[0], along_x.shape[0]), np.float32)
    for z, section in enumerate(tomogram.read_sections()):
        plane = (along_x @ (along_y @ section).T).T
        column = along_z[:, [z]].tocoo()
        for row, weight in zip(column.row, column.data, strict=True):
            image[row] += np.float32(weight) * plane
    return WorkingVolume(_standardize(image, tomogram), factor)


def _standardize(
    image: Float32[np.ndarray, "depth height width"], tomogram: Tomogram
) -> Float32[np.ndarray, "depth height width"]:
    """Scale to mean 0 and standard deviation 1, the latter without gold beads; in place."""
    sample = image.reshape(-1)[:: max(1, image.size // 2_000_000)]
    low, middle, high = np.percentile(sample, [15.865, 50, 84.135])
    sd = (high - low) / 2
    if not sd > 0:
        raise MicrographError(f"{tomogram.path}: most voxels are equal; check the reconstruction")
    image -= np.float32(middle)
    image *= np.float32(1 / sd)
    np.clip(image, -_MAX_SD, _MAX_SD, out=image)
    return image


def _count_working(side: int, factor: float) -> int:
    return int((side - 1) / factor + 1e-6) + 1


def _make_resampling(side: int, factor: float) -> "csr_matrix":
    """Make the matrix from raw to working voxels along an axis; its rows sum to 1."""
    from scipy.sparse import csr_matrix

    count, reach = _count_working(side, factor), max(factor, 1.0)
    offsets = np.arange(-int(np.ceil(reach)), int(np.ceil(reach)) + 1)
    centre = np.arange(count)[:, None] * factor
    raw = np.floor(centre).astype(np.int64) + offsets
    weight = np.maximum(1 - np.abs(raw - centre) / reach, 0)
    weight[(raw < 0) | (raw >= side)] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(count)[:, None], raw.shape)
    keep = weight > 0
    return csr_matrix(
        (weight[keep].astype(np.float32), (rows[keep], raw[keep])), shape=(count, side)
    )
