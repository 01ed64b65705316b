"""Training of the denoiser on pairs of a noisy image and a target.

The target is another exposure of the same specimen, or the mean of many. The network that
minimises the mean squared error to either is the conditional mean of the specimen, which invents
no detail (Lehtinen et al. 2018, Noise2Noise, ICML).

- `Pair`, `PairSource`: training data.
- `DenoiserTrainingSettings`: settings of the training.
- `train_denoiser`: start or resume a training run.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from cryopick.array_types import Float32
from cryopick.denoise.network import DenoisingNetwork
from cryopick.denoise.settings import DenoiserTrainingSettings
from cryopick.model.torch_device import autocast_context
from cryopick.train.averaged_training import Checkpoint, StepProgress, run_steps
from cryopick.train.checkpoint import Checkpointed

__all__ = ["Pair", "PairSource", "train_denoiser"]

_WARM_UP_STEPS = 20
_HEADS_FRAC = 0.1  # learning rate of the heads, whose steps add up over all features
_BETAS = (0.9, 0.99)  # of AdamW
_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, eq=False)
class Pair:
    """A noisy image and its target, both normalised by the background of the noisy image.

    Attributes:
        noisy: Input of the network.
        target: Image that its output should equal.
        weights: Weights of the squared errors, or one for all pixels.
    """

    noisy: Float32[np.ndarray, "side side"]
    target: Float32[np.ndarray, "side side"]
    weights: Float32[np.ndarray, "rows columns"] = field(
        default_factory=lambda: np.ones((1, 1), np.float32)
    )


@runtime_checkable  # the tests check types as they are used
class PairSource(Protocol):
    """Training data of a run."""

    def draw(self, step: int, count: int) -> list[Pair]:
        """Draw the pairs of a step; the same for the same step."""
        ...


def train_denoiser(
    network: DenoisingNetwork,
    source: PairSource,
    settings: DenoiserTrainingSettings,
    checkpoint: Path,
    key: str,
    *,
    on_progress: Callable[[StepProgress], None] = lambda _: None,
) -> DenoisingNetwork:
    """Train a network, or resume an interrupted run.

    Args:
        network: Network to start from, on the device to compute on; trained in place.
        source: Training data.
        settings: Settings of the training.
        checkpoint: Training checkpoint; the run resumes from it if it exists.
        key: Identifies the settings and the data of the run.
        on_progress: Called at each checkpoint.

    Returns:
        A network with the moving average of the weights.

    Raises:
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
    heads = list(network.heads.parameters())
    others = [value for name, value in network.named_parameters() if not name.startswith("heads.")]
    optimizer = torch.optim.AdamW([{"params": heads}, {"params": others}], betas=_BETAS)
    average = AveragedModel(
        network, avg_fn=lambda mean, new, _: mean.lerp(new, 1 - settings.average)
    )
    parts: dict[str, Checkpointed] = {
        "network": network,
        "optimizer": optimizer,
        "average": average,
    }

    def train_step(step: int) -> Tensor:
        rate = settings.learning_rate * _schedule(step, settings)
        for group, frac in zip(optimizer.param_groups, (_HEADS_FRAC, 1.0), strict=True):
            group["lr"] = frac * rate
        loss = _train_step(network, optimizer, source.draw(step, settings.pairs))
        average.update_parameters(network)
        return loss

    device = next(network.parameters()).device
    run_steps(settings, Checkpoint(checkpoint, key, parts, device), train_step, on_progress)
    result = copy.deepcopy(average.module)
    assert isinstance(result, DenoisingNetwork)
    return result.eval()


def _train_step(
    network: DenoisingNetwork, optimizer: torch.optim.Optimizer, pairs: Sequence[Pair]
) -> Tensor:
    """Train on one minibatch and return its loss."""
    device = next(network.parameters()).device
    arrays = ((pair.noisy, pair.target, pair.weights) for pair in pairs)
    noisy, target, weights = (
        torch.from_numpy(np.stack(images))[:, None].to(device, memory_format=torch.channels_last)
        for images in zip(*arrays, strict=True)
    )
    with autocast_context(device):
        estimate: Tensor = network(noisy)
    loss: Tensor = (weights * (estimate.float() - target).square()).mean()
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT_NORM)
    optimizer.step()
    return loss


def _schedule(step: int, settings: DenoiserTrainingSettings) -> float:
    """Compute the learning rate of a step as a fraction of its maximum."""
    warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
    left = min(1.0, (settings.steps - step) / max(settings.falling_steps, 1))
    return warm_up * (left + (1 - left) * settings.final_rate_frac)
