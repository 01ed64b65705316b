"""Trace filaments through a score map, straight across crossings.

- `FilamentPath`: the axis of a filament as a sequence of points.
- `trace_filaments`: trace all filaments of a map, strongest ridge first.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Bool, Float, Float32
from cryopick.pick.filaments.lines import LineScores

__all__ = ["FilamentPath", "trace_filaments"]

Point = Float[np.ndarray, "2"]

_STEP_WIDTHS = 0.25  # distance between points, in filament widths
_MAX_TURN = 1  # directions per step: 7.5°, a radius of curvature of 1.9 widths
_TURN_PENALTY_SD = 0.02  # minimum gain in ridge strength for a turn or a sideways shift
_END_FRAC = 0.5  # a filament ends at this fraction of its ridge strength above the background


@dataclass(frozen=True, eq=False)
class FilamentPath:
    """The axis of a filament as a sequence of points.

    Attributes:
        xy: Points (x, y) in order, in steps of the grid.
        score: Mean score along the axis around each point.
    """

    xy: Float[np.ndarray, "points 2"]
    score: Float[np.ndarray, " points"]

    @property
    def length(self) -> float:
        """Length in steps of the grid."""
        return float(np.hypot(*np.diff(self.xy, axis=0).T).sum())


def trace_filaments(
    lines: LineScores, width: float, *, contrast: float, min_length: float
) -> list[FilamentPath]:
    """Trace filaments from their strongest positions to both ends.

    A filament starts at the highest remaining ridge strength and follows the strongest ridge with
    limited curvature, until the strength has dropped half-way to the background. No other filament
    starts within half a width of it, but other filaments may cross it.

    Args:
        lines: Mean scores along lines.
        width: Width of a filament, in steps of the grid.
        contrast: Minimum ridge strength of the starting position, in standard deviations.
        min_length: Minimum length of a filament, in steps of the grid.
    """
    strongest = lines.ridge.max(axis=0)
    strongest_direction = lines.ridge.argmax(axis=0)
    threshold = lines.median + contrast * lines.sd
    can_start = strongest >= threshold
    occupied = np.zeros(lines.ridge.shape, bool)
    filaments = []
    for position in np.argsort(-strongest, axis=None, kind="stable"):
        row, column = divmod(int(position), strongest.shape[1])
        if strongest[row, column] < threshold:
            break
        if not can_start[row, column]:
            continue
        tracer = _Tracer(lines, occupied, width, float(strongest[row, column]))
        start = np.array([column, row], float)
        forward = tracer.follow(start, int(strongest_direction[row, column]), 1)
        backward = tracer.follow(start, int(strongest_direction[row, column]), -1)
        path = [*reversed(backward), (start, int(strongest_direction[row, column])), *forward]
        xy = _smooth(np.array([point for point, _ in path]))
        score = np.array([_interpolate(lines.mean[direction], point) for point, direction in path])
        _block_starts(can_start, xy, width / 2)
        if len(xy) > 1 and (filament := FilamentPath(xy, score)).length >= min_length:
            for point, direction in path:
                _occupy(occupied, point, direction, width / 2)
            filaments.append(filament)
    return filaments


@dataclass(frozen=True, eq=False)
class _Tracer:
    """Trace one filament from its starting position."""

    lines: LineScores
    occupied: Bool[np.ndarray, "directions rows columns"]
    width: float
    start_ridge: float

    def follow(self, start: Point, direction: int, sense: int) -> list[tuple[Point, int]]:
        """Trace from the start to one end; return points and directions. `sense` is 1 or -1."""
        background = self.lines.median
        end = background + _END_FRAC * (self.start_ridge - background)
        count = len(self.lines.directions_rad)
        step, side = _STEP_WIDTHS * self.width, max(0.5, _STEP_WIDTHS * self.width / 4)
        penalty = _TURN_PENALTY_SD * self.lines.sd
        point = start
        path: list[tuple[Point, int]] = []
        max_points = int(4 * sum(self.lines.ridge.shape[1:]) / step)  # stops closed loops
        while len(path) < max_points:
            choices = []
            for turn in range(-_MAX_TURN, _MAX_TURN + 1):
                new_direction = direction + turn
                flip = -1 if new_direction not in range(count) else 1
                tangent = self._tangent(new_direction % count, sense * flip)
                normal = np.array([-tangent[1], tangent[0]])
                for shift in (-1, 0, 1):
                    candidate = point + step * tangent + shift * side * normal
                    ridge = _interpolate(self.lines.ridge[new_direction % count], candidate)
                    value = ridge - penalty * (abs(turn) + abs(shift))
                    choices.append((value, -abs(turn) - abs(shift), candidate, new_direction))
            value, _, candidate, new_direction = max(choices, key=lambda choice: choice[:2])
            if value < end or self._is_occupied(candidate, new_direction % count):
                break
            if new_direction not in range(count):
                sense = -sense
            point, direction = candidate, new_direction % count
            path.append((point, direction))
        return path

    def _tangent(self, direction: int, sense: int) -> Point:
        angle = self.lines.directions_rad[direction]
        return sense * np.array([np.cos(angle), np.sin(angle)])

    def _is_occupied(self, point: Point, direction: int) -> bool:
        column, row = np.rint(point).astype(int)
        return bool(self.occupied[direction, row, column])


def _interpolate(layer: Float32[np.ndarray, "rows columns"], point: Point) -> float:
    """Interpolate bilinearly at a point; minus infinity outside the map."""
    height, width = layer.shape
    x, y = point.tolist()
    if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
        return -np.inf
    column, row = min(int(x), width - 2), min(int(y), height - 2)
    right, below = x - column, y - row
    corners = layer[row : row + 2, column : column + 2].astype(float)
    if not np.isfinite(corners).all():
        return float(layer[round(y), round(x)])
    top, bottom = corners @ np.array([1 - right, right])
    return float(top * (1 - below) + bottom * below)


def _smooth(xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
    """Smooth a path with a binomial filter; its ends are extended by point reflection."""
    if len(xy) < 5:
        return xy
    padded = np.concatenate([2 * xy[0] - xy[2:0:-1], xy, 2 * xy[-1] - xy[-2:-4:-1]])
    weights = np.array([1, 4, 6, 4, 1]) / 16
    return np.column_stack([np.convolve(axis, weights, mode="valid") for axis in padded.T])


def _block_starts(
    can_start: Bool[np.ndarray, "rows columns"], xy: Float[np.ndarray, "n 2"], radius: float
) -> None:
    """Prevent that another filament starts within a radius of a path."""
    for x, y in xy:
        can_start[_find_disc(can_start.shape, x, y, radius)] = False


def _occupy(
    occupied: Bool[np.ndarray, "directions rows columns"],
    point: Point,
    direction: int,
    radius: float,
) -> None:
    """Prevent that another path passes a point in a similar direction, within 22.5°."""
    count = len(occupied)
    rows, columns = _find_disc(occupied.shape[1:], point[0], point[1], radius)
    for similar in range(direction - count // 8, direction + count // 8 + 1):
        occupied[similar % count, rows, columns] = True


def _find_disc(
    shape: tuple[int, int], x: float, y: float, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the grid positions within a radius of a point."""
    top, left = max(0, int(np.ceil(y - radius))), max(0, int(np.ceil(x - radius)))
    rows, columns = np.mgrid[
        top : min(shape[0], int(y + radius) + 1), left : min(shape[1], int(x + radius) + 1)
    ]
    is_near = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return rows[is_near], columns[is_near]
