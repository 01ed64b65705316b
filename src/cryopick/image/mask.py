"""Find what of a micrograph must not be used: borders and flat patches.

Motion correction shifts frames and fills the strip it uncovers with a constant or with
repeated edge pixels; detectors leave black corners. Networks fire on such places, and they
pull at the normalisation. Everything is judged on raw pixels, (height, width), row 0 first.

- `find_border`: how deep the repeated or constant strip along each edge is.
- `find_invalid`: that and the patches of exactly one value, as `Invalid`.
- `inset`: keeps clear of what is unusable.
- `Invalid`: tells which pixels of a coarser grid are usable, and fills the others.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Real

__all__ = ["Border", "Invalid", "find_border", "find_invalid", "inset"]

_QUIET = 0.2  # a line that changes by less than this share of the interior's change is filled
_RECOVERED = 0.6  # a blurred border ends where the change is back to this share
_DEEPEST = 1 / 3  # of a side: a border is looked for no further inwards
_SHORTEST_SIDE = 32  # below this, chance alone makes a line look quiet
_SAMPLES = 512  # pixels looked at along a line: enough to tell 0.2 from 1 beyond doubt
_SQUARE = 8  # samples along the side of a square that is tested for one value


@dataclass(frozen=True)
class Border:
    """Depth in raw pixels of the strip along each edge that holds no image."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, eq=False)
class Invalid:
    """Where a raw micrograph holds no image.

    Attributes:
        raw_shape: Height and width in raw pixels.
        border: The strips along the edges.
        flat: Squares of `block` x `block` raw pixels, from pixel (0, 0); true where the
            square lies in or beside a patch of exactly one value. The last row and column
            of squares reach to the edge.
        block: Side of a square in raw pixels.
    """

    raw_shape: tuple[int, int]
    border: Border
    flat: Bool[np.ndarray, "rows columns"]
    block: int

    def usable(self, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """Which pixels of a coarser or finer grid over the same micrograph hold image alone.

        A pixel is dropped when its square, centred on its own raw position, reaches into a
        border, or when its centre lies on a flat square.

        Args:
            shape: Height and width of the grid; pixel (0, 0) is raw pixel (0, 0).
        """
        border = self.border
        rows = _inside(self.raw_shape[0], shape[0], border.top, border.bottom)
        columns = _inside(self.raw_shape[1], shape[1], border.left, border.right)
        usable = rows[:, None] & columns[None, :]
        if self.flat.any():
            square_row = self._square(self.raw_shape[0], shape[0], self.flat.shape[0])
            square_column = self._square(self.raw_shape[1], shape[1], self.flat.shape[1])
            usable &= ~self.flat[np.ix_(square_row, square_column)]
        return usable

    def fill(self, image: Float32[np.ndarray, "height width"]) -> None:
        """Overwrite, in place, what holds no image by the mean of what does.

        A step from image to fill would ring through the whole line when the spectrum is
        cropped; the mean makes it as small as one value can.
        """
        border, (height, width) = self.border, self.raw_shape
        if border == Border(0, 0, 0, 0) and not self.flat.any():
            return
        step = max(1, min(image.shape) // 1024)
        sample = image[::step, ::step]
        usable = self.usable(sample.shape)
        mean = sample[usable].mean(dtype=np.float64) if usable.any() else sample.mean()
        image[: border.top] = mean
        image[height - border.bottom :] = mean
        image[:, : border.left] = mean
        image[:, width - border.right :] = mean
        last_row, last_column = np.array(self.flat.shape) - 1
        for row, column in np.argwhere(self.flat):
            bottom = height if row == last_row else (row + 1) * self.block
            right = width if column == last_column else (column + 1) * self.block
            image[row * self.block : bottom, column * self.block : right] = mean

    def _square(self, raw: int, side: int, count: int) -> np.ndarray:
        """Index of the square under each pixel of a line."""
        nearest = np.floor(np.arange(side) * (raw / side) + 0.5).astype(np.int64)
        return np.minimum(nearest // self.block, count - 1)


def find_invalid(pixels: Real[np.ndarray, "height width"]) -> Invalid:
    """Find the borders and the flat patches of a raw micrograph.

    Reads a sample of the pixels, so the time hardly grows with the micrograph's size.

    Args:
        pixels: Raw micrograph of any real type; may be memory-mapped.
    """
    step = int(np.clip(min(pixels.shape) // 1024, 1, 4))
    flat = _flat_squares(pixels, step)
    return Invalid(pixels.shape, find_border(pixels), flat, block=step * _SQUARE)


def inset(
    usable: Bool[np.ndarray, "height width"], reach_px: float
) -> Bool[np.ndarray, "height width"]:
    """Keep the pixels that are farther than `reach_px` from every unusable one.

    A particle of that radius centred on such a pixel lies on image alone. The edges of the
    array itself do not count: nothing unusable is known to lie beyond them.

    Args:
        usable: Pixels that hold image.
        reach_px: Distance to keep, in pixels of the mask.
    """
    if usable.all():
        return usable.copy()
    from scipy.ndimage import distance_transform_edt

    far = distance_transform_edt(usable) > reach_px
    return np.asarray(far, dtype=bool)


def find_border(pixels: Real[np.ndarray, "height width"]) -> Border:
    """Measure the strip of constant or repeated lines along each edge.

    A line belongs to it when it differs from the next, or its pixels from each other, by
    less than a fifth of what is usual in the middle of the micrograph. Some software
    filters micrographs after filling the border, which blurs its inner end and disturbs its
    outermost lines: so the strip reaches in to where change is usual again, and only half of
    its lines need be quiet. At most a third of a side is taken.

    Args:
        pixels: Raw micrograph of any real type; may be memory-mapped.

    >>> noise = np.random.default_rng(0).normal(size=(100, 100))
    >>> noise[:7], noise[:, 95:] = noise[7], 0
    >>> find_border(noise)
    Border(top=7, bottom=0, left=0, right=5)
    """
    height, width = pixels.shape
    top, bottom = _depths(np.asarray(pixels[:, :: max(1, width // _SAMPLES)], dtype=np.float32))
    left, right = _depths(np.asarray(pixels[:: max(1, height // _SAMPLES)], dtype=np.float32).T)
    return Border(top, bottom, left, right)


def _depths(lines: Float32[np.ndarray, "count samples"]) -> tuple[int, int]:
    """Depth of the border at the first and at the last line."""
    if min(lines.shape) < _SHORTEST_SIDE:
        return 0, 0
    to_next = np.abs(np.diff(lines, axis=0)).mean(axis=1, dtype=np.float64)
    within = np.abs(np.diff(lines, axis=1)).mean(axis=1, dtype=np.float64)
    middle = slice(len(lines) // 3, 2 * len(lines) // 3)
    if not (np.median(to_next[middle]) > 0 and np.median(within[middle]) > 0):
        return 0, 0
    to_next /= np.median(to_next[middle])
    within /= np.median(within[middle])
    return _depth(to_next, within), _depth(to_next[::-1], within[::-1])


def _depth(to_next: Float[np.ndarray, " gaps"], within: Float[np.ndarray, " lines"]) -> int:
    """Depth of the border at the start of a line profile whose usual level is 1."""
    deepest = int(len(within) * _DEEPEST)
    quiet = (to_next[:deepest] < _QUIET) | (within[:deepest] < _QUIET)
    mostly_quiet = 2 * np.cumsum(quiet) >= np.arange(1, deepest + 1)
    ends = np.flatnonzero(quiet & mostly_quiet)
    if len(ends) == 0:
        return 0
    depth = int(ends[-1]) + 1
    while depth < deepest and to_next[depth] < _RECOVERED:
        depth += 1
    return depth


def _inside(raw: int, side: int, before: int, after: int) -> Bool[np.ndarray, " side"]:
    """Which of `side` pixels over `raw` raw ones keep their whole width off both borders."""
    position, half = np.arange(side) * (raw / side), max(raw / side, 1) / 2
    inside = np.ones(side, dtype=bool)
    if before:
        inside &= position - half >= before - 0.5
    if after:
        inside &= position + half <= raw - after - 0.5
    return inside


def _flat_squares(
    pixels: Real[np.ndarray, "height width"], step: int
) -> Bool[np.ndarray, "rows columns"]:
    """Mark the squares in or beside a patch of one value, two squares wide at least.

    Every `step`-th pixel is looked at, so 256 equal ones are asked for: at a tenth of an
    electron a pixel, where nine in ten are zero, chance makes that once in 10^11 squares.
    """
    samples = pixels[::step, ::step]
    rows, columns = (side // _SQUARE for side in samples.shape)
    flat = np.zeros((max(1, rows), max(1, columns)), dtype=bool)
    if min(rows, columns) < 2:
        return flat
    samples = samples[: rows * _SQUARE, : columns * _SQUARE]
    squares = samples.reshape(rows, _SQUARE, columns, _SQUARE)
    low, high = squares.min(axis=(1, 3)), squares.max(axis=(1, 3))
    for row, column in np.argwhere(low == high):
        around = slice(row, row + 2), slice(column, column + 2)
        if row + 1 < rows and column + 1 < columns and low[around].min() == high[around].max():
            # the four squares of the patch and the ring around them, which it may reach into
            flat[max(0, row - 1) : row + 3, max(0, column - 1) : column + 3] = True
    return flat
