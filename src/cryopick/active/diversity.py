"""Distances between candidates in feature space.

- `standardize_features`: feature vectors of equal length and comparable features.
- `compute_typical_distance`: median distance of two vectors.
- `compute_novelty`: distance to the nearest of other vectors, in units of the typical one.
"""

import math

import numpy as np

from cryopick.array_types import Float, Shaped

__all__ = ["compute_novelty", "compute_typical_distance", "standardize_features"]

_SAMPLE = 512  # vectors at a time, and for the typical distance

Vectors = Shaped[np.ndarray, "vectors features"]
Others = Shaped[np.ndarray, "others features"]


def standardize_features(features: Vectors, labelled: Others) -> tuple[Vectors, Others]:
    """Standardize features over the candidates, and scale every vector to length 1.

    So neither a feature of large values nor high contrast determines the distances.

    Args:
        features: Feature vectors of the candidates.
        labelled: Feature vectors of positions labelled or suggested before.
    """
    if not len(features):
        return features, labelled
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 1e-6 * np.abs(mean) + 1e-12, deviation, np.inf)
    return _normalize((features - mean) / scale), _normalize((labelled - mean) / scale)


def _normalize(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def compute_typical_distance(features: Vectors) -> float:
    """Compute the median distance of two different vectors of a sample; 1 if all are equal."""
    sample = features[:: max(1, math.ceil(len(features) / _SAMPLE))]
    distances = np.linalg.norm(sample[:, None] - sample, axis=2)
    distances = distances[np.triu_indices(len(sample), 1)]
    distances = distances[distances > 0]
    return float(np.median(distances)) if len(distances) else 1.0


def compute_novelty(
    features: Vectors, others: Others, typical: float
) -> Float[np.ndarray, " vectors"]:
    """Compute the distance of each vector to the nearest of others, 1 from the typical one on.

    A vector beyond the typical distance is an outlier rather than new, and counts no more.
    """
    squares = np.square(features).sum(axis=1)
    nearest = np.full(len(features), np.inf)
    for start in range(0, len(others), _SAMPLE):
        block = others[start : start + _SAMPLE]
        distances = squares[:, None] + np.square(block).sum(axis=1) - 2 * features @ block.T
        nearest = np.minimum(nearest, distances.min(axis=1))
    return np.minimum(1.0, np.sqrt(np.maximum(nearest, 0.0)) / typical)
