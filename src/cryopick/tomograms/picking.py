"""Pick particles in tomograms: rescale, score, find peaks, and choose the best class of each.

- `pick_tomogram`: pick in one tomogram.
- `select_peaks`: picks of a volume of scores.
- `calibrate_scorer`: shift the scores so that 0 is a probability of one half.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from cryopick.array_types import Float, Float32
from cryopick.picks import Picks
from cryopick.tomograms.coordinates import CLASS_COLUMN, get_xyz, make_table, replace_xyz
from cryopick.tomograms.model_file import TomogramModel
from cryopick.tomograms.network import STRIDE_PX, Scorer3d
from cryopick.tomograms.scoring import score_volume
from cryopick.tomograms.settings import TomogramPicking
from cryopick.tomograms.suppression import find_peaks
from cryopick.tomograms.volumes import Tomogram
from cryopick.tomograms.working_volume import load_working_volume
from cryopick.train.calibration_fit import solve_logit_shift

__all__ = ["calibrate_scorer", "pick_tomogram", "select_peaks"]

_FLOOR = -12.0  # minimum logit of picks that calibration counts


def pick_tomogram(
    tomogram: Tomogram, model: TomogramModel, settings: TomogramPicking, *, device: torch.device
) -> Picks:
    """Pick particles in a tomogram.

    Returns:
        Picks in voxels of the file, in descending order of score. With several classes, the column
        `class` has the number of the best one from 1, and `score_1`, `score_2`, … the scores
        of all.

    Raises:
        SettingsError: Picking would take more memory than allowed.
        MicrographError: The tomogram cannot be used.
    """
    volume = load_working_volume(tomogram, model.working_ang, max_gb=settings.max_memory_gb)
    scores = score_volume(model.scorer, volume.image, device=device, views=settings.views)
    radius_px = settings.min_distance_frac * model.diameter_px
    picks = select_peaks(scores, radius_px, settings.threshold, tomogram.name)
    xyz_px = get_xyz(picks) * volume.factor
    size = np.array(tomogram.shape[::-1])
    rows = np.flatnonzero(((xyz_px >= -0.5) & (xyz_px <= size - 0.5)).all(axis=1))
    return replace_xyz(picks, xyz_px).select(rows)


def select_peaks(
    scores: Float32[np.ndarray, "classes z y x"], radius_px: float, threshold: float, name: str
) -> Picks:
    """Select the peaks of the score of the best class.

    Args:
        scores: Scores on the grid of the network's stride.
        radius_px: Minimum distance of picks in working voxels.
        threshold: Minimum score.
        name: Name of the tomogram.

    Returns:
        Picks in working voxels.
    """
    best = scores.max(axis=0)
    positions, values = find_peaks(best, radius=radius_px / STRIDE_PX, threshold=threshold)
    extra: dict[str, np.ndarray] = {}
    if len(scores) > 1:
        cells = np.round(positions[:, ::-1]).astype(int)
        cells = np.clip(cells, 0, np.array(best.shape) - 1)
        by_class = scores[(slice(None), *cells.T)].astype(np.float64)
        extra[CLASS_COLUMN] = by_class.argmax(axis=0) + 1
        extra |= {f"score_{number + 1}": row for number, row in enumerate(by_class)}
    return make_table(name, positions * STRIDE_PX, values, extra)


def calibrate_scorer(
    scorer: Scorer3d,
    images: Sequence[Float32[np.ndarray, "_ _ _"]],
    *,
    expected: float,
    radius_px: float,
    device: torch.device,
) -> Scorer3d:
    """Shift the logits of each class so that the picks' probabilities sum to the expected number.

    Args:
        scorer: The network.
        images: Training tomograms at the working voxel size.
        expected: Expected particles of each class in a tomogram.
        radius_px: Minimum distance of picks in working voxels.
        device: Device to compute on.
    """
    logits: list[list[Float[np.ndarray, " peaks"]]] = [[] for _ in range(scorer.classes)]
    for image in images:
        for rows, scores in zip(logits, score_volume(scorer, image, device=device), strict=True):
            peaks = find_peaks(scores, radius=radius_px / STRIDE_PX, threshold=_FLOOR)
            rows.append(peaks[1])
    shifted = copy.deepcopy(scorer)
    assert shifted.head.bias is not None
    for number, rows in enumerate(logits):
        peak_logits = np.concatenate(rows)
        if len(peak_logits):
            shift = solve_logit_shift(peak_logits, expected * len(images))
            with torch.no_grad():
                shifted.head.bias[number] += shift
    return shifted
