"""Correlate an image with templates turned to all angles.

- `correlate`: the best normalised correlation coefficient at each place.
"""

from collections.abc import Iterator

import numpy as np

from cryopick.array_types import Bool, Float, Float32

__all__ = ["correlate", "disc"]

_TILE_PX = 128  # its transforms stay in the cache
_LEAST_VARIANCE = 0.1  # of the image's own: below it a place is flat, and matches nothing


def disc(side: int) -> Bool[np.ndarray, "{side} {side}"]:
    """The disc that touches the sides of a square, of odd side."""
    y, x = np.mgrid[:side, :side] - side // 2
    return np.asarray(np.hypot(y, x) <= side / 2, dtype=bool)


def correlate(
    image: Float32[np.ndarray, "height width"],
    templates: Float[np.ndarray, "templates side side"],
    *,
    step_deg: float = 360.0,
) -> Float32[np.ndarray, "height width"]:
    """Find how well the best template in the best turn matches around each pixel.

    A template is compared within the disc that touches its sides, where both are given a
    mean of 0 and a spread of 1: the result is a correlation coefficient from -1 to 1. Beyond
    the image lies 0.

    Args:
        image: Mean about 0, particles as in the templates.
        templates: Square images of odd side, the particle in the middle.
        step_deg: Turn in the plane from one copy of a template to the next; 360 uses them
            as they are.

    Source: Roseman 2003, "Particle finding in electron micrographs using a fast local
    correlation algorithm", Ultramicroscopy 94:225.
    """
    from scipy import fft

    side = templates.shape[1]
    tile = max(_TILE_PX, 4 * side)
    step, reach = tile - side + 1, side // 2
    rows, columns = (-(-length // step) for length in image.shape)
    spectra = fft.rfft2(_tiles(image, rows, columns, tile, reach))

    def filtered(spectra: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = fft.rfft2(kernel.astype(np.float32), s=(tile, tile))
        return np.asarray(fft.irfft2(spectra * padded.conj(), s=(tile, tile))[:, :step, :step])

    inside = disc(side)
    count = np.float32(inside.sum())
    mean = filtered(spectra, inside / count)
    squares = fft.rfft2(_tiles(np.square(image), rows, columns, tile, reach))
    variance = filtered(squares, inside / count) - np.square(mean)
    variance = np.maximum(variance, np.float32(_LEAST_VARIANCE * image.var() + 1e-12))

    best = np.full_like(mean, -np.inf)
    for template in _turned(templates, step_deg):
        kernel = np.where(inside, template - template[inside].mean(), 0)
        length = float(np.linalg.norm(kernel))
        if length > 0:
            np.maximum(best, filtered(spectra, kernel / length), out=best)
    best /= np.sqrt(count * variance)
    whole = best.reshape(rows, columns, step, step).swapaxes(1, 2)
    height, width = image.shape
    joined = whole.reshape(rows * step, columns * step)[:height, :width]
    return np.where(np.isfinite(joined), joined, -1).astype(np.float32)


def _tiles(
    image: Float32[np.ndarray, "height width"], rows: int, columns: int, tile: int, reach: int
) -> Float32[np.ndarray, "tiles tile tile"]:
    """Parts of an image that overlap by a template's side less one, zeros beyond the image."""
    step = tile - 2 * reach
    height, width = image.shape
    below = (rows - 1) * step + tile - height - reach
    right = (columns - 1) * step + tile - width - reach
    padded = np.pad(image, ((reach, max(0, below)), (reach, max(0, right))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (tile, tile))
    return np.ascontiguousarray(windows[::step, ::step][:rows, :columns]).reshape(-1, tile, tile)


def _turned(
    templates: Float[np.ndarray, "templates side side"], step_deg: float
) -> Iterator[Float[np.ndarray, "side side"]]:
    """Each template in each turn, the given one first."""
    from scipy.ndimage import rotate

    for template in templates:
        for angle_deg in np.arange(0.0, 360.0, step_deg):
            yield rotate(template, angle_deg, reshape=False, order=1) if angle_deg else template
