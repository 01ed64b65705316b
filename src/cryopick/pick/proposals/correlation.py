"""Template matching by local normalised cross-correlation.

- `match_templates`: maximum correlation coefficient over templates and rotations, at each pixel.
- `make_disc_mask`: the mask within which a template is compared.
"""

from collections.abc import Iterator

import numpy as np

from cryopick.array_types import Bool, Float, Float32

__all__ = ["make_disc_mask", "match_templates"]

_TILE_PX = 128  # the Fourier transforms of a tile fit the cache
_MIN_RELATIVE_VARIANCE = 0.1  # of the variance of the image; flat areas match no template


def make_disc_mask(side: int) -> Bool[np.ndarray, "{side} {side}"]:
    """Make the mask of the disc inscribed in a square of odd side."""
    y, x = np.mgrid[:side, :side] - side // 2
    return np.asarray(np.hypot(y, x) <= side / 2, dtype=bool)


def match_templates(
    image: Float32[np.ndarray, "height width"],
    templates: Float[np.ndarray, "templates side side"],
    *,
    step_deg: float = 360.0,
) -> Float32[np.ndarray, "height width"]:
    """Compute the maximum correlation coefficient of all rotated templates at each pixel.

    A template and the image are compared within the inscribed disc of the template, both
    normalised to mean 0 and standard deviation 1 there. The image is padded with zeros.

    Args:
        image: Image with mean about 0 and the contrast of the templates.
        templates: Square images of odd side, with the particle in the centre.
        step_deg: In-plane angle between rotated templates; 360 for no rotation.

    Returns:
        Correlation coefficients between -1 and 1.

    Source: Roseman 2003, "Particle finding in electron micrographs using a fast local
    correlation algorithm", Ultramicroscopy 94:225.
    """
    from scipy import fft

    side = templates.shape[1]
    tile = max(_TILE_PX, 4 * side)
    step, half = tile - side + 1, side // 2
    rows, columns = (-(-length // step) for length in image.shape)
    spectra = fft.rfft2(_cut_tiles(image, rows, columns, tile, half))

    def cross_correlate(spectra: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = fft.rfft2(kernel.astype(np.float32), s=(tile, tile))
        return np.asarray(fft.irfft2(spectra * padded.conj(), s=(tile, tile))[:, :step, :step])

    mask = make_disc_mask(side)
    count = np.float32(mask.sum())
    mean = cross_correlate(spectra, mask / count)
    squares = fft.rfft2(_cut_tiles(np.square(image), rows, columns, tile, half))
    variance = cross_correlate(squares, mask / count) - np.square(mean)
    variance = np.maximum(variance, np.float32(_MIN_RELATIVE_VARIANCE * image.var() + 1e-12))

    best = np.full_like(mean, -np.inf)
    for template in _rotate_templates(templates, step_deg):
        kernel = np.where(mask, template - template[mask].mean(), 0)
        norm = float(np.linalg.norm(kernel))
        if norm > 0:
            np.maximum(best, cross_correlate(spectra, kernel / norm), out=best)
    best /= np.sqrt(count * variance)
    tiled = best.reshape(rows, columns, step, step).swapaxes(1, 2)
    height, width = image.shape
    correlation = tiled.reshape(rows * step, columns * step)[:height, :width]
    return np.where(np.isfinite(correlation), correlation, -1).astype(np.float32)


def _cut_tiles(
    image: Float32[np.ndarray, "height width"], rows: int, columns: int, tile: int, half: int
) -> Float32[np.ndarray, "tiles tile tile"]:
    """Cut an image into tiles that overlap by the side of a template minus 1, padded with zeros."""
    step = tile - 2 * half
    height, width = image.shape
    below = (rows - 1) * step + tile - height - half
    right = (columns - 1) * step + tile - width - half
    padded = np.pad(image, ((half, max(0, below)), (half, max(0, right))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (tile, tile))
    return np.ascontiguousarray(windows[::step, ::step][:rows, :columns]).reshape(-1, tile, tile)


def _rotate_templates(
    templates: Float[np.ndarray, "templates side side"], step_deg: float
) -> Iterator[Float[np.ndarray, "side side"]]:
    """Generate each template in all rotations, starting with the original."""
    from scipy.ndimage import rotate

    for template in templates:
        for angle_deg in np.arange(0.0, 360.0, step_deg):
            yield rotate(template, angle_deg, reshape=False, order=1) if angle_deg else template
