"""Adam without the start-up cost of torch.optim.

Creating any optimizer of torch.optim imports the compiler `torch._dynamo`, which takes seconds and
is not used here. torch's own function for one step of Adam does not import it.

- `Adam`: the optimizer.

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
    """Optimizer with the steps, the state and the defaults of `torch.optim.Adam`.

    Args:
        parameters: Parameters to optimize.
        weight_decay: Weight of half the sum of squared parameters in the loss.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float = 0.0) -> None:
        self.parameters: list[nn.Parameter] = list(parameters)
        self.weight_decay: float = weight_decay
        self.state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Discard the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Update every parameter that has a gradient."""
        used = [n for n, parameter in enumerate(self.parameters) if parameter.grad is not None]
        for number in used:
            if number not in self.state:
                parameter = self.parameters[number].detach()
                step = torch.zeros((), dtype=torch.float32)
                moments = (step, torch.zeros_like(parameter), torch.zeros_like(parameter))
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
        """Return the moments by the number of their parameter."""
        return {"state": self.state}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Restore the moments from `state_dict`, on the device of their parameters.

        Raises:
            ValueError: A moment is missing, or its shape differs from that of its parameter.
        """
        state = {}
        for number, moments in values["state"].items():
            if set(moments) != set(_MOMENTS) or number >= len(self.parameters):
                raise ValueError(f"parameter {number} of the optimizer: found {sorted(moments)}")
            parameter = self.parameters[number]
            for name in _MOMENTS[1:]:
                if moments[name].shape != parameter.shape:
                    raise ValueError(f"parameter {number} of the optimizer: wrong shape of {name}")
            state[number] = {"step": moments["step"].cpu()} | {
                name: torch.zeros_like(parameter.detach()).copy_(moments[name])
                for name in _MOMENTS[1:]
            }
        self.state = state
