"""What stands out of a micrograph, to learn from before the labels.

A few labels leave a network of random weights many ways to be right about them, and some are wrong
about everything else. One that has learnt first to tell what stands out begins near a sensible
way, and the labels, which come after, say which of it are particles.

- `propose`: the store whose labels are what stands out most, and the prior that goes with it.
"""

from dataclasses import replace

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.evaluate.matching import is_near
from cryopick.picks import evenly
from cryopick.preprocess.blobs import standing_out
from cryopick.preprocess.store import Store, Stored, load_micrograph
from cryopick.runs.parallel import in_order
from cryopick.train.head_fit import peaks_of
from cryopick.train.prior import unlabelled_prior
from cryopick.train.settings import TrainSettings

__all__ = ["propose"]

_SHARE = 0.5  # of the particles that are expected: what stands out most is likeliest to be one
_MOST = 16  # micrographs with labels that are looked at, and as many of all


def propose(store: Store, settings: TrainSettings) -> tuple[Store, float]:
    """The same micrographs, some of them with what stands out most in place of their labels.

    Args:
        store: Prepared micrographs with labels; places labelled as no particle are not proposed.
        settings: Of the run; half as many places are proposed as particles are expected.

    Returns:
        The store, and the share of positives among the regions that are not proposed.

    Raises:
        SettingsError: The particles would cover the micrographs.
    """
    particles = settings.particles_per_micrograph or 1.0
    diameter_px = settings.diameter_ang / settings.working_size_ang
    labelled = np.flatnonzero([len(own) > 0 for own in store.labels_px])
    some = labelled[evenly(len(labelled), _MOST)]
    chosen = np.union1d(some, evenly(len(store), _MOST)).tolist()
    seen = [(number, load_micrograph(store.folder, number)) for number in chosen]
    merits = list(in_order(lambda one: _standing_out(one[1], diameter_px), seen))
    at_labels = [_at(m, store.labels_px[n]) for m, n in zip(merits, chosen, strict=True)]
    sign = -1.0 if np.median(np.concatenate(at_labels)) < 0 else 1.0

    def best(place: int) -> Float[np.ndarray, "_ 2"]:
        number, own = seen[place]
        merit, usable = torch.from_numpy(sign * merits[place]), torch.from_numpy(own.usable)
        xy_px = peaks_of(merit, diameter_px / 2, usable)[:, ::-1].astype(np.float64)
        if store.negatives_px:
            xy_px = xy_px[~is_near(xy_px, store.negatives_px[number], diameter_px / 2)]
        return xy_px[: max(1, round(_SHARE * particles))]

    proposed = [np.zeros((0, 2)) for _ in store.labels_px]
    for number, xy_px in zip(chosen, in_order(best, range(len(seen))), strict=True):
        proposed[number] = xy_px
    store = replace(store, labels_px=tuple(proposed))
    prior = unlabelled_prior(
        particles=max(particles * len(store), store.labelled + 1),
        labelled=store.labelled,
        radius_px=settings.sampling.label_radius_px,
        usable_px=sum(store.usable_px),
    )
    return store, prior


def _standing_out(micrograph: Stored, diameter_px: float) -> np.ndarray:
    """How much each pixel stands out, where particles are dark."""
    return standing_out(-micrograph.image, micrograph.usable, diameter_px=diameter_px)


def _at(merit: np.ndarray, xy_px: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, " points"]:
    last = np.array(merit.shape) - 1
    y, x = np.clip(np.rint(xy_px[:, ::-1]), 0, last).astype(int).T
    return merit[y, x]
