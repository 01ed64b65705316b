"""Train a network on labelled tomograms, with the objectives for positive and unlabelled regions.

- `train_scorer`: train a network.
- `compute_prior`: fraction of positives among the unlabelled regions.
"""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from cryopick.errors import SettingsError
from cryopick.tomograms.network import FIELD_PX, STRIDE_PX, Scorer3d
from cryopick.tomograms.sampling import LabelledVolume, Windows, WindowSampler3d
from cryopick.tomograms.settings import TomogramTraining
from cryopick.train.objectives import evaluate_objective
from cryopick.train.optimizer import Adam
from cryopick.train.schedule import one_cycle_learning_rate

__all__ = ["compute_prior", "train_scorer"]

_MAX_PRIOR = 0.9
_INDEPENDENT_REGIONS = 240  # of a minibatch, as for micrographs: neighbouring scores are correlated
_AVERAGE_DECAY = 0.98  # of the moving average of the weights
_FINAL_DIVISOR = 1e4


def compute_prior(volumes: Sequence[LabelledVolume], number: int, expected: float) -> float:
    """Compute the fraction of positives of a class among the unlabelled regions, for radius 1.

    Multiplied by the volume of a ball of the label radius; the balls count as disjoint.

    Args:
        volumes: Labelled tomograms.
        number: Index of the class.
        expected: Expected particles in a tomogram, labelled or not.

    Raises:
        SettingsError: No particle would be unlabelled.
    """
    labelled = sum(len(volume.labels_px[number]) for volume in volumes)
    particles = expected * len(volumes)
    if particles <= labelled:
        raise SettingsError(
            f"{particles:g} particles of class {number + 1} are expected in all training "
            f"tomograms together, but {labelled} are labelled already; raise "
            "--particles-per-tomogram"
        )
    return (particles - labelled) / sum(volume.image.size for volume in volumes)


def train_scorer(
    volumes: Sequence[LabelledVolume],
    settings: TomogramTraining,
    *,
    device: torch.device,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Scorer3d:
    """Train a network; the result is the moving average of its weights.

    Args:
        volumes: Labelled tomograms at the working voxel size.
        settings: What to train and how.
        device: Device to compute on.
        on_step: Called after each step with its number and loss.

    Raises:
        SettingsError: A class has no labels, or the prior and the labels contradict each other, or
            the training diverges.
    """
    classes = len(volumes[0].labels_px)
    ball = 4 / 3 * math.pi * settings.label_radius_px**3
    priors = [
        compute_prior(volumes, number, settings.particles_per_tomogram) * ball
        for number in range(classes)
    ]
    if max(priors) >= _MAX_PRIOR:
        raise SettingsError("the expected particles would fill the tomograms; lower their number")
    sampler = WindowSampler3d(
        volumes=volumes,
        field_px=FIELD_PX,
        stride_px=STRIDE_PX,
        unlabelled_windows=settings.unlabelled_windows,
        positive_windows=settings.positive_windows,
        label_radius_px=settings.label_radius_px,
        max_turn_deg=settings.max_turn_deg,
        contrast=settings.contrast,
        seed=settings.seed,
    )
    torch.manual_seed(settings.seed)
    scorer = Scorer3d(classes, settings.width)
    scorer.initialize_head(float(np.mean(priors)))
    scorer.to(device).train()
    average = copy.deepcopy(scorer)
    optimizer = Adam(scorer.parameters())
    for step in range(settings.steps):
        windows = sampler.sample(step)
        logits = scorer(torch.from_numpy(windows.images).to(device))
        loss = _compute_loss(logits, windows, settings.objective, priors)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step(
            one_cycle_learning_rate(
                step / settings.steps,
                peak=settings.learning_rate,
                final=settings.learning_rate / _FINAL_DIVISOR,
                warm_up_frac=0.2,
            )
        )
        _update_average(average, scorer, min(_AVERAGE_DECAY, (step + 1) / (step + 10)))
        on_step(step + 1, loss.item())
    if not all(bool(value.isfinite().all()) for value in average.state_dict().values()):
        raise SettingsError("training diverged: the weights are not finite; lower --learning-rate")
    return average.eval()


def _compute_loss(
    logits: Tensor, windows: Windows, objective: str, priors: Sequence[float]
) -> Tensor:
    """Sum the objectives of all classes; labels of the others are known negatives."""
    positive = torch.from_numpy(windows.positive).to(logits.device)
    negative = torch.from_numpy(windows.negative).to(logits.device)
    unlabelled = torch.from_numpy(windows.unlabelled).to(logits.device)
    loss = logits.new_zeros(())
    for number, prior in enumerate(priors):
        scores = logits[:, number]
        free = scores[unlabelled]
        weight = None
        if objective == "ge-binomial":
            weight = min(1.0, _INDEPENDENT_REGIONS / max(len(free), 1))
        terms = evaluate_objective(
            objective, scores[positive[:, number]], free, prior=prior, weight=weight
        )
        others = positive.any(dim=1) & ~positive[:, number] | negative
        loss = loss + terms.total
        if bool(others.any()):
            loss = loss + softplus(scores[others]).mean()
    return loss


def _update_average(average: Scorer3d, scorer: Scorer3d, decay: float) -> None:
    """Move the average of the weights and of the batch statistics towards the network."""
    with torch.no_grad():
        current = scorer.state_dict()
        for name, value in average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])
