"""A trained network as settings and arrays, for which no torch is needed.

Model files hold such networks. `inference` scores with them, and `networks` builds modules of torch
from them for training.

- `TrainedNetwork`: settings and weights.
- `list_weights`: names and shapes of the weights of a network.
- `check_weights`: check weights against the settings.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Shaped
from cryopick.model.architectures import (
    ENCODER_DECODER,
    NETWORKS,
    EncoderDecoderShape,
    Layer,
    NetworkSettings,
    compute_geometry,
    count_features,
)

__all__ = ["Arrays", "TrainedNetwork", "check_weights", "list_weights"]

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

Shape = tuple[int, ...]

_COUNTER = "num_batches_tracked"  # of batch normalisation; an integer


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """Settings and weights of a network in evaluation mode.

    Attributes:
        settings: Settings from which the network can be rebuilt.
        weights: Arrays by the names that the module of torch gives them.
    """

    settings: NetworkSettings
    weights: Arrays

    @property
    def receptive_field_px(self) -> int:
        """Side of the region on which one score depends; odd."""
        return compute_geometry(self.settings)[0]

    @property
    def stride_px(self) -> int:
        """Distance between neighbouring scores."""
        return compute_geometry(self.settings)[1]

    @property
    def features(self) -> int:
        """Length of the feature vector, the input of the linear head."""
        return count_features(self.settings)


def check_weights(settings: NetworkSettings, weights: Arrays) -> None:
    """Check that weights are those of a network.

    Raises:
        ValueError: A name, shape or number format is wrong, or a weight is not finite.
    """
    shapes = list_weights(settings)
    for name in sorted(shapes.keys() - weights.keys()):
        raise ValueError(f"weights {name} are missing")
    for name, values in weights.items():
        if name not in shapes:
            raise ValueError(f"weights {name} are not those of {settings.name}")
        if values.shape != shapes[name]:
            raise ValueError(f"weights {name} have shape {values.shape}, expected {shapes[name]}")
        expected = np.dtype(np.int64 if name.endswith(_COUNTER) else np.float32)
        if values.dtype != expected:
            raise ValueError(f"weights {name} are {values.dtype}, expected {expected}")
        if not np.isfinite(values).all():
            raise ValueError(f"weights {name} are not finite")


def list_weights(settings: NetworkSettings) -> dict[str, Shape]:
    """List the shapes of all weights of a network by their names."""
    if settings.name == ENCODER_DECODER:
        weights = dict(_list_encoder_decoder(settings.width))
    else:
        weights, channels = {}, 1
        for number, layer in enumerate(NETWORKS[settings.name]):
            outputs = layer.channels * settings.width
            weights |= _list_layer(f"encoder.{number}", layer, channels, outputs)
            channels = outputs
    features = count_features(settings)
    return {**weights, "head.weight": (1, features), "head.bias": (1,)}


def _list_layer(prefix: str, layer: Layer, channels: int, outputs: int) -> dict[str, Shape]:
    side = layer.kernel
    if not layer.residual:
        return dict(_list_convolution(prefix, outputs, channels, side, has_slopes=True))
    inner = channels if layer.late else outputs
    weights = dict(_list_convolution(f"{prefix}.first", inner, channels, side, has_slopes=True))
    weights[f"{prefix}.second.weight"] = (outputs, inner, side, side)
    norm, activation = ("after.0", "after.1") if layer.late else ("norm", "activation")
    weights |= _list_normalization(f"{prefix}.{norm}", outputs)
    weights[f"{prefix}.{activation}.weight"] = (outputs,)
    if layer.stride > 1 or outputs != channels:
        weights[f"{prefix}.shortcut.weight"] = (outputs, channels, 1, 1)
    return weights


def _list_encoder_decoder(features: int) -> Iterator[tuple[str, Shape]]:
    stem = EncoderDecoderShape.STEM_CHANNELS
    levels = EncoderDecoderShape.LEVEL_CHANNELS
    yield from _list_convolution("encoder.stem", stem, 1, 5)
    for number, (channels, outputs) in enumerate(
        zip((stem, *levels), levels, strict=False), start=1
    ):
        level = f"encoder.level{number}"
        yield from _list_convolution(f"{level}.0", outputs, channels, 3)
        for pair in range(1, 3 if number == len(levels) else 2):
            yield from _list_pair(f"{level}.{pair}", outputs)
    first, second, third, fourth = levels
    merges = ((3, fourth, third, third), (2, third, second, second), (1, second, first, features))
    for number, coarse, fine, outputs in merges:
        merge = f"encoder.merge{number}"
        yield f"{merge}.reduce.weight", (outputs, coarse, 1, 1)
        yield f"{merge}.upsample.weight", (outputs, 1, 3, 3)
        yield f"{merge}.fine.weight", (outputs, fine, 1, 1)
        yield from _list_normalization(f"{merge}.norm", outputs).items()
        yield from _list_pair(f"{merge}.pair", outputs)


def _list_pair(prefix: str, channels: int) -> Iterator[tuple[str, Shape]]:
    yield from _list_convolution(f"{prefix}.first", channels, channels, 3)
    yield from _list_convolution(f"{prefix}.second", channels, channels, 3)


def _list_convolution(
    prefix: str, outputs: int, inputs: int, side: int, *, has_slopes: bool = False
) -> Iterator[tuple[str, Shape]]:
    """List the weights of a convolution, its batch normalisation, and PReLU if it follows."""
    yield f"{prefix}.0.weight", (outputs, inputs, side, side)
    yield from _list_normalization(f"{prefix}.1", outputs).items()
    if has_slopes:
        yield f"{prefix}.2.weight", (outputs,)


def _list_normalization(prefix: str, channels: int) -> dict[str, Shape]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{prefix}.{_COUNTER}": (), **{f"{prefix}.{name}": (channels,) for name in names}}
