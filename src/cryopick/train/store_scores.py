"""Scores of networks on prepared micrographs: at labels, and at peaks away from them.

- `score_store`: score positions and unlabelled peaks.
- `StoreScores`: the result.
- `translate_scores`: express scores of one network on the scale of another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float
from cryopick.inference.engine import optimize_ensemble, resolve_precision
from cryopick.inference.score_map import ScoreMap, compute_ensemble_score_map
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.networks import Scorer, extract_network
from cryopick.pick.elongated import filter_if_elongated
from cryopick.pick.picker import default_step_px
from cryopick.pick.suppression import suppress_non_maxima
from cryopick.preprocess.prepared_store import PreparedStore, load_micrograph
from cryopick.train.settings import TrainSettings

__all__ = ["StoreScores", "score_store", "translate_scores"]

_WITHIN_DIAMETERS = 1 / 3  # of a position, in which its highest score is looked for
_APART_DIAMETERS = 0.6  # least distance between peaks, and of a peak from labels
_FIRST_GROUP = 10  # peaks whose mean is taken; later groups double
_MIN_PEAKS = 20  # from which on scores are translated


@dataclass(frozen=True, eq=False)
class StoreScores:
    """Logits on each micrograph of a store.

    Attributes:
        positions: Highest logit near each position.
        peaks: Logits of peaks away from labels, descending; empty on micrographs without positions.
    """

    positions: Sequence[Float[np.ndarray, " _"]]
    peaks: Sequence[Float[np.ndarray, " _"]]


def score_store(
    scorer: Scorer,
    store: PreparedStore,
    positions_px: Sequence[Float[np.ndarray, "_ 2"]],
    settings: TrainSettings,
    partner: EnsemblePartner | None = None,
) -> StoreScores:
    """Score positions (x, y), and the peaks away from labels on the same micrographs.

    Args:
        scorer: The network, on the device to use.
        store: Prepared micrographs with all labels.
        positions_px: Positions on each of them, in working pixels.
        settings: Settings of the training.
        partner: Ensemble partner of the network, if any.
    """
    device = next(scorer.parameters()).device
    network = extract_network(scorer)
    step_px = default_step_px(network.stride_px)
    number_format = resolve_precision("auto", device)  # as in picking
    ensemble = optimize_ensemble(network, partner, number_format, device, step_px=step_px)
    diameter_px = settings.diameter_ang / settings.working_size_ang
    positions, peaks = [], []
    for number, xy_px in enumerate(positions_px):
        if not len(xy_px):
            positions.append(np.zeros(0))
            peaks.append(np.zeros(0))
            continue
        image = load_micrograph(store.folder, number).image
        scores = filter_if_elongated(compute_ensemble_score_map(ensemble, image), settings.sides_px)
        positions.append(_find_highest(scores, xy_px, _WITHIN_DIAMETERS * diameter_px))
        apart_px = _APART_DIAMETERS * diameter_px
        peaks.append(_find_peaks(scores, store.labels_px[number], apart_px))
    return StoreScores(positions, peaks)


def translate_scores(
    logits: Float[np.ndarray, " labels"],
    peaks: Float[np.ndarray, " peaks"],
    other_peaks: Float[np.ndarray, " others"],
) -> Float[np.ndarray, " labels"]:
    """Express scores of one network on the scale of another, by the peaks of equal rank.

    Args:
        logits: Scores of the first network.
        peaks: Its scores at the peaks on some micrographs.
        other_peaks: Scores of the other network at its peaks on the same micrographs.

    Returns:
        The scores plus the mean difference of the peaks whose scores are about as high; unchanged
        if there are few peaks.
    """
    count = min(len(peaks), len(other_peaks))
    if count < _MIN_PEAKS:
        return logits
    first, other = (np.sort(values)[::-1][:count] for values in (peaks, other_peaks))
    doubling = _FIRST_GROUP * 2 ** np.arange(count.bit_length())
    starts = np.append(0, doubling[doubling <= count - _FIRST_GROUP])
    sizes = np.diff(np.append(starts, count))
    mean, other_mean = (np.add.reduceat(values, starts) / sizes for values in (first, other))
    return logits + np.interp(logits, mean[::-1], (other_mean - mean)[::-1])


def _find_highest(
    scores: ScoreMap, xy_px: Float[np.ndarray, "positions 2"], within_px: float
) -> Float[np.ndarray, " positions"]:
    """Return the highest logit within a distance of each position."""
    reach = int(within_px / scores.step_px)
    offset = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    offset = offset[:, np.hypot(*offset) * scores.step_px <= within_px]
    centre = np.rint(xy_px[:, ::-1].T / scores.step_px).astype(int)
    row, column = (
        np.clip(axis[:, None] + shift, 0, length - 1)
        for axis, shift, length in zip(centre, offset, scores.logits.shape, strict=True)
    )
    return scores.logits[row, column].max(axis=1).astype(np.float64)


def _find_peaks(
    scores: ScoreMap, labels_px: Float[np.ndarray, "labels 2"], apart_px: float
) -> Float[np.ndarray, " peaks"]:
    """Return the logits of the peaks that are away from labels, descending."""
    from scipy.spatial import cKDTree

    step = float(scores.step_px)
    peaks = suppress_non_maxima(scores.logits, radius=apart_px, spacing_yx=(step, step))
    distance_px, _ = cKDTree(labels_px).query(peaks[:, ::-1] * step)
    return scores.logits[tuple(peaks[distance_px > apart_px].T)].astype(np.float64)
