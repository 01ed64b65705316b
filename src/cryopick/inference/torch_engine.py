"""Score with torch: on GPUs, and on processors for which OpenVINO is not available.

- `TorchNetwork`: a network on a device.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from cryopick.array_types import Float32, Shaped
from cryopick.inference.dense_graph import Channels, Filters, build_dense_graph
from cryopick.inference.settings import NumberFormat
from cryopick.model.device import AnyDevice
from cryopick.model.trained_network import TrainedNetwork

__all__ = ["TorchNetwork"]

Node = int  # number of a result

_INPUT = 0


class TorchNetwork:
    """A network on a device.

    Args:
        network: The network.
        step_px: Pixels between scores.
        number_format: Format of the convolutions; the head is computed in float32.
        device: Device to compute on.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        step_px: int,
        number_format: NumberFormat,
        device: AnyDevice,
    ) -> None:
        self._device = torch.device(str(device))
        self._program = _Program(self._device, getattr(torch, number_format))
        self._program.result = build_dense_graph(network, step_px, self._program, _INPUT)

    def score(
        self, image: Float32[np.ndarray, "height width"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Compute the logits of an image."""
        with torch.inference_mode():
            pixels = torch.from_numpy(image).to(self._device)[None, None]
            logits: np.ndarray = self._program.run(pixels)[0, 0].cpu().numpy()
        return logits


class _Program:
    """Operations in their order; each reads earlier results and gives the next one."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._steps: list[tuple[Callable[..., torch.Tensor], tuple[Node, ...]]] = []
        self.result: Node = _INPUT

    def run(self, image: torch.Tensor) -> torch.Tensor:
        """Apply all operations to an image."""
        results: dict[Node, torch.Tensor] = {
            # Channels last is the layout that oneDNN and cuDNN compute in.
            _INPUT: image.to(self._dtype).contiguous(memory_format=torch.channels_last)
        }
        last_uses = {node: step for step, (_, nodes) in enumerate(self._steps) for node in nodes}
        for step, (operation, nodes) in enumerate(self._steps):
            results[step + 1] = operation(*(results[node] for node in nodes))
            for node in set(nodes):
                if last_uses[node] == step:
                    del results[node]
        return results[self.result]

    def convolve(  # as in the protocol
        self,
        image: Node,
        filters: Filters,
        bias: Channels | None = None,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
    ) -> Node:
        weight = self._store(filters).contiguous(memory_format=torch.channels_last)
        offset = None if bias is None else self._store(bias)
        return self._append(
            lambda x: functional.conv2d(
                x, weight, offset, stride=stride, dilation=dilation, padding=padding
            ),
            image,
        )

    def upsample(self, image: Node, filters: Filters) -> Node:
        weight = self._store(filters)
        return self._append(
            lambda x: functional.conv_transpose2d(
                x, weight, stride=2, padding=1, output_padding=1, groups=len(weight)
            ),
            image,
        )

    def rectify(self, image: Node, slopes: Channels | None = None) -> Node:
        if slopes is None:
            return self._append(functional.relu, image)
        weight = self._store(slopes)
        return self._append(lambda x: functional.prelu(x, weight), image)

    def scale(self, image: Node, factors: Channels) -> Node:
        weight = self._store(factors)[:, None, None]
        return self._append(lambda x: x * weight, image)

    def add(self, image: Node, other: Node) -> Node:
        return self._append(torch.add, image, other)

    def crop(self, image: Node, margin: int) -> Node:
        return self._append(lambda x: x[..., margin:-margin, margin:-margin], image)

    def classify(self, features: Node, weights: Channels, bias: float) -> Node:
        weight = torch.from_numpy(weights.copy()).to(self._device)
        return self._append(lambda x: (x.float().movedim(1, -1) @ weight)[:, None] + bias, features)

    def _store(self, values: Shaped[np.ndarray, "..."]) -> torch.Tensor:
        return torch.from_numpy(values.copy()).to(self._device, self._dtype)

    def _append(self, operation: Callable[..., torch.Tensor], *nodes: Node) -> Node:
        self._steps.append((operation, nodes))
        return len(self._steps)
