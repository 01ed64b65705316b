"""Fit the general model's last layer to a few labels.

What its features say of a place holds for particles of every kind; how they are weighed differs
from kind to kind. From many simulated kinds it is known how the weights vary, which leaves so
little to learn that ten labels teach it something. The weights are those of greatest
probability, given how they vary and which candidates are labelled: a candidate without a label
is no particle, or one that nobody has labelled.

- `Candidates`, `candidates`, `candidates_on`: the peaks of a network's scores, with its features
  there.
- `peaks_of`: those peaks.
- `owners`: which of them belongs to which particle.
- `head_of`, `with_head`: a network's last layer, and the same network with another.
- `fit_head`: the weights that suit labels.

Source: Elkan and Noto 2008, "Learning classifiers from only positive and unlabeled data", KDD,
for the likelihood; a Gaussian prior that is learnt from like problems is empirical Bayes.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from cryopick.array_types import Bool, Float, Float32, Integer
from cryopick.model.networks import Scorer
from cryopick.picks import evenly
from cryopick.preprocess.store import Store, load_micrograph

__all__ = [
    "Candidates",
    "candidates",
    "candidates_on",
    "fit_head",
    "head_of",
    "owners",
    "peaks_of",
    "with_head",
]

_FLOOR = -8.0  # lower peaks are no candidates
_RIGHT = 1 / 3  # diameters between a candidate and the label that it belongs to
_SLIP = 0.02  # share of labels beside a particle, so that a single one cannot lead astray
_SHARE = 0.2  # of the spread between simulated kinds, as real ones were found to need
_MOST = 32  # micrographs with labels that are looked at
_ROUNDS = 300


@dataclass(frozen=True, eq=False)
class Candidates:
    """Places that may be particles.

    Attributes:
        features: What the last layer sees there, with a 1 for its offset at the end.
        is_labelled: Which of them are labelled as particles.
        micrographs: How many micrographs they are from.
    """

    features: Float[np.ndarray, "candidates features"]
    is_labelled: Bool[np.ndarray, " candidates"]
    micrographs: int

    @classmethod
    def together(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Those of several micrographs."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.is_labelled for part in parts]),
            sum(part.micrographs for part in parts),
        )


def candidates(scorer: Scorer, store: Store, *, diameter_px: float) -> Candidates:
    """The candidates on micrographs with labels, and the labels that no candidate is near.

    Args:
        scorer: Network that finds them.
        store: Prepared micrographs with labels.
        diameter_px: Particle diameter in working pixels.
    """
    labelled = [number for number, own in enumerate(store.labels_px) if len(own)]
    found = []
    for place in evenly(len(labelled), _MOST).tolist():
        number = labelled[place]
        micrograph, labels = load_micrograph(store.folder, number), store.labels_px[number]
        own = candidates_on(
            scorer, micrograph.image, micrograph.usable, labels, diameter_px=diameter_px
        )
        found.append(own)
    return Candidates.together(found)


def candidates_on(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
    labels_px: Float[np.ndarray, "labels 2"],
    *,
    diameter_px: float,
    with_missed: bool = True,
) -> Candidates:
    """The candidates on one image.

    Args:
        scorer: Network that finds them.
        image: Prepared micrograph.
        usable: Where candidates may be.
        labels_px: Its labels (x, y).
        diameter_px: Particle diameter in the same pixels.
        with_missed: Whether labels that no candidate is near are candidates too.
    """
    seen, step = _seen(scorer, image, usable), scorer.stride_px
    peaks = peaks_of(seen.logits, diameter_px / 2 / step, seen.usable)
    xy_px = peaks[:, ::-1] * float(step)
    owner = owners(xy_px, labels_px, _RIGHT * diameter_px)
    wanted = np.arange(len(labels_px) if with_missed else 0)
    missed = np.setdiff1d(wanted, owner)
    last = np.array(seen.logits.shape) - 1
    added = np.clip(np.rint(labels_px[missed, ::-1] / step), 0, last).astype(np.int64)
    features = seen.at(np.concatenate([peaks, added]))
    return Candidates(features, np.concatenate([owner >= 0, np.ones(len(added), bool)]), 1)


def fit_head(
    found: Candidates,
    mean: Float[np.ndarray, " features"],
    spread: Float[np.ndarray, "features features"],
    *,
    particles: float,
) -> Float[np.ndarray, " features"]:
    """The most probable weights.

    With z the log-odds of a candidate, g the logistic function, c the share of particles that is
    labelled and ε a small number, the likelihood is the product of g(z) + ε over the labelled
    candidates and of 1 - c g(z) over the others.

    Args:
        found: Candidates, some of them labelled: a fair sample of the particles.
        mean: Weights that are expected.
        spread: A factor L of their covariance L Lᵀ between kinds of particles.
        particles: How many there are on these micrographs.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    labelled = found.is_labelled
    share = min(labelled.sum() / max(particles, 1.0), 0.999)
    turned = found.features @ spread * np.sqrt(_SHARE)
    start = found.features @ mean

    def loss(away: np.ndarray) -> tuple[float, np.ndarray]:
        g = expit(start + turned @ away)
        own, other = g[labelled], share * g[~labelled]
        value = -np.log(own + _SLIP).sum() - np.log1p(-other).sum() + away @ away / 2
        slope = np.empty_like(g)
        slope[labelled] = -own * (1 - own) / (own + _SLIP)
        slope[~labelled] = other * (1 - g[~labelled]) / (1 - other)
        return value, turned.T @ slope + away

    options = {"maxiter": _ROUNDS}
    best = minimize(loss, np.zeros(len(mean)), jac=True, method="L-BFGS-B", options=options)
    return mean + np.sqrt(_SHARE) * spread @ best.x


def head_of(scorer: Scorer) -> Float[np.ndarray, " features"]:
    """The weights of a network's last layer, its offset last."""
    weight, offset = scorer.head.weight.detach()[0], scorer.head.bias.detach()
    return torch.cat([weight, offset]).double().cpu().numpy()


def with_head(scorer: Scorer, head: Float[np.ndarray, " features"]) -> Scorer:
    """A copy of a network with these weights in its last layer, its offset last."""
    other = copy.deepcopy(scorer)
    with torch.no_grad():
        other.head.weight[0] = torch.from_numpy(head[:-1])
        other.head.bias[0] = float(head[-1])
    return other


def peaks_of(
    logits: Float[Tensor, "rows columns"],
    radius: float,
    usable: Bool[Tensor, "rows columns"] | None = None,
) -> Integer[np.ndarray, "peaks 2"]:
    """Rows and columns of scores that none in a square around them exceeds, best first.

    Args:
        logits: Scores on a grid.
        radius: Half of the square's side, in steps of the grid.
        usable: Where there may be peaks.
    """
    if usable is not None:
        logits = logits.masked_fill(~usable, -torch.inf)
    reach = int(radius)
    side = 2 * reach + 1  # along one axis after the other: a square at once takes longer
    along = max_pool2d(logits[None], (1, side), stride=1, padding=(0, reach))
    around = max_pool2d(along, (side, 1), stride=1, padding=(reach, 0))[0]
    cells = ((logits == around) & (logits > _FLOOR)).nonzero()
    order = logits[cells[:, 0], cells[:, 1]].argsort(descending=True, stable=True)
    return cells[order].cpu().numpy()


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a network makes of a micrograph."""

    features: Float[Tensor, "features rows columns"]
    logits: Float[Tensor, "rows columns"]
    usable: Bool[Tensor, "rows columns"]

    def at(self, cells: Integer[np.ndarray, "cells 2"]) -> Float[np.ndarray, "cells columns"]:
        """Features at places of the grid, with a 1 at the end."""
        rows, columns = torch.from_numpy(cells).to(self.features.device).T
        own = self.features[:, rows, columns].T.double().cpu().numpy()
        return np.column_stack([own, np.ones(len(own))])


def _seen(
    scorer: Scorer,
    image: Float32[np.ndarray, "height width"],
    usable: Bool[np.ndarray, "height width"],
) -> _Seen:
    """Features and scores of a whole prepared micrograph, from pixel (0, 0) on."""
    device = next(scorer.parameters()).device
    reach, step = scorer.receptive_field_px // 2, scorer.stride_px
    padded = pad(torch.from_numpy(image).to(device)[None, None], (reach,) * 4)
    with torch.inference_mode():
        features = scorer.eval().encode(padded)
        logits = scorer.classify(features)[0].float()
    allowed = torch.from_numpy(usable[::step, ::step].copy()).to(device)
    return _Seen(features[0].float(), logits, allowed)


def owners(
    xy_px: Float[np.ndarray, "peaks 2"], labels_px: Float[np.ndarray, "labels 2"], within_px: float
) -> Integer[np.ndarray, " peaks"]:
    """The label that each peak belongs to, -1 for none; a label has its best peak alone."""
    from scipy.spatial import cKDTree

    owner = np.full(len(xy_px), -1)
    if not len(labels_px):
        return owner
    gap, nearest = cKDTree(labels_px).query(xy_px)
    near = np.flatnonzero(gap <= within_px)
    first = near[np.unique(nearest[near], return_index=True)[1]]
    owner[first] = nearest[first]
    return owner
