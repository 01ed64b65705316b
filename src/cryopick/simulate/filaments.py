"""Filaments: helices of molecules along smooth curves in the image plane.

The helix is similar to that of actin, with two strands of low twist. Lengths are in subunit
diameters, in-plane angles are from x towards y.

- `FilamentAxis`: the axis of a filament.
- `draw_filaments`: draw axes at random on a canvas.
- `place_subunits`: positions and rotations of the molecules of a filament.
- `WIDTH`: width of a filament.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.simulate.layout import Canvas
from cryopick.simulate.views import draw_rotations

__all__ = ["WIDTH", "FilamentAxis", "draw_filaments", "place_subunits"]

_RISE, _RADIUS, _TWIST_DEG = 0.5, 0.35, -166.7
WIDTH = 2 * _RADIUS + 1.0  # diameters of the subunit
_LENGTH = (0.6, 1.4)  # of a filament, relative to the shorter side of the canvas
_MIN_CURVATURE_RADIUS = 12.0  # in widths


@dataclass(frozen=True, eq=False)
class FilamentAxis:
    """The axis of a filament as a sequence of points.

    Attributes:
        xy_px: Points (x, y) from one end to the other, one pixel apart.
        direction_rad: Direction of the axis at each point.
    """

    xy_px: Float[np.ndarray, "points 2"]
    direction_rad: Float[np.ndarray, " points"]

    def sample(self, spacing_px: float) -> Float[np.ndarray, "positions 3"]:
        """Return evenly spaced positions: x, y, and the direction in degrees."""
        rows = np.arange(0, len(self.xy_px), spacing_px).round().astype(int)
        rows = rows[rows < len(self.xy_px)]
        return np.column_stack([self.xy_px[rows], np.degrees(self.direction_rad[rows])])


def draw_filaments(
    rng: np.random.Generator, canvas: Canvas, count: int, diameter_px: float
) -> list[FilamentAxis]:
    """Draw axes with random directions and random centres on the micrograph.

    Args:
        rng: Random generator.
        canvas: The canvas.
        count: Number of filaments.
        diameter_px: Diameter of a subunit.
    """
    axes = []
    for _ in range(count):
        length = max(2, round(min(canvas.inner) * rng.uniform(*_LENGTH)))
        position = np.arange(length) - length / 2
        # A constant and a sinusoidal curvature; their sum stays below the maximum.
        curvature = rng.uniform(-0.5, 0.5, 2) / (_MIN_CURVATURE_RADIUS * WIDTH * diameter_px)
        wave = 2 * np.pi / (length * rng.uniform(0.4, 1.0))
        oscillation = curvature[1] / wave * np.sin(wave * position + rng.uniform(0, 2 * np.pi))
        direction = rng.uniform(0, 2 * np.pi) + curvature[0] * position + oscillation
        steps = np.column_stack([np.cos(direction), np.sin(direction)])
        path = np.cumsum(steps, axis=0)
        height, width = canvas.inner
        centre = canvas.margin_px + rng.uniform((0, 0), (width - 1, height - 1))
        axes.append(FilamentAxis(path - path[length // 2] + centre, direction))
    return axes


def place_subunits(
    rng: np.random.Generator, axis: FilamentAxis, diameter_px: float
) -> Iterator[tuple[Float[np.ndarray, "2"], Float[np.ndarray, "3 3"]]]:
    """Generate the subunits along an axis: centre on the canvas, and rotation of the molecule."""
    orientation = draw_rotations(np.random.default_rng(0), 1)[0]  # the same in all helices
    start_deg = rng.uniform(0, 360)
    for number, (x, y, degrees) in enumerate(axis.sample(_RISE * diameter_px)):
        twist = np.radians(start_deg + number * _TWIST_DEG)
        direction = np.radians(degrees)
        about_axis = np.array(
            [[1, 0, 0], [0, np.cos(twist), -np.sin(twist)], [0, np.sin(twist), np.cos(twist)]]
        )
        in_plane = np.array(
            [
                [np.cos(direction), -np.sin(direction), 0],
                [np.sin(direction), np.cos(direction), 0],
                [0, 0, 1],
            ]
        )
        offset = in_plane @ about_axis @ np.array([0, _RADIUS * diameter_px, 0])
        yield np.array([x, y]) + offset[:2], in_plane @ about_axis @ orientation
