"""Tilt series: projection of a volume around the tilt axis y, and weighted back-projection.

Tilted by θ, a voxel at (x, z) from the centre is recorded at x cos θ + z sin θ. Projection
distributes each voxel linearly to two pixels, and back-projection is its transpose. Along y nothing
changes, so that one sparse matrix for each angle serves all rows. Angles beyond the maximum
tilt leave a wedge without information.

- `list_tilts`: tilt angles of a series.
- `project`: projections of a volume.
- `reconstruct`: weighted back-projection.

Source: Radermacher 1992, "Weighted back-projection methods", in: Electron Tomography.
"""

from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float, Float32

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["list_tilts", "project", "reconstruct"]

_ROWS = 64  # rows along y whose voxels are copied at once


def list_tilts(max_tilt_deg: float, step_deg: float) -> Float[np.ndarray, " tilts"]:
    """List the tilt angles of a series, symmetric about 0.

    >>> list_tilts(6.0, 3.0).tolist()
    [-6.0, -3.0, 0.0, 3.0, 6.0]
    """
    count = int(max_tilt_deg / step_deg + 1e-9)
    return np.arange(-count, count + 1) * step_deg


def project(
    volume: Float32[np.ndarray, "depth height width"], tilts_deg: Float[np.ndarray, " tilts"]
) -> Float32[np.ndarray, "tilts height width"]:
    """Project a volume at each tilt angle, as sums over voxels."""
    depth, height, width = volume.shape
    images = np.empty((len(tilts_deg), height, width), np.float32)
    matrices = [_make_projection(depth, width, angle) for angle in tilts_deg]
    for first in range(0, height, _ROWS):
        rows = slice(first, min(first + _ROWS, height))
        voxels = volume[:, rows].transpose(0, 2, 1).reshape(depth * width, -1)
        for image, matrix in zip(images, matrices, strict=True):
            image[rows] = (matrix @ voxels).T
    return images


def reconstruct(
    images: Float32[np.ndarray, "tilts height width"],
    tilts_deg: Float[np.ndarray, " tilts"],
    depth: int,
) -> Float32[np.ndarray, "{depth} height width"]:
    """Reconstruct a volume by weighted back-projection, with a ramp filter along x.

    Args:
        images: Aligned projections.
        tilts_deg: Their tilt angles.
        depth: Number of sections.
    """
    from scipy.fft import irfft, rfft

    _, height, width = images.shape
    ramp = np.fft.rfftfreq(2 * width).astype(np.float32)  # padded, so that edges do not wrap
    volume = np.zeros((depth, height, width), np.float32)
    for image, angle in zip(images, tilts_deg, strict=True):
        spectrum = rfft(image - image.mean(), n=2 * width, axis=1) * ramp
        weighted = irfft(spectrum, n=2 * width, axis=1)[:, :width].astype(np.float32)
        matrix = _make_projection(depth, width, angle).T.tocsr()
        for first in range(0, height, _ROWS):
            rows = slice(first, min(first + _ROWS, height))
            voxels = (matrix @ weighted[rows].T).reshape(depth, width, -1)
            volume[:, rows] += voxels.transpose(0, 2, 1)
    return volume * np.float32(np.pi / len(tilts_deg))


def _make_projection(depth: int, width: int, tilt_deg: float) -> "csr_matrix":
    """Make the matrix from the voxels (z, x) of a row to the pixels of a projection."""
    from scipy.sparse import csr_matrix

    angle = np.radians(tilt_deg)
    z, x = np.mgrid[:depth, :width]
    position = (x - width // 2) * np.cos(angle) + (z - depth // 2) * np.sin(angle) + width // 2
    left = np.floor(position).astype(np.int64)
    right_weight = position - left
    pixels = np.stack([left, left + 1])
    weights = np.stack([1 - right_weight, right_weight]).astype(np.float32)
    voxels = np.broadcast_to(np.arange(depth * width).reshape(depth, width), pixels.shape)
    is_inside = (pixels >= 0) & (pixels < width)
    return csr_matrix(
        (weights[is_inside], (pixels[is_inside], voxels[is_inside])),
        shape=(width, depth * width),
    )
