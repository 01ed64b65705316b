"""Decisions that a training from the general model shares with picking.

- `choose_scale`: contrast, scale and width of the particles.
- `correct_centres`: displacement of the picks of a trained model.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.pick.centring import measure_centre_offset
from cryopick.pick.decisions import resolve_settings
from cryopick.pick.picker import Picker
from cryopick.pick.settings import PickSettings
from cryopick.train.settings import GENERAL, TrainSettings
from cryopick.train.training_run import TrainingRun
from cryopick.workflows.events import Events, Notice, NoticeCode

__all__ = ["choose_scale", "correct_centres"]


def choose_scale(
    settings: TrainSettings, paths: Sequence[Path], device: torch.device, events: Events
) -> TrainSettings:
    """Decide on contrast, scale and width as in picking, if the general model is fine-tuned.

    Args:
        settings: Settings of the training. With a `working_pixel_size_ang`, nothing is decided.
        paths: Training micrographs, of which the first few are scored.
        device: Device to compute on.
        events: Receiver of the decisions.
    """
    if settings.init != GENERAL or settings.working_pixel_size_ang is not None:
        return settings
    pick_settings = PickSettings(
        diameter_ang=settings.diameter_ang,
        width_ang=settings.width_ang,
        scale_ang=settings.scale_ang,
        contrast=settings.contrast,
        pixel_size_ang=settings.pixel_size_ang,
    )
    resolved, decisions = resolve_settings(load_model(GENERAL_MODEL), pick_settings, device, paths)
    for decision in decisions:
        events.emit(Notice(code=NoticeCode(decision.subject), message=decision.message))
    return replace(
        settings,
        contrast=resolved.contrast,
        diameter_ang=resolved.diameter_ang or settings.diameter_ang,
        width_ang=resolved.width_ang,
        scale_ang=resolved.scale_ang,
    )


def correct_centres(model: Model, run: TrainingRun, device: torch.device) -> Model:
    """Measure the displacement of the picks on the training micrographs, and store it."""
    if run.settings.init != GENERAL:
        return model
    pick_settings = PickSettings(pixel_size_ang=run.settings.pixel_size_ang)
    picker = Picker.create(model, pick_settings, device)
    offset_px = measure_centre_offset(picker, run.training.paths)
    return model if offset_px is None else replace(model, centre_offset_px=offset_px)
