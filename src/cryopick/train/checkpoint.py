"""The state of a run on disk: weights, optimiser, curves, the best network so far.

One safetensors file, written whole or not at all, so that a kill at any moment leaves the
last checkpoint. It carries the key of its run, made of settings, micrographs and labels, and
is refused by a run of another key.

- `RunState`: what changes while a run goes on, networks apart.
- `save_state`, `load_state`: to and from the file.
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
from cryopick.runs.atomic_write import whole
from cryopick.train.curves import Curves, Row
from cryopick.train.optimizer import Adam

__all__ = ["Part", "RunState", "load_state", "save_state"]

Part = nn.Module | torch.optim.Optimizer | Adam


@dataclass
class RunState:
    """How far a run has come.

    Attributes:
        step: Minibatches learnt from.
        best: Weights of the network that did best on the held-out particles.
        best_step: The step they are of.
        best_score: Its average precision.
        curves: The rows so far.
    """

    step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int | None = None
    best_score: float = -1.0
    curves: Curves = field(default_factory=Curves)

    def record(self, row: Row, scorer: Scorer) -> None:
        """Add a row, and keep the network if it is the best on held-out particles."""
        self.curves.rows.append(row)
        score = row.particle_average_precision
        if score is not None and score > self.best_score:
            self.best_score, self.best_step = score, row.step
            self.best = {k: v.detach().cpu().clone() for k, v in scorer.state_dict().items()}


def save_state(path: Path, parts: Mapping[str, Part], state: RunState, key: str) -> None:
    """Write the state of the run of that key in place of the one before."""
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
    with whole(path, overwrite=True) as temporary:
        temporary.write_bytes(save(tensors, {"cryopick-run": json.dumps(notes)}))


def load_state(path: Path, parts: Mapping[str, Part], key: str, device: torch.device) -> RunState:
    """Read the state of the run of that key into its parts.

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
                "repeat its command to finish it, or start afresh with --force"
            )
        for part, owner in parts.items():
            _restore(owner, _under(f"{part}/", tensors))
        return RunState(
            step=notes["step"],
            best=_under("best/", tensors),
            best_step=notes["best_step"],
            best_score=notes["best_score"],
            curves=Curves([Row(**row) for row in notes["rows"]]),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{path}: the checkpoint cannot be read ({' '.join(str(error).split())[:200]}); "
            "start afresh with --force"
        ) from error


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _tensors(owner: Part) -> dict[str, Tensor]:
    """The tensors of a network, or the moments of an optimiser by parameter number."""
    if isinstance(owner, nn.Module):
        return owner.state_dict()
    return {
        f"{number}.{name}": value
        for number, moments in owner.state_dict()["state"].items()
        for name, value in moments.items()
    }


def _restore(owner: Part, tensors: Mapping[str, Tensor]) -> None:
    if isinstance(owner, nn.Module):
        owner.load_state_dict(dict(tensors))
        return
    moments: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = value
    owner.load_state_dict({**owner.state_dict(), "state": moments})
