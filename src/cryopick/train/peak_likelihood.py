"""Likelihood of labels on the peaks of a score map, the objective of fine-tuning.

Picking keeps only the peaks of a score map, so only peaks enter the objective. With g the
probability that the network gives to a peak, a labelled peak has the likelihood c g and an
unlabelled one 1 - c g, where c is the labelled fraction of the particles. An unlabelled peak is
therefore either no particle or a particle without a label. With few labels, unlabelled peaks
hardly matter one by one, but their expected number of particles does.

- `PeakLikelihood`: the objective for the labels of a store.
- `evaluate_peak_likelihood`: its value from the logits of both kinds of peaks.
- `find_highest_nearby`: score of a label at each point of score maps.
- `find_map_peaks`: maxima of score maps, as a mask.

Source: Elkan and Noto 2008, "Learning classifiers from only positive and unlabeled data", KDD.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from cryopick.array_types import Bool, Float, Int64
from cryopick.model.geometry import Geometry
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.objectives import ObjectiveTerms
from cryopick.train.prior import compute_disc_area
from cryopick.train.sampling import POSITIVE, UNLABELLED

__all__ = [
    "PeakLikelihood",
    "PeakTerms",
    "evaluate_peak_likelihood",
    "find_highest_nearby",
    "find_map_peaks",
]

_MISLABELLED = 0.02  # probability of a wrong label, so that a single one has limited influence
_MAX_LABELLED_FRAC = 0.95
_LABEL_REACH = 1  # steps of the grid within which a label takes the highest score
_FLOOR = -8.0  # minimum score of peaks


@dataclass(frozen=True)
class PeakTerms:
    """The objective on one minibatch, and the mean predictions behind it.

    Attributes:
        objective: Value to minimize, and its term for unlabelled peaks.
        positive_rate: Mean probability at labels.
        unlabelled_rate: Mean probability at unlabelled peaks.
        prior: Fraction of particles among the unlabelled peaks, from the expected count.
    """

    objective: ObjectiveTerms
    positive_rate: Tensor
    unlabelled_rate: Tensor
    prior: float


@dataclass(frozen=True)
class PeakLikelihood:
    """The objective for the labels of a store.

    Attributes:
        labelled_frac: c, the labelled fraction of the particles on micrographs with labels.
        labels_per_cell: Labels per unlabelled point of the grid of scores on these micrographs.
        reach: Half of the side of the square within which a peak is the maximum, in steps.
    """

    labelled_frac: float
    labels_per_cell: float
    reach: int

    @classmethod
    def for_store(
        cls,
        store: PreparedStore,
        geometry: Geometry,
        *,
        particles_per_micrograph: float,
        diameter_px: float,
        exclusion_px: float,
    ) -> "PeakLikelihood":
        """Compute the constants of the objective.

        Args:
            store: Prepared micrographs with labels.
            geometry: Grid of the scores.
            particles_per_micrograph: Expected number of particles, labelled or not.
            diameter_px: Particle diameter in working pixels.
            exclusion_px: Distance from a label within which no score counts as unlabelled.
        """
        labelled = [number for number, xy_px in enumerate(store.labels_px) if len(xy_px)]
        area_px = sum(store.usable_px[number] for number in labelled)
        excluded_px = store.label_count * compute_disc_area(exclusion_px)
        cells = max(area_px - excluded_px, 0.1 * area_px) / geometry.stride_px**2
        particles = particles_per_micrograph * len(labelled)
        return cls(
            labelled_frac=min(store.label_count / particles, _MAX_LABELLED_FRAC),
            labels_per_cell=store.label_count / cells,
            reach=max(1, int(diameter_px / 2 / geometry.stride_px)),
        )

    def evaluate(
        self,
        logits: Float[Tensor, "batch rows columns"],
        indices: Mapping[int, Int64[Tensor, " scores"]],
    ) -> PeakTerms:
        """Evaluate the objective on a minibatch of windows.

        Args:
            logits: Scores of the windows.
            indices: Indices of the labels and of the unlabelled points in the flat scores.
        """
        flat = logits.flatten()
        positive = find_highest_nearby(logits).flatten()[indices[POSITIVE]]
        is_peak = find_map_peaks(logits, self.reach).flatten()[indices[UNLABELLED]]
        unlabelled = flat[indices[UNLABELLED]][is_peak]
        labels = self.labels_per_cell * len(indices[UNLABELLED])  # expected in these windows
        peaks_per_label = len(unlabelled) / labels
        terms = evaluate_peak_likelihood(
            positive,
            unlabelled,
            labelled_frac=self.labelled_frac,
            peaks_per_label=peaks_per_label,
        )
        others = (1 - self.labelled_frac) / self.labelled_frac  # unlabelled particles per label
        return PeakTerms(
            terms,
            torch.sigmoid(positive.detach()).mean(),
            torch.sigmoid(unlabelled.detach()).sum() / max(len(unlabelled), 1),
            min(others / max(peaks_per_label, others, 1e-9), 0.99),
        )


def evaluate_peak_likelihood(
    positive: Float[Tensor, " p"],
    unlabelled: Float[Tensor, " u"],
    *,
    labelled_frac: float,
    peaks_per_label: float,
) -> ObjectiveTerms:
    """Compute the negative log-likelihood per label.

    With ε the probability of a wrong label, M unlabelled peaks and N labels:

        -E_P[log(g + ε)] - M/N E_U[log(1 - c g)]

    Args:
        positive: Logits at labels.
        unlabelled: Logits of unlabelled peaks; may be empty.
        labelled_frac: c, the labelled fraction of the particles.
        peaks_per_label: M/N.
    """
    on_labels = -torch.log(torch.sigmoid(positive) + _MISLABELLED).mean()
    losses = -torch.log1p(-labelled_frac * torch.sigmoid(unlabelled))
    on_peaks = peaks_per_label * losses.sum() / max(len(unlabelled), 1)
    return ObjectiveTerms(on_labels + on_peaks, on_peaks)


def find_highest_nearby(
    logits: Float[Tensor, "batch rows columns"],
) -> Float[Tensor, "batch rows columns"]:
    """Return the highest score at each point and its neighbours: that of a label put there."""
    side = 2 * _LABEL_REACH + 1
    return max_pool2d(logits[:, None], side, stride=1, padding=_LABEL_REACH)[:, 0]


def find_map_peaks(
    logits: Float[Tensor, "batch rows columns"], reach: int
) -> Bool[Tensor, "batch rows columns"]:
    """Find the maxima of score maps within a square of side 2 · reach + 1 around each."""
    values = logits.detach()
    maxima = max_pool2d(values[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
    return (values == maxima) & (values > _FLOOR)
