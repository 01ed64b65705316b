"""Warm-up of the training on blob detections instead of labels.

With a few labels, a network of random weights can fit the labels in many ways, and some of these
fail everywhere else. A network that first learns to detect blobs of the particle's size starts
near a sensible solution; the labels then select the particles among the blobs.

- `label_blobs`: a store whose labels are blob detections, and the class prior for it.
"""

from dataclasses import replace

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.evaluate.matching import is_near
from cryopick.picks import choose_evenly
from cryopick.preprocess.blob_detection import multiscale_blob_response
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, load_micrograph
from cryopick.runs.parallel import map_in_order
from cryopick.train.head_fit import find_score_peaks
from cryopick.train.prior import compute_unlabelled_prior
from cryopick.train.settings import TrainSettings

__all__ = ["label_blobs"]

_LABELLED_FRAC = 0.5  # blobs per expected particle: the strongest ones are likely particles
_MAX_MICROGRAPHS = 16  # used with labels, and as many of all


def label_blobs(store: PreparedStore, settings: TrainSettings) -> tuple[PreparedStore, float]:
    """Replace the labels of some micrographs by their strongest blobs.

    Args:
        store: Prepared micrographs with labels; blobs near negative labels are excluded.
        settings: Settings of the training, with the expected number of particles.

    Returns:
        The store, and the fraction of positives among its unlabelled regions.

    Raises:
        SettingsError: The particles would cover the micrographs.
    """
    particles = settings.particles_per_micrograph or 1.0
    diameter_px = settings.diameter_ang / settings.working_size_ang
    labelled = np.flatnonzero([len(xy_px) > 0 for xy_px in store.labels_px])
    some_labelled = labelled[choose_evenly(len(labelled), _MAX_MICROGRAPHS)]
    chosen = np.union1d(some_labelled, choose_evenly(len(store), _MAX_MICROGRAPHS)).tolist()
    micrographs = [load_micrograph(store.folder, number) for number in chosen]
    responses = list(
        map_in_order(lambda micrograph: _detect_blobs(micrograph, diameter_px), micrographs)
    )
    at_labels = [_sample_at(r, store.labels_px[n]) for r, n in zip(responses, chosen, strict=True)]
    sign = -1.0 if np.median(np.concatenate(at_labels)) < 0 else 1.0

    def choose_strongest(index: int) -> Float[np.ndarray, "_ 2"]:
        response = torch.from_numpy(sign * responses[index])
        usable = torch.from_numpy(micrographs[index].usable)
        xy_px = find_score_peaks(response, diameter_px / 2, usable)[:, ::-1].astype(np.float64)
        if store.negatives_px:
            negatives_px = store.negatives_px[chosen[index]]
            xy_px = xy_px[~is_near(xy_px, negatives_px, diameter_px / 2)]
        return xy_px[: max(1, round(_LABELLED_FRAC * particles))]

    labels_px = [np.zeros((0, 2)) for _ in store.labels_px]
    blobs = map_in_order(choose_strongest, range(len(chosen)))
    for number, xy_px in zip(chosen, blobs, strict=True):
        labels_px[number] = xy_px
    store = replace(store, labels_px=tuple(labels_px))
    prior = compute_unlabelled_prior(
        particles=max(particles * len(store), store.label_count + 1),
        labelled=store.label_count,
        radius_px=settings.sampling.label_radius_px,
        usable_px=sum(store.usable_px),
    )
    return store, prior


def _detect_blobs(micrograph: StoredMicrograph, diameter_px: float) -> np.ndarray:
    """Compute the blob response of a micrograph, positive for dark particles."""
    return multiscale_blob_response(-micrograph.image, micrograph.usable, diameter_px=diameter_px)


def _sample_at(
    response: np.ndarray, xy_px: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, " points"]:
    """Look up the response at the nearest pixels of some points."""
    last = np.array(response.shape) - 1
    y, x = np.clip(np.rint(xy_px[:, ::-1]), 0, last).astype(int).T
    return response[y, x]
