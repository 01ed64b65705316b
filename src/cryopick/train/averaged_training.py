"""Steps of a training whose result is a moving average of the weights, with checkpoints.

- `Checkpoint`: file and contents of the checkpoints of a run.
- `run_steps`: start or resume a run.
- `StepProgress`: progress reported at each checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cryopick.train.averaged_settings import AveragedTrainingSettings
from cryopick.train.checkpoint import Checkpointed, TrainingState, load_checkpoint, save_checkpoint

__all__ = ["Checkpoint", "StepProgress", "run_steps"]


@dataclass(frozen=True)
class StepProgress:
    """Progress reported at a checkpoint.

    Attributes:
        step: Number of completed training steps.
        loss: Mean of the loss since the previous checkpoint.
    """

    step: int
    loss: float


@dataclass(frozen=True)
class Checkpoint:
    """File and contents of the checkpoints of a run.

    Attributes:
        path: The file.
        key: Identifies the settings and the data of the run.
        parts: Networks and optimizer by name.
        device: Device of their tensors.
    """

    path: Path
    key: str
    parts: Mapping[str, Checkpointed]
    device: torch.device


def run_steps(
    settings: AveragedTrainingSettings,
    checkpoint: Checkpoint,
    train_step: Callable[[int], Tensor],
    on_progress: Callable[[StepProgress], None] = lambda _: None,
) -> None:
    """Run the training steps, or those that an interrupted run has not completed.

    Args:
        settings: Settings of the training.
        checkpoint: The run resumes from it if its file exists.
        train_step: Called with the number of completed steps; trains on one minibatch, updates the
            average and returns the loss.
        on_progress: Called at each checkpoint.

    Raises:
        FormatError: The checkpoint is damaged or belongs to another run.
    """
    path, key, parts = checkpoint.path, checkpoint.key, checkpoint.parts
    state = TrainingState()
    if path.exists():
        state = load_checkpoint(path, parts, key, checkpoint.device)
    losses: list[Tensor] = []
    while state.step < settings.steps:
        losses.append(train_step(state.step).detach())
        state.step += 1
        if state.step % settings.checkpoint_every == 0 or state.step == settings.steps:
            save_checkpoint(path, parts, state, key)
            on_progress(StepProgress(state.step, float(torch.stack(losses).mean())))
            losses.clear()
