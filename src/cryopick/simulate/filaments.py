"""Filaments: helices of a molecule along smooth curves in the plane of the micrograph.

The subunits sit on a helix much like that of actin, of two slowly turning strands. Lengths are
in subunit diameters, directions in the plane run from x towards y.

- `Track`: the axis of a filament.
- `draw_filaments`: axes that run anywhere on a canvas.
- `subunits`: where the molecules of a filament sit, and how they are turned.
- `WIDTH`: how wide a filament is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.simulate.layout import Canvas
from cryopick.simulate.views import random_rotations

__all__ = ["WIDTH", "Track", "draw_filaments", "subunits"]

_RISE, _RADIUS, _TWIST_DEG = 0.5, 0.35, -166.7
WIDTH = 2 * _RADIUS + 1.0  # diameters of the subunit
_LENGTH = (0.6, 1.4)  # of a filament, in shorter sides of the canvas
_TIGHTEST = 12.0  # least radius of curvature, in widths


@dataclass(frozen=True, eq=False)
class Track:
    """The axis of a filament, as points close together.

    Attributes:
        xy_px: The points, from one end to the other, one pixel apart.
        direction_rad: The direction of the axis at each.
    """

    xy_px: Float[np.ndarray, "points 2"]
    direction_rad: Float[np.ndarray, " points"]

    def places(self, spacing_px: float) -> Float[np.ndarray, "places 3"]:
        """Evenly spaced places: x, y, and the direction in degrees."""
        rows = np.arange(0, len(self.xy_px), spacing_px).round().astype(int)
        rows = rows[rows < len(self.xy_px)]
        return np.column_stack([self.xy_px[rows], np.degrees(self.direction_rad[rows])])


def draw_filaments(
    rng: np.random.Generator, canvas: Canvas, count: int, diameter_px: float
) -> list[Track]:
    """Draw axes whose middles lie anywhere on the micrograph, in any direction.

    Args:
        rng: Where the randomness comes from.
        canvas: Where they lie.
        count: How many.
        diameter_px: Diameter of a subunit.
    """
    tracks = []
    for _ in range(count):
        length = max(2, round(min(canvas.inner) * rng.uniform(*_LENGTH)))
        way = np.arange(length) - length / 2
        # A turn that goes on, and one that swings; the two never add up to the tightest.
        bend = rng.uniform(-0.5, 0.5, 2) / (_TIGHTEST * WIDTH * diameter_px)
        wave = 2 * np.pi / (length * rng.uniform(0.4, 1.0))
        swing = bend[1] / wave * np.sin(wave * way + rng.uniform(0, 2 * np.pi))
        direction = rng.uniform(0, 2 * np.pi) + bend[0] * way + swing
        steps = np.column_stack([np.cos(direction), np.sin(direction)])
        path = np.cumsum(steps, axis=0)
        height, width = canvas.inner
        middle = canvas.margin_px + rng.uniform((0, 0), (width - 1, height - 1))
        tracks.append(Track(path - path[length // 2] + middle, direction))
    return tracks


def subunits(
    rng: np.random.Generator, track: Track, diameter_px: float
) -> Iterator[tuple[Float[np.ndarray, "2"], Float[np.ndarray, "3 3"]]]:
    """The subunits along an axis: centre on the canvas, and rotation of the molecule."""
    own = random_rotations(np.random.default_rng(0), 1)[0]  # how a subunit sits on every helix
    begin = rng.uniform(0, 360)
    for number, (x, y, degrees) in enumerate(track.places(_RISE * diameter_px)):
        turn = np.radians(begin + number * _TWIST_DEG)
        direction = np.radians(degrees)
        around = np.array(
            [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
        )
        along = np.array(
            [
                [np.cos(direction), -np.sin(direction), 0],
                [np.sin(direction), np.cos(direction), 0],
                [0, 0, 1],
            ]
        )
        offset = along @ around @ np.array([0, _RADIUS * diameter_px, 0])
        yield np.array([x, y]) + offset[:2], along @ around @ own
