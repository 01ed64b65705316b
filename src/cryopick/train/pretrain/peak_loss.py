"""Learn from the peaks of the scores, which are all that picking looks at.

Most places are empty and soon told from particles. What is left to learn is which of the places
that stand out from their surroundings are particles: those are picked, rightly or not.

- `peak_loss`: the cross-entropy at the peaks, and at the particles that have none.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cryopick.array_types import Bool, Float, Integer
from cryopick.train.head_fit import owners, peaks_of

__all__ = ["peak_loss"]

_RIGHT = 1 / 3  # diameters between a peak and the particle that it finds
_WRONG = 0.4  # beyond this many it misses; between the two nobody would say


def peak_loss(
    logits: Float[Tensor, "batch grid grid"],
    centres_px: Sequence[Float[np.ndarray, "_ 2"]],
    places_px: Float[np.ndarray, " grid"],
    *,
    diameter_px: float,
) -> Float[Tensor, ""]:
    """Mean cross-entropy over peaks; a particle without one counts at the place next to it.

    Args:
        logits: Scores of each image.
        centres_px: Particles (x, y) of each image.
        places_px: Position of the scores along a side, in the same pixels.
        diameter_px: Pixels across a particle.
    """
    chosen, targets = [], []
    for number, (own, centres) in enumerate(zip(logits, centres_px, strict=True)):
        peaks = peaks_of(own.detach(), diameter_px / 2 / (places_px[1] - places_px[0]))
        cells, is_right = _judged(peaks, centres, places_px, diameter_px)
        chosen.append(np.column_stack([np.full(len(cells), number), cells]))
        targets.append(is_right)
    image, row, column = torch.from_numpy(np.concatenate(chosen)).to(logits.device).T
    target = torch.from_numpy(np.concatenate(targets)).to(logits)
    if not len(target):
        return logits.sum() * 0
    return binary_cross_entropy_with_logits(logits[image, row, column], target)


def _judged(
    peaks: Integer[np.ndarray, "peaks 2"],
    centres_px: Float[np.ndarray, "particles 2"],
    places_px: Float[np.ndarray, " grid"],
    diameter_px: float,
) -> tuple[Integer[np.ndarray, "cells 2"], Bool[np.ndarray, " cells"]]:
    """Cells to learn from, and whether a particle is there: each has its best peak alone."""
    from scipy.spatial import cKDTree

    step = places_px[1] - places_px[0]
    inside = (centres_px >= places_px[0]) & (centres_px <= places_px[-1])
    if not len(centres_px):
        return peaks, np.zeros(len(peaks), bool)
    xy_px = places_px[peaks[:, ::-1]]
    owner = owners(xy_px, centres_px, _RIGHT * diameter_px)
    gap, _ = cKDTree(centres_px).query(xy_px)
    is_right = owner >= 0
    counts = is_right | (gap > _WRONG * diameter_px) | (gap <= _RIGHT * diameter_px)
    missed = np.setdiff1d(np.flatnonzero(inside.all(axis=1)), owner)
    added = np.rint((centres_px[missed, ::-1] - places_px[0]) / step).astype(np.int64)
    cells = np.concatenate([peaks[counts], added])
    return cells, np.concatenate([is_right[counts], np.ones(len(added), bool)])
