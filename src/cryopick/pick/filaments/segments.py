"""Filaments as tables: evenly spaced segments with what RELION knows beforehand, or their ends.

- `segments`: ordered segments, with tube, psi, tilt and track length.
- `ends`: start and end of each filament, in pairs of rows.
"""

from collections.abc import Sequence

import numpy as np

from cryopick.array_types import Float
from cryopick.pick.filaments.tracing import Path2D
from cryopick.picks import Picks

__all__ = ["ends", "segments"]


def segments(name: str, paths: Sequence[Path2D], spacing_px: float, pixel_size_ang: float) -> Picks:
    """Part filaments into segments at even distances, in order along each.

    Columns are RELION's. Psi is the angle from the axis back to x, so that turning by it lays
    the axis along x: a filament that runs from x towards y has a negative one. Which end is
    which is not known, so that the ratio of psi flips is one half; tilt is 90°, as filaments lie
    in the plane.

    Args:
        name: The micrograph.
        paths: Filaments in raw pixels.
        spacing_px: Distance along the filament, in raw pixels.
        pixel_size_ang: Ångströms per raw pixel.
    """
    parts = [_evenly(path, spacing_px) for path in paths]
    rows = np.concatenate([np.zeros((0, 5)), *parts])
    tube = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])
    picks = Picks.on(name, rows[:, :2], rows[:, 2])
    extra = {
        "rlnHelicalTubeID": tube.astype(np.int64),
        "rlnAngleTiltPrior": np.full(len(rows), 90.0),
        "rlnAnglePsiPrior": rows[:, 3].round(3),
        "rlnHelicalTrackLengthAngst": (rows[:, 4] * pixel_size_ang).round(3),
        "rlnAnglePsiFlipRatio": np.full(len(rows), 0.5),
    }
    return Picks(
        micrographs=picks.micrographs,
        index=picks.index,
        xy_px=picks.xy_px,
        score=picks.score,
        extra=extra,
    )


def ends(name: str, paths: Sequence[Path2D]) -> Picks:
    """Start and end of each filament, one row after the other, as RELION's pairs of coordinates.

    Both rows have the mean score along the filament.
    """
    xy = np.concatenate([np.zeros((0, 2)), *(path.xy[[0, -1]] for path in paths)])
    score = np.repeat(np.array([float(path.score.mean()) for path in paths]), 2)
    return Picks.on(name, xy, score)


def _evenly(path: Path2D, spacing: float) -> Float[np.ndarray, "segments 5"]:
    """x, y, score, psi in degrees, and way along the filament, at even distances."""
    steps = np.hypot(*np.diff(path.xy, axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.arange(0, way[-1] + 1e-9, spacing)
    x, y, score = (np.interp(at, way, values) for values in (*path.xy.T, path.score))
    reach = np.clip([at - spacing / 2, at + spacing / 2], 0, way[-1])
    across, down = (np.diff(np.interp(reach, way, axis), axis=0)[0] for axis in path.xy.T)
    psi = -np.degrees(np.arctan2(down, across))
    return np.column_stack([x, y, score, psi, at])
