"""Find invalid regions of a micrograph: filled borders and flat patches.

Motion correction shifts frames and fills the uncovered strip with a constant or with repeated
edge pixels; detectors leave black corners. Such regions cause false positives and bias the
normalisation. They are detected on raw pixels, in arrays of (height, width).

- `find_border`: measure the depth of the filled strip along each edge.
- `find_invalid`: find borders and patches of constant value.
- `erode_mask`: keep a distance from unusable pixels.
- `InvalidRegions`: usable pixels of a coarser grid, and filling of the raw pixels.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Integer, Real

__all__ = ["Border", "InvalidRegions", "erode_mask", "find_border", "find_invalid"]

_MAX_FILLED_CHANGE = 0.2  # a line with a smaller relative change than the interior is filled
_MIN_IMAGE_CHANGE = 0.6  # a blurred border ends where the relative change reaches this value
_MAX_DEPTH_FRAC = 1 / 3  # of a side
_MIN_SIDE = 32  # in shorter images, a small change may be due to chance
_SAMPLES = 256  # pixels per line, enough to distinguish 0.2 from 1 with certainty
_RUN = 16  # adjacent samples: 64 bytes of float32, a cache line
_LINES = 1024  # lines compared at a time
_SQUARE = 8  # samples along the side of a square that is tested for constant value


@dataclass(frozen=True)
class Border:
    """Depth in raw pixels of the strip along each edge that contains no image."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, eq=False)
class InvalidRegions:
    """Regions of a raw micrograph that contain no image.

    Attributes:
        raw_shape: Height and width in raw pixels.
        border: The strips along the edges.
        flat: Mask of squares of `block` x `block` raw pixels, from pixel (0, 0); true if the
            square is in or next to a patch of constant value. The last row and column of squares
            extend to the edge.
        block: Side of a square in raw pixels.
    """

    raw_shape: tuple[int, int]
    border: Border
    flat: Bool[np.ndarray, "rows columns"]
    block: int

    def usable(self, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """Compute the mask of the pixels of a coarser or finer grid that contain only image.

        A pixel is unusable if its area overlaps a border, or if its centre is on a flat square.

        Args:
            shape: Height and width of the grid; pixel (0, 0) is raw pixel (0, 0).
        """
        border = self.border
        rows = _find_inside(self.raw_shape[0], shape[0], border.top, border.bottom)
        columns = _find_inside(self.raw_shape[1], shape[1], border.left, border.right)
        usable = rows[:, None] & columns[None, :]
        if self.flat.any():
            square_row = self._find_squares(self.raw_shape[0], shape[0], self.flat.shape[0])
            square_column = self._find_squares(self.raw_shape[1], shape[1], self.flat.shape[1])
            usable &= ~self.flat[np.ix_(square_row, square_column)]
        return usable

    @property
    def is_empty(self) -> bool:
        """True if the whole micrograph is usable."""
        return self.border == Border(0, 0, 0, 0) and not self.flat.any()

    def covers(
        self, y: Integer[np.ndarray, "..."], x: Integer[np.ndarray, "..."]
    ) -> Bool[np.ndarray, "..."]:
        """Return true for the raw pixels, given by row and column, that contain no image."""
        border, (height, width) = self.border, self.raw_shape
        covered: np.ndarray = (y < border.top) | (y >= height - border.bottom)
        covered = covered | (x < border.left) | (x >= width - border.right)
        if self.flat.any():
            last_row, last_column = np.array(self.flat.shape) - 1
            row = np.minimum(y // self.block, last_row)
            covered = covered | self.flat[row, np.minimum(x // self.block, last_column)]
        return covered

    def fill(
        self, rows: Float32[np.ndarray, "rows width"], level: float, *, first_row: int = 0
    ) -> None:
        """Overwrite the invalid pixels of some rows with one value, in place.

        Args:
            rows: Consecutive rows of the raw micrograph.
            level: The value.
            first_row: Number of the first of these rows.
        """
        border, (height, width) = self.border, self.raw_shape
        rows[: max(0, border.top - first_row)] = level
        rows[max(0, height - border.bottom - first_row) :] = level
        rows[:, : border.left] = level
        rows[:, width - border.right :] = level
        if self.flat.any():
            y = first_row + np.arange(len(rows))
            flat = self.flat[np.minimum(y // self.block, len(self.flat) - 1)]
            for row in np.flatnonzero(flat.any(axis=1)):
                rows[row, flat[row, self._find_raw_squares(width)]] = level

    def _find_raw_squares(self, width: int) -> Integer[np.ndarray, " width"]:
        """Return the index of the square that contains each raw column."""
        return np.minimum(np.arange(width) // self.block, self.flat.shape[1] - 1)

    def _find_squares(self, raw: int, side: int, count: int) -> np.ndarray:
        """Return the index of the square that contains the centre of each pixel of a line."""
        nearest = np.floor(np.arange(side) * (raw / side) + 0.5).astype(np.int64)
        return np.minimum(nearest // self.block, count - 1)


def find_invalid(pixels: Real[np.ndarray, "height width"]) -> InvalidRegions:
    """Find the borders and the flat patches of a raw micrograph.

    Reads a sample of the pixels, so the time hardly depends on the size of the micrograph.

    Args:
        pixels: Raw micrograph of any real type; may be memory-mapped.
    """
    step = int(np.clip(min(pixels.shape) // 1024, 1, 4))
    flat = _find_flat_squares(pixels, step)
    return InvalidRegions(pixels.shape, find_border(pixels), flat, block=step * _SQUARE)


def erode_mask(
    usable: Bool[np.ndarray, "height width"], distance_px: float
) -> Bool[np.ndarray, "height width"]:
    """Keep the pixels that are farther than `distance_px` from every unusable pixel.

    A particle of that radius at such a pixel is completely on usable pixels. The edges of the
    array do not count as unusable.

    Args:
        usable: Pixels that contain image.
        distance_px: Distance to unusable pixels, in pixels of the mask.
    """
    if usable.all():
        return usable.copy()
    from scipy.ndimage import distance_transform_edt

    eroded = distance_transform_edt(usable) > distance_px
    return np.asarray(eroded, dtype=bool)


def find_border(pixels: Real[np.ndarray, "height width"]) -> Border:
    """Measure the strip of constant or repeated lines along each edge.

    A line is filled if its mean difference to the next line, or between its pixels, is less than
    a fifth of the median in the middle of the micrograph. Some software filters micrographs after
    filling the border, which blurs the inner end of the strip and changes its outermost lines.
    The strip therefore extends to where the differences are normal again, and only half of its
    lines need be filled. Its depth is at most a third of the side.

    Args:
        pixels: Raw micrograph of any real type; may be memory-mapped.

    >>> noise = np.random.default_rng(0).normal(size=(100, 100))
    >>> noise[:7], noise[:, 95:] = noise[7], 0
    >>> find_border(noise)
    Border(top=7, bottom=0, left=0, right=5)
    """
    height = pixels.shape[0]
    rows = np.array(pixels[:: max(1, height // _SAMPLES)], dtype=np.float32)
    columns = _sample_columns(pixels)
    return Border(*_measure_depths(columns, axis=0), *_measure_depths(rows, axis=1))


def _sample_columns(
    pixels: Real[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height samples"]:
    """Sample columns in runs of adjacent ones, which share cache lines."""
    width = pixels.shape[1]
    interval = width // (_SAMPLES // _RUN)
    if interval <= _RUN:
        return np.array(pixels[:, :: max(1, width // _SAMPLES)], dtype=np.float32)
    runs = np.lib.stride_tricks.sliding_window_view(pixels, _RUN, axis=1)
    runs = runs[:, interval // 2 :: interval]
    return np.array(runs, dtype=np.float32).reshape(len(pixels), -1)


def _measure_depths(sample: Float32[np.ndarray, "rows columns"], axis: int) -> tuple[int, int]:
    """Measure the depth of the border at both ends of an axis."""
    if min(sample.shape) < _MIN_SIDE:
        return 0, 0
    to_next, within = _measure_changes(sample, axis)
    middle = slice(len(within) // 3, 2 * len(within) // 3)
    if not (np.median(to_next[middle]) > 0 and np.median(within[middle]) > 0):
        return 0, 0
    to_next /= np.median(to_next[middle])
    within /= np.median(within[middle])
    return _measure_depth(to_next, within), _measure_depth(to_next[::-1], within[::-1])


def _measure_changes(
    sample: Float32[np.ndarray, "rows columns"], axis: int
) -> tuple[Float[np.ndarray, " gaps"], Float[np.ndarray, " lines"]]:
    """Compute the mean difference between adjacent lines, and between adjacent pixels of a line.

    Processes a few lines at a time, so that the second pass is from the cache. The mean of a few
    hundred terms in float32 has a relative error below 1e-4.
    """
    lines = sample.shape[axis]
    to_next, within = np.empty(lines - 1), np.empty(lines)
    for start in range(0, lines, _LINES):
        stop = min(start + _LINES, lines)
        following = slice(start, min(stop + 1, lines))
        block = sample[following] if axis == 0 else sample[:, following]
        gaps = np.abs(np.diff(block, axis=axis)).mean(axis=1 - axis)
        to_next[start : start + len(gaps)] = gaps
        within[following] = np.abs(np.diff(block, axis=1 - axis)).mean(axis=1 - axis)
    return to_next, within


def _measure_depth(to_next: Float[np.ndarray, " gaps"], within: Float[np.ndarray, " lines"]) -> int:
    """Measure the depth of the border at the start of profiles with a normal level of 1."""
    max_depth = int(len(within) * _MAX_DEPTH_FRAC)
    is_filled = to_next[:max_depth] < _MAX_FILLED_CHANGE
    is_filled = is_filled | (within[:max_depth] < _MAX_FILLED_CHANGE)
    is_mostly_filled = 2 * np.cumsum(is_filled) >= np.arange(1, max_depth + 1)
    ends = np.flatnonzero(is_filled & is_mostly_filled)
    if len(ends) == 0:
        return 0
    depth = int(ends[-1]) + 1
    while depth < max_depth and to_next[depth] < _MIN_IMAGE_CHANGE:
        depth += 1
    return depth


def _find_inside(raw: int, side: int, before: int, after: int) -> Bool[np.ndarray, " side"]:
    """Return true for the pixels of a line whose whole width is outside both borders."""
    position, half = np.arange(side) * (raw / side), max(raw / side, 1) / 2
    inside = np.ones(side, dtype=bool)
    if before:
        inside &= position - half >= before - 0.5
    if after:
        inside &= position + half <= raw - after - 0.5
    return inside


def _find_flat_squares(
    pixels: Real[np.ndarray, "height width"], step: int
) -> Bool[np.ndarray, "rows columns"]:
    """Mark the squares in or next to a patch of constant value at least two squares wide.

    This requires 256 equal samples, one of every `step` pixels. At a dose of 0.1 electrons per
    pixel, where nine in ten pixels are 0, this occurs by chance once in 10^11 squares.
    """
    samples = np.ascontiguousarray(pixels[::step, ::step])
    rows, columns = (side // _SQUARE for side in samples.shape)
    flat = np.zeros((max(1, rows), max(1, columns)), dtype=bool)
    if min(rows, columns) < 2:
        return flat
    strips = samples[: rows * _SQUARE].reshape(rows, _SQUARE, -1)
    low, high = (  # reduce whole lines first, in the order of memory
        extreme(strips, axis=1)[:, : columns * _SQUARE].reshape(rows, columns, _SQUARE)
        for extreme in (np.min, np.max)
    )
    low, high = low.min(axis=2), high.max(axis=2)
    for row, column in np.argwhere(low == high):
        patch = slice(row, row + 2), slice(column, column + 2)
        if row + 1 < rows and column + 1 < columns and low[patch].min() == high[patch].max():
            # four squares, and the ring around them, which the patch may partly cover
            flat[max(0, row - 1) : row + 3, max(0, column - 1) : column + 3] = True
    return flat
