"""Fit the last layer of the general model to a few labels.

The features of the general model hold for particles of every kind; their weights differ between
kinds. Many simulated kinds give the distribution of the weights, so that ten labels are enough to
fit them. The fit maximizes the posterior probability of the weights, given that distribution and
the labelled candidates; a candidate without a label is either no particle or an unlabelled one.

- `Candidates`: features of possible particles.
- `find_store_candidates`, `find_candidates`: the peaks of a network's scores.
- `find_score_peaks`: positions of those peaks.
- `match_peaks_to_labels`: the label of each peak.
- `read_head_weights`, `replace_head`: weights of a network's last layer.
- `fit_head`: the most probable weights.

Source: Elkan and Noto 2008, "Learning classifiers from only positive and unlabeled data", KDD,
for the likelihood; a Gaussian prior from similar problems is empirical Bayes.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from cryopick.array_types import Bool, Float, Float32, Integer
from cryopick.model.networks import Scorer
from cryopick.picks import choose_evenly
from cryopick.preprocess.prepared_store import PreparedStore, load_micrograph

__all__ = [
    "Candidates",
    "find_candidates",
    "find_score_peaks",
    "find_store_candidates",
    "fit_head",
    "match_peaks_to_labels",
    "read_head_weights",
    "replace_head",
]

_FLOOR = -8.0  # minimum score of candidates
_MATCH_DIAMETERS = 1 / 3  # between a candidate and its label
_MISLABELLED = 0.02  # probability of a wrong label, so that a single one has limited influence
_PRIOR_SCALE = 0.2  # of the covariance between simulated kinds, as found best on real ones
_MAX_MICROGRAPHS = 32  # used of those with labels
_MAX_ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class Candidates:
    """Features of possible particles.

    Attributes:
        features: Input of the last layer for each candidate, with a 1 for the bias at the end.
        is_labelled: Candidates that match a label.
        micrographs: Number of micrographs that they are from.
    """

    features: Float[np.ndarray, "candidates features"]
    is_labelled: Bool[np.ndarray, " candidates"]
    micrographs: int

    @classmethod
    def concatenate(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Join the candidates of several micrographs."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.is_labelled for part in parts]),
            sum(part.micrographs for part in parts),
        )


def find_store_candidates(
    scorer: Scorer, store: PreparedStore, *, diameter_px: float
) -> Candidates:
    """Find the candidates on micrographs with labels.

    Args:
        scorer: Network whose scores are used.
        store: Prepared micrographs with labels.
        diameter_px: Particle diameter in working pixels.
    """
    labelled = [number for number, xy_px in enumerate(store.labels_px) if len(xy_px)]
    parts = []
    for index in choose_evenly(len(labelled), _MAX_MICROGRAPHS).tolist():
        number = labelled[index]
        micrograph = load_micrograph(store.folder, number)
        peaks = _find_peaks_once(scorer, micrograph.image, micrograph.usable, diameter_px)
        parts.append(peaks.match(store.labels_px[number], diameter_px))
    return Candidates.concatenate(parts)


def find_candidates(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    labels_px: Float[np.ndarray, "labels 2"],
    *,
    diameter_px: float,
) -> Candidates:
    """Find the candidates on one image: the peaks of the scores.

    A label without a peak is no candidate. Its score is not a maximum, so that the fit would learn
    to tell maxima from other positions instead of other things from particles (decision 0019).

    Args:
        scorer: Network whose scores are used.
        image: Prepared micrograph.
        usable: Pixels where candidates may be.
        labels_px: Labels (x, y) on it.
        diameter_px: Particle diameter in the same pixels.
    """
    return _find_peaks(scorer, image, usable, diameter_px).match(labels_px, diameter_px)


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Peaks (x, y) of the scores of an image, in descending order, and their features."""

    xy_px: Float[np.ndarray, "peaks 2"]
    features: Float32[np.ndarray, "peaks features"]

    def match(self, labels_px: Float[np.ndarray, "labels 2"], diameter_px: float) -> Candidates:
        """Make candidates, of which some match labels; a 1 is appended to the features."""
        label_of = match_peaks_to_labels(self.xy_px, labels_px, _MATCH_DIAMETERS * diameter_px)
        ones = np.ones(len(self.features))
        return Candidates(np.column_stack([self.features, ones]), label_of >= 0, 1)


# A training applies the same network to the same micrographs for each fold of its labels.
_kept_peaks: dict[bytes, _Peaks] = {}


def _find_peaks_once(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    diameter_px: float,
) -> _Peaks:
    """Find the peaks of an image, or return those of the last calls."""
    content = hashlib.sha256(repr((scorer.settings, image.shape, diameter_px)).encode())
    weights = (value.detach().cpu().numpy() for value in scorer.state_dict().values())
    for array in (image, usable, *weights):
        content.update(np.ascontiguousarray(array).data)
    key = content.digest()
    peaks = _kept_peaks.get(key)
    if peaks is None:
        peaks = _find_peaks(scorer, image, usable, diameter_px)
        while len(_kept_peaks) >= _MAX_MICROGRAPHS:
            _kept_peaks.pop(next(iter(_kept_peaks)), None)
        _kept_peaks[key] = peaks
    return peaks


def _find_peaks(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    diameter_px: float,
) -> _Peaks:
    output, step = _apply(scorer, image, usable), scorer.stride_px
    peaks = find_score_peaks(output.logits, diameter_px / 2 / step, output.usable)
    return _Peaks(peaks[:, ::-1] * float(step), output.features_at(peaks))


def fit_head(
    candidates: Candidates,
    mean: Float[np.ndarray, " features"],
    factor: Float[np.ndarray, "features features"],
    *,
    particles: float,
) -> Float[np.ndarray, " features"]:
    """Find the most probable weights of the last layer.

    With z the log-odds of a candidate, g the logistic function, c the fraction of particles that
    is labelled and ε a small number, the likelihood is the product of g(z) + ε over the labelled
    candidates and of 1 - c g(z) over the others.

    Args:
        candidates: Candidates, some of them labelled: a random sample of the particles.
        mean: Prior mean of the weights.
        factor: Factor L of their covariance L Lᵀ between kinds of particles.
        particles: Number of particles on the micrographs of the candidates.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    labelled = candidates.is_labelled
    labelled_frac = min(labelled.sum() / max(particles, 1.0), 0.999)
    projected = candidates.features @ factor * np.sqrt(_PRIOR_SCALE)
    prior_log_odds = candidates.features @ mean

    def loss(change: np.ndarray) -> tuple[float, np.ndarray]:
        g = expit(prior_log_odds + projected @ change)
        positive, other = g[labelled], labelled_frac * g[~labelled]
        value = -np.log(positive + _MISLABELLED).sum() - np.log1p(-other).sum()
        slope = np.empty_like(g)
        slope[labelled] = -positive * (1 - positive) / (positive + _MISLABELLED)
        slope[~labelled] = other * (1 - g[~labelled]) / (1 - other)
        return value + change @ change / 2, projected.T @ slope + change

    options = {"maxiter": _MAX_ITERATIONS}
    best = minimize(loss, np.zeros(len(mean)), jac=True, method="L-BFGS-B", options=options)
    return mean + np.sqrt(_PRIOR_SCALE) * factor @ best.x


def read_head_weights(scorer: Scorer) -> Float[np.ndarray, " features"]:
    """Return the weights of a network's last layer, with the bias at the end."""
    weight, bias = scorer.head.weight.detach()[0], scorer.head.bias.detach()
    return torch.cat([weight, bias]).double().cpu().numpy()


def replace_head(scorer: Scorer, head: Float[np.ndarray, " features"]) -> Scorer:
    """Return a copy of a network with other weights in its last layer, the bias at the end."""
    other = copy.deepcopy(scorer)
    with torch.no_grad():
        other.head.weight[0] = torch.from_numpy(head[:-1])
        other.head.bias[0] = float(head[-1])
    return other


def find_score_peaks(
    logits: Float[Tensor, "rows columns"],
    radius: float,
    usable: Bool[Tensor, "rows columns"] | None = None,
) -> Integer[np.ndarray, "peaks 2"]:
    """Find the maxima of scores within a square around each, in descending order.

    Args:
        logits: Scores on a grid.
        radius: Half of the square's side, in steps of the grid.
        usable: Points where peaks may be.

    Returns:
        Row and column of each peak.
    """
    if usable is not None:
        logits = logits.masked_fill(~usable, -torch.inf)
    reach = int(radius)
    side = 2 * reach + 1  # one axis after the other is faster than a square
    along_rows = max_pool2d(logits[None], (1, side), stride=1, padding=(0, reach))
    maxima = max_pool2d(along_rows, (side, 1), stride=1, padding=(reach, 0))[0]
    cells = ((logits == maxima) & (logits > _FLOOR)).nonzero()
    order = logits[cells[:, 0], cells[:, 1]].argsort(descending=True, stable=True)
    return cells[order].cpu().numpy()


@dataclass(frozen=True, eq=False)
class _NetworkOutput:
    """Features and scores of a micrograph."""

    features: Float[Tensor, "features rows columns"]
    logits: Float[Tensor, "rows columns"]
    usable: Bool[Tensor, "rows columns"]

    def features_at(
        self, cells: Integer[np.ndarray, "cells 2"]
    ) -> Float32[np.ndarray, "cells features"]:
        """Return the features at points of the grid."""
        rows, columns = torch.from_numpy(cells).to(self.features.device).T
        return self.features[:, rows, columns].T.cpu().numpy()


def _apply(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
) -> _NetworkOutput:
    """Compute features and scores of a whole prepared micrograph, from pixel (0, 0) on."""
    device = next(scorer.parameters()).device
    halo, step = scorer.receptive_field_px // 2, scorer.stride_px
    padded = pad(torch.from_numpy(image).to(device)[None, None], (halo,) * 4)
    with torch.inference_mode():
        features = scorer.eval().encode(padded)
        logits = scorer.classify(features)[0].float()
    allowed = torch.from_numpy(usable[::step, ::step].copy()).to(device)
    return _NetworkOutput(features[0].float(), logits, allowed)


def match_peaks_to_labels(
    xy_px: Float[np.ndarray, "peaks 2"], labels_px: Float[np.ndarray, "labels 2"], within_px: float
) -> Integer[np.ndarray, " peaks"]:
    """Find the label of each peak, -1 for none; each label matches only its best peak.

    Args:
        xy_px: Peaks (x, y), in descending order of their scores.
        labels_px: Labels (x, y).
        within_px: Maximum distance between the two.
    """
    from scipy.spatial import cKDTree

    label_of = np.full(len(xy_px), -1)
    if not len(labels_px):
        return label_of
    distance_px, nearest = cKDTree(labels_px).query(xy_px)
    near = np.flatnonzero(distance_px <= within_px)
    first = near[np.unique(nearest[near], return_index=True)[1]]
    label_of[first] = nearest[first]
    return label_of
