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

from cryopick.array_types import Bool, Float, Float32, Integer, Real

__all__ = ["Border", "Invalid", "find_border", "find_invalid", "inset"]

_QUIET = 0.2  # a line that changes by less than this share of the interior's change is filled
_RECOVERED = 0.6  # a blurred border ends where the change is back to this share
_DEEPEST = 1 / 3  # of a side: a border is looked for no further inwards
_SHORTEST_SIDE = 32  # below this, chance alone makes a line look quiet
_SAMPLES = 256  # pixels looked at along a line: enough to tell 0.2 from 1 beyond doubt
_RUN = 16  # of them lie side by side: 64 bytes of float32, a line of the cache
_LINES = 1024  # lines compared at a time
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

    @property
    def is_empty(self) -> bool:
        """Whether all of the micrograph holds image."""
        return self.border == Border(0, 0, 0, 0) and not self.flat.any()

    def covers(
        self, y: Integer[np.ndarray, "..."], x: Integer[np.ndarray, "..."]
    ) -> Bool[np.ndarray, "..."]:
        """Which raw pixels, by row and column, hold no image."""
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
        """Overwrite, in place, what holds no image by one value.

        Args:
            rows: Neighbouring rows of the raw micrograph.
            level: The value.
            first_row: Which row of the micrograph the first of them is.
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
                rows[row, flat[row, self._under(width)]] = level

    def _under(self, width: int) -> Integer[np.ndarray, " width"]:
        """Index of the square under each raw column."""
        return np.minimum(np.arange(width) // self.block, self.flat.shape[1] - 1)

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
    height = pixels.shape[0]
    down = np.array(pixels[:: max(1, height // _SAMPLES)], dtype=np.float32)
    return Border(*_depths(_sampled_columns(pixels), axis=0), *_depths(down, axis=1))


def _sampled_columns(
    pixels: Real[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height samples"]:
    """Some columns, in runs of neighbours: memory gives a run for the price of one pixel."""
    width = pixels.shape[1]
    every = width // (_SAMPLES // _RUN)
    if every <= _RUN:
        return np.array(pixels[:, :: max(1, width // _SAMPLES)], dtype=np.float32)
    runs = np.lib.stride_tricks.sliding_window_view(pixels, _RUN, axis=1)[:, every // 2 :: every]
    return np.array(runs, dtype=np.float32).reshape(len(pixels), -1)


def _depths(sample: Float32[np.ndarray, "rows columns"], axis: int) -> tuple[int, int]:
    """Depth of the border at the first and last of the lines that run across an axis."""
    if min(sample.shape) < _SHORTEST_SIDE:
        return 0, 0
    to_next, within = _changes(sample, axis)
    middle = slice(len(within) // 3, 2 * len(within) // 3)
    if not (np.median(to_next[middle]) > 0 and np.median(within[middle]) > 0):
        return 0, 0
    to_next /= np.median(to_next[middle])
    within /= np.median(within[middle])
    return _depth(to_next, within), _depth(to_next[::-1], within[::-1])


def _changes(
    sample: Float32[np.ndarray, "rows columns"], axis: int
) -> tuple[Float[np.ndarray, " gaps"], Float[np.ndarray, " lines"]]:
    """Mean difference from each line to the next, and between the neighbours on each line.

    A few lines at a time, so that no more than the cache holds is gone through twice. The
    few hundred terms of a mean lose less than one part in ten thousand in float32.
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
    samples = np.ascontiguousarray(pixels[::step, ::step])
    rows, columns = (side // _SQUARE for side in samples.shape)
    flat = np.zeros((max(1, rows), max(1, columns)), dtype=bool)
    if min(rows, columns) < 2:
        return flat
    strips = samples[: rows * _SQUARE].reshape(rows, _SQUARE, -1)
    low, high = (  # whole lines first: that runs along memory
        extreme(strips, axis=1)[:, : columns * _SQUARE].reshape(rows, columns, _SQUARE)
        for extreme in (np.min, np.max)
    )
    low, high = low.min(axis=2), high.max(axis=2)
    for row, column in np.argwhere(low == high):
        around = slice(row, row + 2), slice(column, column + 2)
        if row + 1 < rows and column + 1 < columns and low[around].min() == high[around].max():
            # the four squares of the patch and the ring around them, which it may reach into
            flat[max(0, row - 1) : row + 3, max(0, column - 1) : column + 3] = True
    return flat
