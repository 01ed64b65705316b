"""Initial weights of a training, and the default settings that depend on them.

With "general", both networks of the general model are fine-tuned: the last layer of the first is
fitted to the labels, then all layers are trained, and the weights before and after are averaged.
With the path of a model, that model's network is fine-tuned without the first and the last of these
steps, and its partner is left as it is.

- `find_initial_model`: the model file of an `init` setting.
- `choose_training_settings`: default settings of a training.
- `choose_model_settings`: those that depend on the model.
- `choose_step_count`: number of steps from random weights for a number of labels.
- `choose_tuning_step_count`: number of steps from the general model.
- `Initialization`, `load_initialization`: the initial network and its ensemble partner.
- `count_trained_networks`: number of networks that an `init` setting trains.
- `load_centre_offset`: displacement of the picks of an initial model.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryopick.model.architectures import ENCODER_DECODER
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.model.networks import Scorer
from cryopick.preprocess.prepared_store import PreparedStore
from cryopick.train.elongated_labels import spread_labels
from cryopick.train.head_fit import (
    find_store_candidates,
    fit_head,
    read_head_weights,
    replace_head,
)
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import GENERAL, PEAKS, RANDOM, TrainSettings

__all__ = [
    "Initialization",
    "choose_model_settings",
    "choose_step_count",
    "choose_training_settings",
    "choose_tuning_step_count",
    "count_trained_networks",
    "find_initial_model",
    "load_centre_offset",
    "load_initialization",
]

_STEPS_PER_LABEL = 12
_MIN_STEPS = 200
_MAX_STEPS = 900
_WARM_UP_STEPS = 200
_SPECTRAL_AUGMENTATION = 0.2
_FINE_TUNING_STEPS = 200  # from a model that is not the general one
_FINE_TUNING_RATE = 1e-3
_MIN_TUNING_STEPS = 40  # from the general model
_LABELS_PER_TUNING_STEP = 12
_DEFAULT_TUNING_STEPS = 60  # for an unknown number of labels
_MAX_TUNING_STEPS = 200
_TUNING_RATE = 5e-4
_TUNING_CONTRAST = 0.1
_WINDOW_GRID_PX = 128  # side of the scored part of a window
_WINDOWS = 2  # around labels in a minibatch, and as many at random positions
_MIN_PATCH_PX = 96  # of two receptive fields; smaller networks use the default patch


@dataclass(frozen=True)
class Initialization:
    """Initial weights of a training, and the labels and settings to train them with.

    Attributes:
        store: Prepared micrographs. Those of elongated particles have several labels on each.
        settings: Settings of the training; `particles_per_micrograph` counts such labels.
        scorer: Network to fine-tune; None for random weights.
        partner: Ensemble partner of the trained network, if any.
        partner_settings: Settings of the partner's training; None if it is not trained.
    """

    store: PreparedStore
    settings: TrainSettings
    scorer: Scorer | None = None
    partner: EnsemblePartner | None = None
    partner_settings: TrainSettings | None = None

    def change_settings(self, **changes: Any) -> "Initialization":  # noqa: ANN401  # their values
        """Return the initialization with fields of the settings of all networks changed."""
        partner = self.partner_settings and replace(self.partner_settings, **changes)
        return replace(self, settings=replace(self.settings, **changes), partner_settings=partner)


def find_initial_model(init: str) -> Path | None:
    """Return the model file of an `init` setting; None for random weights."""
    if init == RANDOM:
        return None
    return GENERAL_MODEL if init == GENERAL else Path(init)


def load_initialization(settings: TrainSettings, store: PreparedStore) -> Initialization:
    """Load the initial network; the last layer of the general model is fitted to the labels.

    Args:
        settings: Settings of the training, with the number of particles.
        store: Prepared micrographs with labels.

    Raises:
        InputError: The model is missing.
        FormatError: The file is not a cryopick model.
    """
    file = find_initial_model(settings.init)
    if file is None:
        return Initialization(store, settings)
    model = load_model(file)
    if settings.objective == PEAKS:
        store, settings = spread_labels(store, settings, model)
    if settings.init != GENERAL:
        return Initialization(store, settings, model.scorer, model.partner)
    return Initialization(
        store,
        settings,
        _fit_last_layer(model, settings, store),
        model.partner,
        None if model.partner is None else _choose_partner_settings(settings, model.partner),
    )


def _choose_partner_settings(settings: TrainSettings, partner: EnsemblePartner) -> TrainSettings:
    """Choose the settings to fine-tune the partner of the general network with."""
    scorer = partner.scorer
    sampling = replace(settings.sampling, patch_px=scorer.receptive_field_px + _WINDOW_GRID_PX)
    return replace(settings, network=scorer.settings, sampling=sampling)


def count_trained_networks(init: str) -> int:
    """Return the number of networks that a training fine-tunes or trains."""
    return 2 if init == GENERAL and load_model(GENERAL_MODEL).partner is not None else 1


def load_centre_offset(init: str) -> tuple[float, float]:
    """Return the mean displacement of the peaks of an initial model; fine-tuning keeps it."""
    file = find_initial_model(init)
    return (0.0, 0.0) if file is None else load_model(file).centre_offset_px


def _fit_last_layer(model: Model, settings: TrainSettings, store: PreparedStore) -> Scorer:
    """Return the network of a model with its last layer fitted to the labels."""
    number = settings.particles_per_micrograph
    if model.head_spread is None or not number or not store.label_count:
        return model.scorer
    candidates = find_store_candidates(model.scorer, store, diameter_px=model.diameter_px)
    head = fit_head(
        candidates,
        read_head_weights(model.scorer),
        model.head_spread,
        particles=number * candidates.micrographs,
    )
    return replace_head(model.scorer, head)


def choose_model_settings(init: str, model: Model, diameter_ang: float | None) -> dict[str, Any]:
    """Choose fields of `TrainSettings` for a model.

    Args:
        init: The setting.
        model: The model that it names.
        diameter_ang: Diameter of the particles, if it is known.
    """
    defaults: dict[str, Any] = {"normalization": model.normalization.kind}
    if diameter_ang is not None and init != GENERAL:
        scale_ang = model.scale_for(diameter_ang)
        defaults["working_pixel_size_ang"] = scale_ang / model.diameter_px
        if model.scale_ang is not None:
            defaults["scale_ang"] = scale_ang
        if model.width_ang is not None:
            defaults["width_ang"] = model.width_ang * diameter_ang / model.diameter_ang
        if model.normalization.inverted:
            defaults["contrast"] = "bright"
    if init == GENERAL or model.scorer.settings.name == ENCODER_DECODER:
        return {
            **defaults,
            "network": model.scorer.settings,
            "objective": PEAKS,
            "steps": _DEFAULT_TUNING_STEPS,
            "learning_rate": _TUNING_RATE,
            "sampling": SamplingSettings(
                patch_px=model.scorer.receptive_field_px + _WINDOW_GRID_PX,
                unlabelled_patches=_WINDOWS,
                positive_patches=_WINDOWS,
                contrast=_TUNING_CONTRAST,
                noise=0.0,
            ),
        }
    two_fields_px = 2 * model.scorer.receptive_field_px
    return {
        **defaults,
        "network": model.scorer.settings,
        "steps": _FINE_TUNING_STEPS,
        "learning_rate": _FINE_TUNING_RATE,
        "sampling": SamplingSettings(
            patch_px=None if two_fields_px < _MIN_PATCH_PX else two_fields_px
        ),
    }


def choose_step_count(labels: int) -> int:
    """Choose the number of steps after the warm-up for training from random weights.

    With few labels, a long training overfits; with many, a short one does not use them.
    Decision 0013 and docs/results/pu-learning.md show both.

    >>> [choose_step_count(labels) for labels in (10, 50, 100, 1000)]
    [200, 600, 900, 900]
    """
    return min(max(_STEPS_PER_LABEL * labels, _MIN_STEPS), _MAX_STEPS)


def choose_tuning_step_count(labels: int) -> int:
    """Choose the number of steps of fine-tuning the general model.

    >>> [choose_tuning_step_count(labels) for labels in (12, 120, 1200, 12000)]
    [41, 50, 140, 200]
    """
    return min(_MIN_TUNING_STEPS + labels // _LABELS_PER_TUNING_STEP, _MAX_TUNING_STEPS)


def choose_training_settings(
    init: str, diameter_ang: float | None, *, labels: int | None = None, steps: int | None = None
) -> dict[str, Any]:
    """Choose the fields of `TrainSettings` that depend on the initial weights and the labels.

    Warm-up and spectral augmentation are for random weights only, not for fine-tuning.

    Args:
        init: The setting.
        diameter_ang: Diameter of the particles, if it is known.
        labels: Number of labels, if it is known.
        steps: Number of steps, if it is given.

    Raises:
        InputError: The model given as `init` is missing.
        FormatError: The file is not a cryopick model.
    """
    file = find_initial_model(init)
    if file is not None:
        chosen = {
            "init": init,
            "warm_up_steps": 0,
            **choose_model_settings(init, load_model(file), diameter_ang),
        }
        if chosen.get("objective") == PEAKS and labels is not None:
            chosen["steps"] = choose_tuning_step_count(labels)
        return chosen
    warm_up = _WARM_UP_STEPS if steps is None else min(_WARM_UP_STEPS, steps * 2 // 5)
    return {
        "init": init,
        "steps": warm_up + (TrainSettings.steps if labels is None else choose_step_count(labels)),
        "warm_up_steps": warm_up,
        "sampling": SamplingSettings(spectral_augmentation=_SPECTRAL_AUGMENTATION),
    }
