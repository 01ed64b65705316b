"""Adam for training that begins at once.

Any optimiser of torch's, when it is made, loads the compiler `torch._dynamo`, which takes
seconds and is of no use here; torch's own function for the arithmetic of a step does not.

- `Adam`: the optimiser.

Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization".
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

__all__ = ["Adam"]

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Adam:
    """As `torch.optim.Adam` with its defaults: the same steps, the same state.

    Args:
        parameters: What to change.
        weight_decay: Weight of half the sum of squared parameters in the loss.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float = 0.0) -> None:
        self.parameters: list[nn.Parameter] = list(parameters)
        self.weight_decay: float = weight_decay
        self.state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Move every parameter that has a gradient."""
        used = [n for n, parameter in enumerate(self.parameters) if parameter.grad is not None]
        for number in used:
            if number not in self.state:
                fresh = self.parameters[number].detach()
                step = torch.zeros((), dtype=torch.float32)
                moments = (step, torch.zeros_like(fresh), torch.zeros_like(fresh))
                self.state[number] = dict(zip(_MOMENTS, moments, strict=True))
        steps, first, second = ([self.state[n][name] for n in used] for name in _MOMENTS)
        with torch.no_grad():
            adam(
                [self.parameters[n] for n in used],
                [grad for n in used if (grad := self.parameters[n].grad) is not None],
                first,
                second,
                [],
                steps,
                lr=learning_rate,
                weight_decay=self.weight_decay,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                eps=1e-8,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Any]:
        """The moments, by the number of their parameter."""
        return {"state": self.state}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; moments lie where and as their parameter does.

        Raises:
            ValueError: A moment is missing, or is of another shape than its parameter.
        """
        state = {}
        for number, moments in values["state"].items():
            if set(moments) != set(_MOMENTS) or number >= len(self.parameters):
                raise ValueError(f"parameter {number} of the optimiser: found {sorted(moments)}")
            parameter = self.parameters[number]
            for name in _MOMENTS[1:]:
                if moments[name].shape != parameter.shape:
                    raise ValueError(f"parameter {number} of the optimiser: wrong shape of {name}")
            state[number] = {"step": moments["step"].cpu()} | {
                name: torch.zeros_like(parameter.detach()).copy_(moments[name])
                for name in _MOMENTS[1:]
            }
        self.state = state
