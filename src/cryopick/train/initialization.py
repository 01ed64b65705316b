"""What a training run starts from: random weights, the general model, or any other.

From the general model, a network of random weights learns the labels, and the general one, its
last layer fitted to them (`head`), keeps a say beside it, the fewer they are the more
(`guide`). From a model of the user's, that model's own network learns on.

- `starting_file`: the model file that a name or a path means.
- `usual_settings`: the settings that suit a start from a model.
- `usual_steps`: the length of a training that suits a number of labels.
- `usual_training`: all settings that suit a training, where nothing is asked for.
- `Start`, `load_start`: the network to begin with, and the one that guides.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryopick.model.ensemble import Guide, guide_weight
from cryopick.model.model_file import GENERAL_MODEL, Model, load_model
from cryopick.model.networks import Scorer
from cryopick.preprocess.store import Store
from cryopick.train.head_fit import candidates, fit_head, head_of, with_head
from cryopick.train.sampling import SamplingSettings
from cryopick.train.settings import GENERAL, RANDOM, TrainSettings

__all__ = [
    "Start",
    "load_start",
    "starting_file",
    "usual_settings",
    "usual_steps",
    "usual_training",
]

_STEPS_A_LABEL = 12
_LEAST_STEPS = 200
_MOST_STEPS = 900
_PROPOSAL_STEPS = 200
_COLOUR = 0.2


@dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        scorer: The network to begin with; None for random weights.
        guide: The network that has a say beside the one that learns.
    """

    scorer: Scorer | None = None
    guide: Guide | None = None


def starting_file(init: str) -> Path | None:
    """The model file to start from; None for random weights."""
    if init == RANDOM:
        return None
    return GENERAL_MODEL if init == GENERAL else Path(init)


def load_start(settings: TrainSettings, store: Store) -> Start:
    """Read what a run starts from, a guide with its last layer fitted to the labels.

    Args:
        settings: Of the run; the number of particles is known.
        store: What it learns from.

    Raises:
        InputError: The model is missing.
        FormatError: It is no model of cryopick's.
    """
    file = starting_file(settings.init)
    if file is None:
        return Start()
    model = load_model(file)
    if settings.init != GENERAL:
        return Start(model.scorer, model.guide)
    weight = settings.guide_weight
    if weight is None:
        weight = guide_weight(store.labelled)
    return Start(guide=Guide(_fitted(model, settings, store), weight))


def _fitted(model: Model, settings: TrainSettings, store: Store) -> Scorer:
    """The network of a model with the last layer that suits the labels of a run."""
    number = settings.particles_per_micrograph
    if model.head_spread is None or not number or not store.labelled:
        return model.scorer
    found = candidates(model.scorer, store, diameter_px=model.diameter_px)
    head = fit_head(
        found, head_of(model.scorer), model.head_spread, particles=number * found.micrographs
    )
    return with_head(model.scorer, head)


def usual_settings(init: str, model: Model, diameter_ang: float | None) -> dict[str, Any]:
    """Fields of `TrainSettings` that suit a start from a model.

    Args:
        init: As in the settings.
        model: What it means.
        diameter_ang: Diameter of the particles to learn, if it is known already.
    """
    usual: dict[str, Any] = {"normalization": model.normalization.kind}
    if diameter_ang is not None:
        usual["working_pixel_size_ang"] = diameter_ang / model.diameter_px
    if init == GENERAL:
        return usual
    two_fields = 2 * model.scorer.receptive_field_px
    return {
        **usual,
        "network": model.scorer.settings,
        "steps": 200,
        "learning_rate": 1e-3,
        "sampling": SamplingSettings(patch_px=None if two_fields < 96 else two_fields),
    }


def usual_steps(labels: int) -> int:
    """Minibatches with labels that suit a training from random weights on so many of them.

    Few labels are soon learnt by heart; many have more to teach than the shortest training
    takes in. Decision 0013 and docs/results/pu-learning.md show both.

    >>> [usual_steps(labels) for labels in (10, 50, 100, 1000)]
    [200, 600, 900, 900]
    """
    return min(max(_STEPS_A_LABEL * labels, _LEAST_STEPS), _MOST_STEPS)


def usual_training(
    init: str, diameter_ang: float | None, *, labels: int | None = None, steps: int | None = None
) -> dict[str, Any]:
    """Fields of `TrainSettings` that suit a training: its lengths, its start, its minibatches.

    It begins with proposals, and varies the power at each frequency, save where a model of the
    user's learns on.

    Args:
        init: As in the settings.
        diameter_ang: Diameter of the particles to learn, if it is known already.
        labels: How many there are, if that is known.
        steps: All minibatches, where they are asked for.

    Raises:
        InputError: The model to start from is missing.
        FormatError: It is no model of cryopick's.
    """
    learns_anew = init in (RANDOM, GENERAL)
    early = _PROPOSAL_STEPS if steps is None else min(_PROPOSAL_STEPS, steps * 2 // 5)
    early = early if learns_anew else 0
    usual: dict[str, Any] = {
        "init": init,
        "steps": early + (TrainSettings.steps if labels is None else usual_steps(labels)),
        "proposal_steps": early,
        "sampling": SamplingSettings(colour=_COLOUR if learns_anew else 0.0),
    }
    start = starting_file(init)
    return usual | (usual_settings(init, load_model(start), diameter_ang) if start else {})
