"""Filaments as pairs of ends, from a map of scores.

The map is smoothed, cut at the threshold and thinned to lines; straight pieces of them are found by
the probabilistic Hough transform, and pieces of one filament are joined.

- `filaments`: start and end of each.

Source: Galamhos et al. 1999, "Progressive probabilistic Hough transform for line detection".
"""

import math
from importlib import import_module

import numpy as np
from jaxtyping import Float, Float32

from cryopick.errors import SettingsError

__all__ = ["filaments"]

_SMOOTH_PX = 3.0
_VOTES_FRAC = 0.1  # of the length: points on a line that make it worth a closer look
_APART_DEG = 10.0  # pieces whose directions differ by less may be of one filament
_SEED = 0  # the transform draws points at random


def filaments(
    scores: Float32[np.ndarray, "height width"],
    *,
    threshold: float,
    length_px: float,
    radius_px: float,
) -> Float[np.ndarray, "filaments 4"]:
    """Find straight filaments.

    Args:
        scores: Logits for each pixel.
        threshold: Least smoothed score on a filament.
        length_px: Least length.
        radius_px: Half a filament's width: gaps of this length are bridged, and pieces that run
            alongside within it are one filament.

    Returns:
        x and y of the start, x and y of the end, of the longest filament first.

    Raises:
        SettingsError: scikit-image, which finds the lines, is not installed.
    """
    try:
        skeletonize = import_module("skimage.morphology").skeletonize  # which has no types
        probabilistic_hough_line = import_module("skimage.transform").probabilistic_hough_line
    except ImportError:
        raise SettingsError(
            "filaments need scikit-image, which is not installed; install it beside cryopick: "
            "pip install 'cryopick[filaments]'"
        ) from None
    from scipy.ndimage import gaussian_filter

    thin = skeletonize(gaussian_filter(scores, _SMOOTH_PX) >= threshold)
    found = probabilistic_hough_line(
        thin,
        threshold=max(1, round(_VOTES_FRAC * length_px)),
        line_length=max(1, round(length_px)),
        line_gap=max(1, round(radius_px)),
        rng=_SEED,
    )
    lines = np.array(found, dtype=np.float64).reshape(-1, 4)
    lengths = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    kept: list[Float[np.ndarray, " 4"]] = []
    for line in lines[np.argsort(-lengths, kind="stable")]:
        for place, other in enumerate(kept):
            if _is_same(line, other, radius_px):
                kept[place] = _joined(line, other)
                break
        else:
            kept.append(line)
    return np.array(kept).reshape(-1, 4)


def _is_same(line: Float[np.ndarray, " 4"], other: Float[np.ndarray, " 4"], near_px: float) -> bool:
    """Whether two pieces point the same way and one begins or ends beside or close to the other."""
    direction = _direction(other)
    if abs(float(_direction(line) @ direction)) < math.cos(math.radians(_APART_DEG)):
        return False
    ends = line.reshape(2, 2) - other[:2]
    along = ends @ direction
    aside = np.abs(ends @ np.array([-direction[1], direction[0]]))
    length = float(np.hypot(*(other[2:] - other[:2])))
    beyond = max(0.0, float(along.min()) - length, -float(along.max()))
    return bool(aside.max() <= near_px or aside.min() <= near_px) and beyond <= near_px


def _joined(line: Float[np.ndarray, " 4"], other: Float[np.ndarray, " 4"]) -> np.ndarray:
    """The longest line between ends of two pieces."""
    ends = np.concatenate([other, line]).reshape(-1, 2)
    along = ends @ _direction(other)
    return np.concatenate([ends[along.argmin()], ends[along.argmax()]])


def _direction(line: Float[np.ndarray, " 4"]) -> Float[np.ndarray, " 2"]:
    step = line[2:] - line[:2]
    return step / max(float(np.hypot(*step)), 1e-9)
