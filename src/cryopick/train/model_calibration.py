"""Calibrate the scores of a trained model on its training micrographs.

With complete labels on held-out micrographs, Platt scaling uses those. Otherwise the target of
each pick is the probability that the general model gives to its position, and the line is shifted
so that the probabilities sum to the estimated number of particles.

- `pick_for_calibration`: picks of the model on those micrographs.
- `calibrate_model`: a model with its calibration.
"""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from cryopick.array_types import Float
from cryopick.errors import SettingsError
from cryopick.evaluate.matching import match_picks
from cryopick.model.model_file import Model
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.regions import Regions
from cryopick.train.calibration_fit import (
    fit_platt_scaling,
    fit_platt_scaling_to_probabilities,
    solve_logit_shift,
)
from cryopick.train.particle_count import (
    LABEL_RADIUS_DIAMETERS,
    MIN_PARTICLES,
    GeneralModelSample,
    ParticleStatistics,
    pick_usable,
)
from cryopick.train.settings import TrainSettings

__all__ = ["calibrate_model", "pick_for_calibration"]

_SAME_PARTICLE_DIAMETERS = 0.25  # between picks of two models on one particle


def pick_for_calibration(
    model: Model,
    statistics: ParticleStatistics,
    settings: TrainSettings,
    device: torch.device,
    ignore: Regions,
) -> Picks | None:
    """Pick the micrographs that the calibration rests on, without calibration.

    Args:
        model: The trained model.
        statistics: Statistics of its training micrographs.
        settings: Settings of the training.
        device: Device to compute on.
        ignore: Regions to ignore.

    Returns:
        None if no micrograph can be used.
    """
    if statistics.sample is None:
        return None
    complete = statistics.complete
    names = statistics.sample.names if complete is None else complete.micrographs
    pick_settings = PickSettings(pixel_size_ang=settings.pixel_size_ang, threshold=-np.inf)
    paths = [Path(name) for name in names]
    picker = Picker.create(replace(model, calibration=None), pick_settings, device, paths, ignore)
    return pick_usable(picker, paths)


def calibrate_model(model: Model, picks: Picks | None, statistics: ParticleStatistics) -> Model:
    """Fit the calibration of a model; the order of its scores stays.

    Args:
        model: The trained model.
        picks: Its picks from `pick_for_calibration`.
        statistics: Statistics of its training micrographs.

    Returns:
        The model with its calibration, or without if there are too few particles. Its summary
        gets the estimated number of particles.
    """
    estimate = statistics.estimate
    expected = None if estimate is None else asdict(estimate)
    model = replace(model, summary={**model.summary, "estimated_particles": expected})
    sample, complete = statistics.sample, statistics.complete
    if picks is None or sample is None:
        return model
    if complete is None and sample.particles < MIN_PARTICLES:
        return model
    within_px = LABEL_RADIUS_DIAMETERS * sample.diameter_px
    try:
        if complete is not None:
            is_correct = match_picks(picks, complete, within_px) >= 0
            return replace(model, calibration=fit_platt_scaling(picks.score, is_correct))
        unlabelled = sample.select_unlabelled(picks)
        calibration = fit_platt_scaling_to_probabilities(
            unlabelled.score, _transfer_probabilities(unlabelled, sample)
        )
        offset = solve_logit_shift(calibration.slope * picks.score, sample.particles)
        return replace(model, calibration=replace(calibration, offset=offset))
    except (SettingsError, ValueError):  # the scores do not separate particles from the rest
        return model


def _transfer_probabilities(
    picks: Picks, sample: GeneralModelSample
) -> Float[np.ndarray, " picks"]:
    """Give picks of another model the probability of the general model's nearest pick."""
    from scipy.spatial import cKDTree

    probability = np.full(len(picks), sample.floor_probability)
    sample_rows = sample.picks.rows_by_micrograph()
    for name, rows in picks.rows_by_micrograph().items():
        neighbours = sample_rows[name]
        if len(neighbours) and len(rows):
            tree = cKDTree(sample.picks.xy_px[neighbours])
            distance_px, nearest = tree.query(picks.xy_px[rows])
            is_near = distance_px < _SAME_PARTICLE_DIAMETERS * sample.diameter_px
            probability[rows[is_near]] = sample.probability[neighbours[nearest[is_near]]]
    return probability
