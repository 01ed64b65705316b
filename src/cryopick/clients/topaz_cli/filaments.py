"""Filaments as RELION's branch of Topaz gives them: start and end of straight pieces.

- `straight_pieces`: the filaments of a micrograph, bent ones in several pieces.
"""

import numpy as np

from cryopick.array_types import Float
from cryopick.clients.topaz_cli.detectors import Seen
from cryopick.pick.filaments.lines import line_scores
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.filaments.tracing import trace

__all__ = ["straight_pieces"]

_BENT = 0.5  # radii from the straight line at which a piece is parted


def straight_pieces(
    seen: Seen, *, radius_px: float, length_px: float, threshold: float
) -> Float[np.ndarray, "pieces 4"]:
    """Find filaments, and part them where they leave the line between their ends.

    Args:
        seen: What a model says of the micrograph.
        radius_px: Half a filament's width.
        length_px: Least length of a filament.
        threshold: Least mean score along one.

    Returns:
        x and y of the start, x and y of the end, in pixels of the micrograph; the surest filament
        first, its pieces in order along it.
    """
    step = seen.scores.step_px
    place_px = step * np.array(seen.scale_yx[::-1])  # pixels along x and y for each place
    width = 2 * radius_px / float(place_px.mean())
    margin = round(width / 2)  # scores rise along the edges as if along a filament
    rows, columns = seen.scores.logits.shape
    usable = np.zeros((rows, columns), bool)
    inner = np.s_[margin : rows - margin, margin : columns - margin]
    usable[inner] = seen.usable[::step, ::step][inner]
    paths = trace(
        line_scores(seen.scores.logits, usable, width),
        width,
        contrast=FilamentSettings().contrast,
        min_length=length_px / float(place_px.mean()),
    )
    pieces = [np.zeros((0, 4))]
    for path in paths:
        if path.score.mean() >= threshold:
            points = path.xy * place_px
            corners = points[_corners(points, _BENT * radius_px)]
            pieces.append(np.hstack([corners[:-1], corners[1:]]))
    return np.concatenate(pieces)


def _corners(points: Float[np.ndarray, "points 2"], tolerance: float) -> list[int]:
    """Points between which a path is straight, both ends among them.

    Source: Douglas and Peucker 1973, "Algorithms for the reduction of the number of points
    required to represent a digitized line", Cartographica 10:112.
    """
    first, last = points[0], points[-1]
    along = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    aside = np.abs((points - first) @ np.array([-along[1], along[0]]))
    middle = int(aside.argmax())
    if aside[middle] <= tolerance or len(points) < 3:
        return [0, len(points) - 1]
    before = _corners(points[: middle + 1], tolerance)
    return [*before[:-1], *(middle + corner for corner in _corners(points[middle:], tolerance))]
