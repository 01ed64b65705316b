"""Loss at the peaks of the score map, the positions that become picks.

The network soon learns to reject empty background. The remaining errors are at peaks of the score
map, so a second training stage computes the loss at peaks only.

- `peak_loss`: cross-entropy at peaks and at particles without a peak.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cryopick.array_types import Bool, Float, Integer
from cryopick.train.head_fit import find_score_peaks, match_peaks_to_labels

__all__ = ["peak_loss"]

# Distance between a peak and the nearest particle, in diameters: true positives are within the
# first, false positives are beyond the second, and peaks between the two are ignored.
_MAX_MATCH_FRAC = 1 / 3
_MIN_MISS_FRAC = 0.4


def peak_loss(
    logits: Float[Tensor, "batch grid grid"],
    centres_px: Sequence[Float[np.ndarray, "_ 2"]],
    positions_px: Float[np.ndarray, " grid"],
    *,
    diameter_px: float,
) -> Float[Tensor, ""]:
    """Compute the mean cross-entropy over peaks and over the particles without a peak.

    A particle without a peak contributes the score at the grid position nearest to it.

    Args:
        logits: Scores of each image.
        centres_px: Particles (x, y) of each image.
        positions_px: Positions of the scores along a side, in the same pixels.
        diameter_px: Particle diameter in pixels.
    """
    selected_cells, targets = [], []
    for number, (scores, centres) in enumerate(zip(logits, centres_px, strict=True)):
        peaks = find_score_peaks(
            scores.detach(), diameter_px / 2 / (positions_px[1] - positions_px[0])
        )
        cells, is_particle = _assign_targets(peaks, centres, positions_px, diameter_px)
        selected_cells.append(np.column_stack([np.full(len(cells), number), cells]))
        targets.append(is_particle)
    image, row, column = torch.from_numpy(np.concatenate(selected_cells)).to(logits.device).T
    target = torch.from_numpy(np.concatenate(targets)).to(logits)
    if not len(target):
        return logits.sum() * 0
    return binary_cross_entropy_with_logits(logits[image, row, column], target)


def _assign_targets(
    peaks: Integer[np.ndarray, "peaks 2"],
    centres_px: Float[np.ndarray, "particles 2"],
    positions_px: Float[np.ndarray, " grid"],
    diameter_px: float,
) -> tuple[Integer[np.ndarray, "cells 2"], Bool[np.ndarray, " cells"]]:
    """Choose grid cells and their targets; each particle is matched to at most one peak."""
    from scipy.spatial import cKDTree

    step = positions_px[1] - positions_px[0]
    inside = (centres_px >= positions_px[0]) & (centres_px <= positions_px[-1])
    if not len(centres_px):
        return peaks, np.zeros(len(peaks), bool)
    xy_px = positions_px[peaks[:, ::-1]]
    matched_particle = match_peaks_to_labels(xy_px, centres_px, _MAX_MATCH_FRAC * diameter_px)
    gap, _ = cKDTree(centres_px).query(xy_px)
    is_match = matched_particle >= 0
    is_used = (
        is_match | (gap > _MIN_MISS_FRAC * diameter_px) | (gap <= _MAX_MATCH_FRAC * diameter_px)
    )
    missed = np.setdiff1d(np.flatnonzero(inside.all(axis=1)), matched_particle)
    added = np.rint((centres_px[missed, ::-1] - positions_px[0]) / step).astype(np.int64)
    cells = np.concatenate([peaks[is_used], added])
    return cells, np.concatenate([is_match[is_used], np.ones(len(added), bool)])
