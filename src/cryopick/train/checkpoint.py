"""Training checkpoints: weights, optimizer state, curves and the best network so far.

A checkpoint is one safetensors file that is written atomically, so that a process killed at any
moment leaves the previous checkpoint. It holds a key made of settings, micrographs and labels; a
run with another key refuses it.

- `TrainingState`: the state of a run, apart from weights and optimizer.
- `save_checkpoint`, `load_checkpoint`: write and read the file.
- `is_readable`: check for damage.
- `Checkpointed`: the objects whose tensors a checkpoint holds.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cryopick.errors import FormatError
from cryopick.model.networks import Scorer
from cryopick.runs.atomic_write import atomic_write
from cryopick.train.curves import CurveRow, TrainingCurves
from cryopick.train.optimizer import Adam

__all__ = ["Checkpointed", "TrainingState", "is_readable", "load_checkpoint", "save_checkpoint"]

Checkpointed = nn.Module | torch.optim.Optimizer | Adam


@dataclass
class TrainingState:
    """State of a run, apart from weights and optimizer.

    Attributes:
        step: Number of completed steps.
        best: Weights of the network with the highest average precision on held-out particles.
        best_step: Step of that network.
        best_score: Its average precision.
        curves: Training curves so far.
    """

    step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int | None = None
    best_score: float = -1.0
    curves: TrainingCurves = field(default_factory=TrainingCurves)

    def record(self, row: CurveRow, scorer: Scorer) -> None:
        """Add a row to the curves, and keep the network if it is the best so far."""
        self.curves.rows.append(row)
        score = row.particle_average_precision
        if score is not None and score > self.best_score:
            self.best_score, self.best_step = score, row.step
            self.best = {k: v.detach().cpu().clone() for k, v in scorer.state_dict().items()}


def save_checkpoint(
    path: Path, parts: Mapping[str, Checkpointed], state: TrainingState, key: str
) -> None:
    """Write a checkpoint in place of the previous one.

    Args:
        path: The file.
        parts: Networks and optimizer by name.
        state: The rest of the state.
        key: Key of the run.
    """
    tensors = {f"best/{name}": tensor for name, tensor in state.best.items()}
    for part, owner in parts.items():
        tensors |= {f"{part}/{name}": tensor for name, tensor in _tensors(owner).items()}
    notes = {
        "key": key,
        "step": state.step,
        "best_step": state.best_step,
        "best_score": state.best_score,
        "rows": [asdict(row) for row in state.curves.rows],
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_bytes(save(tensors, {"cryopick-run": json.dumps(notes)}))


def load_checkpoint(
    path: Path, parts: Mapping[str, Checkpointed], key: str, device: torch.device
) -> TrainingState:
    """Read a checkpoint into networks and optimizer.

    Args:
        path: The file.
        parts: Networks and optimizer by name.
        key: Key of the run.
        device: Device of the tensors.

    Returns:
        The rest of the state.

    Raises:
        FormatError: The file is damaged, or belongs to another run.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            notes = json.loads((file.metadata() or {})["cryopick-run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        if notes["key"] != key:
            raise FormatError(
                f"{path}: belongs to an unfinished run with other settings, micrographs or labels; "
                "repeat its command to finish it, or start again with --force"
            )
        for part, owner in parts.items():
            _restore(owner, _under(f"{part}/", tensors))
        return TrainingState(
            step=notes["step"],
            best=_under("best/", tensors),
            best_step=notes["best_step"],
            best_score=notes["best_score"],
            curves=TrainingCurves([CurveRow(**row) for row in notes["rows"]]),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{path}: the checkpoint cannot be read ({' '.join(str(error).split())[:200]}); "
            "start again with --force"
        ) from error


def is_readable(path: Path) -> bool:
    """Return true if a checkpoint is complete; the key and the shapes are not checked."""
    try:
        with safe_open(path, framework="numpy") as file:
            notes = json.loads((file.metadata() or {})["cryopick-run"])
            for name in file.keys():  # noqa: SIM118  # no dict
                file.get_tensor(name)
        return {"key", "step", "best_step", "best_score", "rows"} <= notes.keys()
    except (
        *(SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError),
        RecursionError,  # lists in lists, thousands of them
    ):
        return False


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _tensors(owner: Checkpointed) -> dict[str, Tensor]:
    """Return the weights of a network, or the moments of an optimizer by parameter number."""
    if isinstance(owner, nn.Module):
        return owner.state_dict()
    return {
        f"{number}.{name}": value
        for number, moments in owner.state_dict()["state"].items()
        for name, value in moments.items()
    }


def _restore(owner: Checkpointed, tensors: Mapping[str, Tensor]) -> None:
    if isinstance(owner, nn.Module):
        owner.load_state_dict(dict(tensors))
        return
    moments: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = value
    owner.load_state_dict({**owner.state_dict(), "state": moments})
