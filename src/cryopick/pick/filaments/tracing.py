"""Follow filaments through a score map, straight over crossings.

- `Path2D`: a filament as a path.
- `trace`: all filaments of a map, the surest first.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.pick.filaments.lines import LineScores

__all__ = ["Path2D", "trace"]

Point = Float[np.ndarray, "2"]

_STEP = 0.25  # widths from point to point
_TURN = 1  # directions that a path may turn in a step: 7.5°, a radius of 1.9 widths
_STRAIGHT = 0.02  # of a standard deviation that a turn or a sidestep must gain
_FADED = 0.5  # of the rise above the background at which a filament ends


@dataclass(frozen=True, eq=False)
class Path2D:
    """A filament as a path.

    Attributes:
        xy: Points in order along it, in places of the grid.
        score: Mean score along it around each point.
    """

    xy: Float[np.ndarray, "points 2"]
    score: Float[np.ndarray, " points"]

    @property
    def length(self) -> float:
        """Length, in places of the grid."""
        return float(np.hypot(*np.diff(self.xy, axis=0).T).sum())


def trace(lines: LineScores, width: float, *, contrast: float, min_length: float) -> list[Path2D]:
    """Follow filaments from their surest places to both ends.

    A filament begins where the ridge along some line is highest of what is left, and goes on in
    the direction of the highest ridge, turning little, until that has fallen half-way to the
    background. What lies within half a width of it begins no further filament; a filament
    that crosses it goes on straight.

    Args:
        lines: Mean scores along lines.
        width: Width of a filament, in places of the grid.
        contrast: How far the first place must stand out, in standard deviations.
        min_length: Shorter ones are left out, in places of the grid.
    """
    best = lines.rise.max(axis=0)
    which = lines.rise.argmax(axis=0)
    floor = lines.middle + contrast * lines.spread
    free = best >= floor
    taken = np.zeros(lines.rise.shape, bool)
    found = []
    for place in np.argsort(-best, axis=None, kind="stable"):
        row, column = divmod(int(place), best.shape[1])
        if best[row, column] < floor:
            break
        if not free[row, column]:
            continue
        walk = _Walk(lines, taken, width, float(best[row, column]))
        start = np.array([column, row], float)
        forth = walk.follow(start, int(which[row, column]), 1)
        back = walk.follow(start, int(which[row, column]), -1)
        path = [*reversed(back), (start, int(which[row, column])), *forth]
        xy = _smoothed(np.array([point for point, _ in path]))
        score = np.array([_between(lines.mean[direction], point) for point, direction in path])
        _clear(free, xy, width / 2)
        if len(xy) > 1 and (made := Path2D(xy, score)).length >= min_length:
            for point, direction in path:
                _take(taken, point, direction, width / 2)
            found.append(made)
    return found


@dataclass(frozen=True, eq=False)
class _Walk:
    """One filament in the making."""

    lines: LineScores
    taken: Bool[np.ndarray, "directions rows columns"]
    width: float
    top: float

    def follow(self, start: Point, direction: int, sense: int) -> list[tuple[Point, int]]:
        """Points from a start to one end, each with its direction; `sense` is 1 or -1."""
        end = self.lines.middle + _FADED * (self.top - self.lines.middle)
        count = len(self.lines.directions_rad)
        step, side = _STEP * self.width, max(0.5, _STEP * self.width / 4)
        penalty = _STRAIGHT * self.lines.spread
        point = start
        path: list[tuple[Point, int]] = []
        most = int(4 * sum(self.lines.rise.shape[1:]) / step)  # no path goes round for ever
        while len(path) < most:
            choices = []
            for turn in range(-_TURN, _TURN + 1):
                turned = direction + turn
                way = self._way(turned % count, sense * (-1 if turned not in range(count) else 1))
                across = np.array([-way[1], way[0]])
                for shift in (-1, 0, 1):
                    ahead = point + step * way + shift * side * across
                    worth = _between(self.lines.rise[turned % count], ahead) - penalty * (
                        abs(turn) + abs(shift)
                    )
                    choices.append((worth, -abs(turn) - abs(shift), ahead, turned))
            worth, _, ahead, turned = max(choices, key=lambda choice: choice[:2])
            if worth < end or self._is_taken(ahead, turned % count):
                break
            if turned not in range(count):
                sense = -sense
            point, direction = ahead, turned % count
            path.append((point, direction))
        return path

    def _way(self, direction: int, sense: int) -> Point:
        angle = self.lines.directions_rad[direction]
        return sense * np.array([np.cos(angle), np.sin(angle)])

    def _is_taken(self, point: Point, direction: int) -> bool:
        column, row = np.rint(point).astype(int)
        return bool(self.taken[direction, row, column])


def _between(layer: Float32[np.ndarray, "rows columns"], point: Point) -> float:
    """The value at a point between places; beyond the map, minus infinity."""
    height, width = layer.shape
    x, y = point.tolist()
    if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
        return -np.inf
    column, row = min(int(x), width - 2), min(int(y), height - 2)
    right, below = x - column, y - row
    four = layer[row : row + 2, column : column + 2].astype(float)
    if not np.isfinite(four).all():
        return float(layer[round(y), round(x)])
    top, bottom = four @ np.array([1 - right, right])
    return float(top * (1 - below) + bottom * below)


def _smoothed(xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
    """Take out the wobble of the grid; ends stay."""
    if len(xy) < 5:
        return xy
    padded = np.concatenate([2 * xy[0] - xy[2:0:-1], xy, 2 * xy[-1] - xy[-2:-4:-1]])
    weights = np.array([1, 4, 6, 4, 1]) / 16
    return np.column_stack([np.convolve(axis, weights, mode="valid") for axis in padded.T])


def _clear(
    free: Bool[np.ndarray, "rows columns"], xy: Float[np.ndarray, "n 2"], reach: float
) -> None:
    """Nothing begins within a distance of a path."""
    for x, y in xy:
        free[_disc(free.shape, x, y, reach)] = False


def _take(
    taken: Bool[np.ndarray, "directions rows columns"],
    point: Point,
    direction: int,
    reach: float,
) -> None:
    """No other path goes on here in a like direction, within 22.5°."""
    count = len(taken)
    rows, columns = _disc(taken.shape[1:], point[0], point[1], reach)
    for near in range(direction - count // 8, direction + count // 8 + 1):
        taken[near % count, rows, columns] = True


def _disc(
    shape: tuple[int, int], x: float, y: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the places within a distance of a point."""
    top, left = max(0, int(np.ceil(y - reach))), max(0, int(np.ceil(x - reach)))
    rows, columns = np.mgrid[
        top : min(shape[0], int(y + reach) + 1), left : min(shape[1], int(x + reach) + 1)
    ]
    near = (rows - y) ** 2 + (columns - x) ** 2 <= reach**2
    return rows[near], columns[near]
