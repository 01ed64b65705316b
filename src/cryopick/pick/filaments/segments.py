"""Tables of filaments: evenly spaced segments with RELION's priors, or start and end points.

- `make_segments`: ordered segments with tube ID, priors of the angles, and track length.
- `make_endpoints`: start and end of each filament, in pairs of rows.
"""

from collections.abc import Sequence

import numpy as np

from cryopick.array_types import Float
from cryopick.pick.filaments.tracing import FilamentPath
from cryopick.picks import Picks

__all__ = ["make_endpoints", "make_segments"]


def make_segments(
    name: str, paths: Sequence[FilamentPath], spacing_px: float, pixel_size_ang: float
) -> Picks:
    """Cut filaments into evenly spaced segments, in order along each filament.

    The columns are those of RELION. Psi is the angle by which the axis must be rotated to lie
    along x; it is negative for a filament that runs from x towards y. The polarity is unknown, so
    the psi flip ratio is 0.5. Tilt is 90°, as filaments lie in the image plane.

    Args:
        name: Name of the micrograph.
        paths: Filaments in raw pixels.
        spacing_px: Distance along the filament, in raw pixels.
        pixel_size_ang: Ångströms per raw pixel.
    """
    tables = [_sample_evenly(path, spacing_px) for path in paths]
    rows = np.concatenate([np.zeros((0, 5)), *tables])
    tube = np.repeat(np.arange(1, len(tables) + 1), [len(table) for table in tables])
    picks = Picks.for_micrograph(name, rows[:, :2], rows[:, 2])
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


def make_endpoints(name: str, paths: Sequence[FilamentPath]) -> Picks:
    """Return start and end of each filament in consecutive rows, like RELION's coordinate pairs.

    The score of both rows is the mean along the filament.
    """
    xy = np.concatenate([np.zeros((0, 2)), *(path.xy[[0, -1]] for path in paths)])
    score = np.repeat(np.array([float(path.score.mean()) for path in paths]), 2)
    return Picks.for_micrograph(name, xy, score)


def _sample_evenly(path: FilamentPath, spacing: float) -> Float[np.ndarray, "segments 5"]:
    """Sample x, y, score, psi in degrees and the track length at even distances."""
    steps = np.hypot(*np.diff(path.xy, axis=0).T)
    track = np.concatenate([[0.0], np.cumsum(steps)])
    samples = np.arange(0, track[-1] + 1e-9, spacing)
    x, y, score = (np.interp(samples, track, values) for values in (*path.xy.T, path.score))
    limits = np.clip([samples - spacing / 2, samples + spacing / 2], 0, track[-1])
    dx, dy = (np.diff(np.interp(limits, track, axis), axis=0)[0] for axis in path.xy.T)
    psi = -np.degrees(np.arctan2(dy, dx))
    return np.column_stack([x, y, score, psi, samples])
