"""Labels along elongated particles.

At the scale of elongated particles the network scores their whole length, and the filter of
`cryopick.pick.elongated` finds their centres. A label marks the centre only, so that the rest of
the particle would count as unlabelled, and training would teach the network to score it low. Each
label is therefore replaced by several along the particle, whose direction follows from the scores.

- `spread_labels`: labels along the particles, and settings that count them.
"""

from dataclasses import replace

import numpy as np

from cryopick.array_types import Float
from cryopick.inference.engine import optimize_ensemble
from cryopick.inference.score_map import compute_ensemble_score_map
from cryopick.model.device import CPU
from cryopick.model.model_file import Model
from cryopick.pick.elongated import find_axes
from cryopick.pick.picker import default_step_px
from cryopick.preprocess.prepared_store import PreparedStore, load_micrograph
from cryopick.train.settings import GENERAL, TrainSettings
from cryopick.train.weight_average import choose_start_weight

__all__ = ["spread_labels"]

# Weight of the network before fine-tuning: labels along particles teach less than they seem to.
_MIN_START_WEIGHT = 1.0
_POSITIONS = (-0.34, -0.17, 0.0, 0.17, 0.34)  # of the labels on a particle, in lengths


def spread_labels(
    store: PreparedStore, settings: TrainSettings, model: Model
) -> tuple[PreparedStore, TrainSettings]:
    """Replace each label on an elongated particle by several along it.

    Args:
        store: Prepared micrographs with one label per particle.
        settings: Settings of the training.
        model: Initial model, whose scores show the direction of each particle.

    Returns:
        The store with all labels, and the settings with the particle count times the labels per
        particle; both unchanged if the particles are not elongated.
    """
    if settings.sides_px is None:
        return store, settings
    step_px = default_step_px(model.network.stride_px)
    ensemble = optimize_ensemble(model.network, model.partner, "float32", CPU, step_px=step_px)
    length_px, width_px = settings.sides_px
    labels_px = []
    for number, xy_px in enumerate(store.labels_px):
        if not len(xy_px):
            labels_px.append(xy_px)
            continue
        image = load_micrograph(store.folder, number).image
        scores = compute_ensemble_score_map(ensemble, image)
        centre, direction = find_axes(scores, xy_px, length_px=length_px, width_px=width_px)
        labels_px.append(_place_along(centre, direction, length_px, image.shape))
    particles = settings.particles_per_micrograph
    assert particles is not None, "was estimated"
    counted = replace(settings, particles_per_micrograph=particles * len(_POSITIONS))
    if settings.init == GENERAL:  # several labels on a particle are no more evidence than one
        weight = choose_start_weight(settings, store.label_count)
        if settings.general_model_weight is None:
            weight = max(_MIN_START_WEIGHT, weight)
        counted = replace(counted, general_model_weight=weight)
    return replace(store, labels_px=tuple(labels_px)), counted


def _place_along(
    centre_px: Float[np.ndarray, "labels 2"],
    direction: Float[np.ndarray, "labels 2"],
    length_px: float,
    shape: tuple[int, ...],
) -> Float[np.ndarray, "points 2"]:
    """Place points along the particles, without those outside the image."""
    offset = np.array(_POSITIONS) * length_px
    points = (centre_px[:, None] + offset[:, None] * direction[:, None]).reshape(-1, 2)
    is_inside = ((points >= 0) & (points <= np.array(shape[::-1]) - 1)).all(axis=1)
    return points[is_inside]
