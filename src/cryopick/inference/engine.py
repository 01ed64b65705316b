"""Networks that are optimized for scoring whole images.

Processors score with OpenVINO, other devices with torch. Where OpenVINO cannot be imported, torch
scores on processors too.

- `DenseNetwork`: a network that scores images at a fixed step.
- `DenseEnsemble`: networks whose logits are averaged.
- `optimize_for_inference`, `optimize_ensemble`: make them for a device.
- `resolve_precision`: choose float32 or bfloat16 for a device.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np

from cryopick.array_types import Float32
from cryopick.inference.dense_graph import check_step
from cryopick.inference.settings import NumberFormat, Precision
from cryopick.model.architectures import ENCODER_DECODER, NetworkSettings
from cryopick.model.device import CPU, AnyDevice
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.trained_network import TrainedNetwork

__all__ = [
    "DenseEnsemble",
    "DenseNetwork",
    "optimize_ensemble",
    "optimize_for_inference",
    "resolve_precision",
]


@runtime_checkable
class _Engine(Protocol):
    def score(
        self, image: Float32[np.ndarray, "height width"]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Compute the logits of an image."""


@dataclass(frozen=True)
class DenseNetwork:
    """A network that scores images at a fixed step; several threads may use it at once.

    Attributes:
        settings: Settings of the network.
        step_px: Pixels between scores.
        receptive_field_px: Side of the region on which one score depends; odd.
        is_on_cpu: It computes on the processor.
        engine: Computes the logits of all regions inside an image; with an encoder-decoder, those
            of every second pixel from (0, 0) on.
    """

    settings: NetworkSettings
    step_px: int
    receptive_field_px: int
    is_on_cpu: bool
    engine: _Engine

    @property
    def is_padded(self) -> bool:
        """True for an encoder-decoder, which pads its input in every layer."""
        return self.settings.name == ENCODER_DECODER


@dataclass(frozen=True)
class DenseEnsemble:
    """Networks whose logits are averaged.

    Attributes:
        networks: The networks. The steps of others divide that of the first.
        weights: Weights of their logits.
    """

    networks: Sequence[DenseNetwork]
    weights: Sequence[float]

    @property
    def step_px(self) -> int:
        """Pixels between scores."""
        return self.networks[0].step_px


# Compiling takes a tenth of a second and is not repeated while a network exists. A thread waits for
# a network that another one is compiling.
_Key = tuple[int, NumberFormat, str]
_compiled: WeakKeyDictionary[TrainedNetwork, dict[_Key, DenseNetwork]] = WeakKeyDictionary()
_compiling = Lock()


def optimize_for_inference(
    network: TrainedNetwork,
    number_format: NumberFormat = "float32",
    device: AnyDevice = CPU,
    *,
    step_px: int | None = None,
) -> DenseNetwork:
    """Optimize a network for a device; its weights must not change later.

    Args:
        network: A trained network.
        number_format: Format of the products. Logits are float32.
        device: Device to compute on.
        step_px: Pixels between scores, a divisor of the stride; None keeps the stride.

    Raises:
        SettingsError: The network cannot score at this step.
    """
    step_px = network.stride_px if step_px is None else step_px
    check_step(network, step_px)
    key = (step_px, number_format, str(device))
    dense = _compiled.get(network, {}).get(key)
    if dense is not None:
        return dense
    with _compiling:
        optimized = _compiled.setdefault(network, {})
        if key not in optimized:
            optimized[key] = DenseNetwork(
                settings=network.settings,
                step_px=step_px,
                receptive_field_px=network.receptive_field_px,
                is_on_cpu=device.type == "cpu",
                engine=_create_engine(network, step_px, number_format, device),
            )
        return optimized[key]


def _create_engine(
    network: TrainedNetwork, step_px: int, number_format: NumberFormat, device: AnyDevice
) -> _Engine:
    if device.type == "cpu" and find_spec("openvino"):
        from cryopick.inference.openvino_engine import OpenVinoNetwork

        return OpenVinoNetwork(network, step_px, number_format)
    from cryopick.inference.torch_engine import TorchNetwork

    return TorchNetwork(network, step_px, number_format, device)


def optimize_ensemble(
    network: TrainedNetwork,
    partner: EnsemblePartner | None,
    number_format: NumberFormat,
    device: AnyDevice,
    *,
    step_px: int,
) -> DenseEnsemble:
    """Optimize a network and its ensemble partner, if it has one.

    Args:
        network: As for `optimize_for_inference`.
        partner: Second network. The result is the weighted mean of both logits.
        number_format: As for `optimize_for_inference`.
        device: As for `optimize_for_inference`.
        step_px: Pixels between the averaged scores.

    Raises:
        SettingsError: `step_px` does not divide the stride of the network.
    """
    first = optimize_for_inference(network, number_format, device, step_px=step_px)
    if partner is None:
        return DenseEnsemble([first], [1.0])
    partner_step = math.gcd(step_px, partner.network.stride_px)
    second = optimize_for_inference(partner.network, number_format, device, step_px=partner_step)
    return DenseEnsemble([first, second], [1.0, partner.weight])


def resolve_precision(precision: Precision, device: AnyDevice) -> NumberFormat:
    """Return the number format that a precision setting selects on a device."""
    if precision != "auto":
        return precision
    if device.type == "cpu" and find_spec("openvino"):
        from cryopick.inference.openvino_engine import has_fast_bfloat16

        return "bfloat16" if has_fast_bfloat16() else "float32"
    import torch

    from cryopick.model import torch_device

    fast = torch_device.has_fast_bfloat16(torch.device(str(device)))
    return "bfloat16" if fast else "float32"
