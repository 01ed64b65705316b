"""Rank candidates and micrographs by how much a model would learn from their labels.

A label is worth most on a likely particle that the model is uncertain about, and that differs
from everything labelled or suggested before. At first, certain particles are suggested too.
Candidates are chosen one by one; the value of each depends on those chosen before:

    value = p (1 - p + s) / 2 * novelty / sqrt(1 + labels on its micrograph)

with p the probability that it is a particle, averaged over the eight test-time views;
s = 20 / (10 + labels so far), which is 2 at first and decreases; and novelty the distance of its
feature vector from the nearest labelled or chosen one, in units of the typical distance, at most 1.

- `CandidateFeatures`: scores and features of the candidates of a micrograph.
- `suggest_candidates`: the candidates to label, in order.
- `rank_micrographs`: the micrographs to label, in order.

Source: weighted farthest points, after Gonzalez 1985, Theor. Comput. Sci. 38:293, and Sener
and Savarese 2018, ICLR; p (1 - p) is the expected gradient length of a logistic model, as in
Settles et al. 2008, NIPS, if only positive labels are used for training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryopick.active.diversity import (
    compute_novelty,
    compute_typical_distance,
    standardize_features,
)
from cryopick.active.uncertainty import average_probability, compute_label_value
from cryopick.array_types import Float, Float32
from cryopick.picks import Picks, concatenate

__all__ = ["VALUE_COLUMN", "CandidateFeatures", "rank_micrographs", "suggest_candidates"]

VALUE_COLUMN = "acquisition_value"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateFeatures:
    """Scores and features of the candidates of a micrograph.

    Attributes:
        name: Name of the micrograph.
        xy_px: Centres (x, y) of the candidates, in raw pixels.
        score: Logit of each candidate as picked.
        logits: Logits of each candidate in the eight test-time views.
        features: Feature vector of each candidate.
        labelled: Feature vectors of positions labelled or suggested before.
    """

    name: str
    xy_px: Float[np.ndarray, "picks 2"]
    score: Float[np.ndarray, " picks"]
    logits: Float32[np.ndarray, "picks 8"]
    features: Float32[np.ndarray, "picks features"]
    labelled: Float32[np.ndarray, "labelled features"]


def suggest_candidates(
    micrographs: Sequence[CandidateFeatures], count: int, *, shift: float = 0.0, labels: int = 0
) -> Picks:
    """Choose candidates to label, in the order in which to label them.

    Args:
        micrographs: Candidates of each micrograph; no micrograph twice.
        count: Number of candidates to choose; all if there are fewer.
        shift: Shift of the logits, from `solve_count_shift`.
        labels: Labels so far, on any micrographs.

    Returns:
        The candidates with their scores as picked, and their values in the column
        `acquisition_value`, from 0 to 1 in descending order.
    """
    table = concatenate([Picks.for_micrograph(m.name, m.xy_px, m.score) for m in micrographs])
    probability = np.concatenate(
        [np.zeros(0), *(average_probability(m.logits, shift) for m in micrographs)]
    )
    features, labelled = _collect_features(micrographs)
    typical = compute_typical_distance(features)
    novelty = compute_novelty(features, labelled, typical)
    labels_on = np.array([len(m.labelled) for m in micrographs], np.float64)
    expected_labels, is_free = float(labels), np.ones(len(table), bool)
    chosen, values = [], []
    for _ in range(min(count, len(table))):
        value = compute_label_value(probability, expected_labels) * novelty
        value = value / np.sqrt(1 + labels_on[table.index])
        best = int(np.where(is_free, value, -1.0).argmax())
        chosen.append(best)
        values.append(float(value[best]))
        is_free[best] = False
        expected_labels += probability[best]
        labels_on[table.index[best]] += 1
        distance = compute_novelty(features, features[best : best + 1], typical)
        novelty = np.minimum(novelty, distance)
    picks = table.select(np.array(chosen, np.int64))
    return replace(picks, extra={VALUE_COLUMN: np.array(values)})


def rank_micrographs(
    micrographs: Sequence[CandidateFeatures], *, shift: float = 0.0, labels: int = 0
) -> list[int]:
    """Rank micrographs by how much a model would learn from labelling them.

    Each one is that whose candidates have the highest mean value and, on average, differ most
    from those of the micrographs before it. Micrographs with labels come last.

    Args:
        micrographs: Candidates of each micrograph.
        shift: Shift of the logits, from `solve_count_shift`.
        labels: Labels so far, on any micrographs.

    Returns:
        Indices of the micrographs, the first to label first.
    """
    features, _ = _collect_features(micrographs)
    ends = np.cumsum([len(m.score) for m in micrographs])
    means = np.zeros((len(micrographs), features.shape[1]), features.dtype)
    value = np.zeros(len(micrographs))
    for index, (micrograph, end) in enumerate(zip(micrographs, ends, strict=True)):
        if len(micrograph.score):
            means[index] = features[end - len(micrograph.score) : end].mean(axis=0)
            probability = average_probability(micrograph.logits, shift)
            value[index] = compute_label_value(probability, float(labels)).mean()
    typical = compute_typical_distance(means)
    is_labelled = np.array([len(m.labelled) > 0 for m in micrographs], bool)
    novelty = np.where(is_labelled, 0.0, compute_novelty(means, means[is_labelled], typical))
    order: list[int] = []
    for _ in micrographs:
        remaining = [index for index in range(len(micrographs)) if index not in order]
        best = max(remaining, key=lambda i: (value[i] * novelty[i], value[i], -i))
        order.append(best)
        novelty = np.minimum(novelty, compute_novelty(means, means[best : best + 1], typical))
    return order


def _collect_features(micrographs: Sequence[CandidateFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """Standardize the feature vectors of all candidates and all labelled positions."""
    width = micrographs[0].features.shape[1] if micrographs else 0
    none = np.zeros((0, width), np.float32)
    features = np.concatenate([none, *(m.features for m in micrographs)])
    labelled = np.concatenate([none, *(m.labelled for m in micrographs)])
    return standardize_features(features, labelled)
