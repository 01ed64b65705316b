"""Detectors of Topaz, converted to networks with equal scores.

The file is compared with the known architectures: number and shape of the filters and, if the whole
network was saved, strides and dilations. Other networks are refused. ReLU becomes PReLU with slope
0; a bias is merged into the following batch normalization, which is added where it is missing.

- `read_topaz_model`: read a `.sav` file as a network.

Source: Bepler et al. 2019, Methods, and the names, shapes and attributes in files of Topaz 0.3.20.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryopick.clients.topaz_models.archive import SavedNetwork, read_tensors
from cryopick.errors import FormatError
from cryopick.model.architectures import NETWORKS, NetworkSettings
from cryopick.model.trained_network import Arrays, TrainedNetwork, check_weights, list_weights

__all__ = ["read_topaz_model"]

_BODY = "features.features"
_RESIDUAL = {8: "resnet71", 16: "resnet91"}  # by number of convolutions
_PLAIN = {3: "conv31", 4: "strided63", 5: "strided127"}
_PARTS = ("Conv2d", "BatchNorm2d", "ReLU", "PReLU", "Sequential", "Dropout", "Dropout2d")
_EPSILON = 1e-5  # PyTorch's default, added to the variance in batch normalization


class _Geometry(NamedTuple):
    """Attributes of a convolution, each along y and x."""

    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


class _Step(NamedTuple):
    """Names of a convolution, the following batch normalization, and the activation."""

    filter: str
    norm: str
    slope: str


def read_topaz_model(path: Path) -> TrainedNetwork:
    """Read a detector of Topaz, a whole network or its weights, without executing code.

    Supports resnet8, resnet16, conv31, conv63 and conv127 with any number of units, with and
    without batch normalization.

    Returns:
        The network. Its scores equal those of Topaz on the same preprocessed
        images.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not a Topaz detector, or its architecture is not supported.
    """
    detector = read_tensors(path)
    try:
        return _assemble(detector)
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(
            f"{path}: expected a Topaz detector (resnet8, resnet16, conv31, conv63 or conv127, its "
            f"units doubling, no pooling), found another network: {reason[:200]}"
        ) from None


def _assemble(detector: SavedNetwork) -> TrainedNetwork:
    """Identify the architecture and copy the weights.

    Raises:
        ValueError: The architecture is not known.
    """
    tensors = detector.tensors
    if "classifier.weight" not in tensors:
        raise ValueError("it has no linear classifier")
    topaz_name = list(_list_topaz_steps(tensors))
    is_residual = any(f"{_BODY}.{index}.conv1.weight" in tensors for index in range(2))
    name = (_RESIDUAL if is_residual else _PLAIN).get(len(topaz_name))
    if name is None:
        raise ValueError(f"it has {len(topaz_name)} convolutions")
    width = len(tensors[f"{topaz_name[0].filter}.weight"])
    settings = NetworkSettings(name=name, width=width, dropout=0.0)
    names = list_weights(settings)
    state: dict[str, np.ndarray] = {}
    for step, (our_step, geometry) in zip(topaz_name, _list_our_steps(name), strict=True):
        _compare(detector, step.filter, geometry)
        state |= _convert_step(tensors, step, our_step)
        shortcut = our_step.filter.replace(".second", ".shortcut")
        if ".second" in our_step.filter and f"{shortcut}.weight" in names:
            stride = _Geometry(geometry.stride, (1, 1))
            state[f"{shortcut}.weight"] = _find_projection(detector, step.filter, stride)
    state["head.weight"] = tensors["classifier.weight"].reshape(1, -1)
    state["head.bias"] = tensors["classifier.bias"]
    if not all(np.isfinite(values).all() for values in state.values()):
        raise ValueError("a weight is not finite")
    weights = {key: values.astype(np.float32) for key, values in state.items()}
    weights |= {key: np.array(0, np.int64) for key in names if key.endswith("_tracked")}
    check_weights(settings, weights)
    return TrainedNetwork(settings, weights)


def _list_topaz_steps(tensors: Arrays) -> Iterator[_Step]:
    """List the steps of a Topaz network in order, with the names in its file."""
    numbers = {int(name.split(".")[2]) for name in tensors if name.startswith(f"{_BODY}.")}
    for number in sorted(numbers):
        block = f"{_BODY}.{number}"
        for suffix in ("", "0", "1"):
            if f"{block}.conv{suffix}.weight" in tensors:
                yield _Step(*(f"{block}.{part}{suffix}" for part in ("conv", "bn", "act")))
        if f"{block}.weight" in tensors and tensors[f"{block}.weight"].ndim > 1:
            norm, slope_index = f"{_BODY}.{number + 1}", number + 1
            slope_index += f"{norm}.running_mean" in tensors
            yield _Step(block, norm, f"{_BODY}.{slope_index}")


def _list_our_steps(network: str) -> Iterator[tuple[_Step, _Geometry]]:
    """List the steps of our network in order, with its names."""
    for number, layer in enumerate(NETWORKS[network]):
        block = f"encoder.{number}"
        geometry = _Geometry((layer.stride,) * 2, (layer.dilation,) * 2)
        if layer.residual:
            plain = _Geometry((1, 1), (1, 1))
            yield _Step(f"{block}.first.0", f"{block}.first.1", f"{block}.first.2"), plain
            yield _Step(f"{block}.second", f"{block}.after.0", f"{block}.after.1"), geometry
        else:
            yield _Step(f"{block}.0", f"{block}.1", f"{block}.2"), geometry


def _compare(detector: SavedNetwork, topaz_name: str, geometry: _Geometry) -> None:
    """Compare stride, dilation and padding of a saved filter with ours, if they are recorded.

    Raises:
        ValueError: They differ, or the network has other parts.
    """
    for name, (kind, _) in detector.parts.items():
        if kind.startswith("torch.") and kind.rpartition(".")[2] not in _PARTS:
            raise ValueError(f"{name} is {kind}")
    if topaz_name in detector.parts:
        attributes = detector.parts[topaz_name][1]
        for attribute, expected in geometry._asdict().items():
            if tuple(attributes[attribute]) != expected:
                raise ValueError(
                    f"{topaz_name} has {attribute} {attributes[attribute]}, not {expected}"
                )


def _convert_step(tensors: Arrays, step: _Step, our_name: _Step) -> dict[str, np.ndarray]:
    """Convert the weights of one step: filter, batch normalization, slope."""
    weight = tensors[f"{step.filter}.weight"]
    channels = len(weight)
    bias = tensors.get(f"{step.filter}.bias", np.zeros(channels, np.float32))
    norm = {
        "weight": np.full(channels, math.sqrt(1 + _EPSILON)),  # cancels the division by √(1 + ε)
        "bias": bias,
        "running_mean": np.zeros(channels),
        "running_var": np.ones(channels),
    }
    if f"{step.norm}.running_mean" in tensors:
        norm = {name: tensors[f"{step.norm}.{name}"] for name in norm}
        norm["running_mean"] = norm["running_mean"] - bias
    slope = tensors.get(f"{step.slope}.weight", np.zeros(1, np.float32))
    return {
        f"{our_name.filter}.weight": weight,
        **{f"{our_name.norm}.{name}": values for name, values in norm.items()},
        f"{our_name.slope}.weight": np.broadcast_to(slope, channels),
    }


def _find_projection(detector: SavedNetwork, topaz_name: str, geometry: _Geometry) -> np.ndarray:
    """Return the filter of a shortcut; an identity if the shortcut of Topaz only subsamples."""
    name = topaz_name.replace(".conv1", ".proj")
    if f"{name}.weight" in detector.tensors:
        _compare(detector, name, geometry)
        return detector.tensors[f"{name}.weight"]
    channels = len(detector.tensors[f"{topaz_name}.weight"])
    return np.eye(channels)[:, :, None, None]
