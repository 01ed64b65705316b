"""The operations of a network that scores whole images at any step, for every engine.

Batch normalisation is folded into the filters before it, and dropout is skipped. To score at a
smaller step than the stride of the network (à trous), a strided layer keeps the outputs that it
would drop, and all later layers are dilated to skip them, so that every score depends on the same
inputs as before.

- `Operations`: what an engine provides.
- `build_dense_graph`: apply a network by the operations of an engine.

Source: Giusti et al. 2013, Fast image scanning with deep max-pooling convolutional neural
networks; Yu and Koltun 2016, Multi-scale context aggregation by dilated convolutions.
"""

import math
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from cryopick.array_types import Float32, Float64
from cryopick.errors import FormatError, SettingsError
from cryopick.model.architectures import ENCODER_DECODER, NETWORKS, Layer
from cryopick.model.trained_network import TrainedNetwork

__all__ = ["Operations", "build_dense_graph", "check_step"]

Node = TypeVar("Node")

Filters = Float32[np.ndarray, "outputs inputs rows columns"]
Channels = Float32[np.ndarray, " channels"]

_EPSILON = 1e-5  # of PyTorch's batch normalisation, added to the variance


@runtime_checkable
class Operations(Protocol[Node]):
    """Operations on images of several channels; a node is an image that is computed later."""

    def convolve(  # those of a convolution
        self,
        image: Node,
        filters: Filters,
        bias: Channels | None = None,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
    ) -> Node:
        """Correlate with filters."""

    def upsample(self, image: Node, filters: Filters) -> Node:
        """Double the resolution by a transposed convolution, with one 3 x 3 filter per channel."""

    def rectify(self, image: Node, slopes: Channels | None = None) -> Node:
        """Multiply negative values by the slope of their channel, or by 0."""

    def scale(self, image: Node, factors: Channels) -> Node:
        """Multiply each channel by a factor."""

    def add(self, image: Node, other: Node) -> Node:
        """Add two images."""

    def crop(self, image: Node, margin: int) -> Node:
        """Remove a margin on all sides."""

    def classify(self, features: Node, weights: Channels, bias: float) -> Node:
        """Multiply the features by the weights and sum them, in float32."""


def check_step(network: TrainedNetwork, step_px: int) -> None:
    """Check that a network can score every `step_px`-th pixel.

    Raises:
        SettingsError: The step does not divide the stride of the network, or the network is an
            encoder-decoder, whose stride cannot be changed.
    """
    stride = network.stride_px
    if step_px < 1 or stride % step_px:
        raise SettingsError(
            f"the scoring step must divide the network's stride of {stride} pixels; got {step_px}"
        )
    if step_px != stride and network.settings.name == ENCODER_DECODER:
        raise SettingsError(
            f"the network {network.settings.name} scores every {stride} pixels only; "
            f"got a step of {step_px}"
        )


def build_dense_graph(
    network: TrainedNetwork, step_px: int, operations: Operations[Node], image: Node
) -> Node:
    """Apply a network to an image.

    Args:
        network: The network.
        step_px: Pixels between neighbouring scores, a divisor of the stride.
        operations: The operations of an engine.
        image: Image of one channel. For an encoder-decoder, its sides are multiples of
            `EncoderDecoderShape.ALIGNMENT_PX`.

    Returns:
        The logits of all regions inside the image; with an encoder-decoder, those of every second
        pixel from (0, 0) on.

    Raises:
        SettingsError: The network cannot score at this step.
        FormatError: The normalisation of a layer is not finite.
    """
    check_step(network, step_px)
    graph = _Graph(network, operations)
    if network.settings.name == ENCODER_DECODER:
        return graph.classify(graph.encode_and_decode(image))
    return graph.classify(graph.encode(image, NETWORKS[network.settings.name], step_px))


class _Graph(Generic[Node]):
    """A network being applied."""

    def __init__(self, network: TrainedNetwork, operations: Operations[Node]) -> None:
        self._weights, self._operations = network.weights, operations

    def encode(self, image: Node, layers: Sequence[Layer], step_px: int) -> Node:
        """Apply unpadded layers."""
        stride, dilation = 1, 1  # of the input of a layer; dilation: product of removed strides
        for number, layer in enumerate(layers):
            reduced = math.gcd(layer.stride, step_px // stride)
            removed = layer.stride // reduced
            prefix = f"encoder.{number}"
            if layer.residual:
                image = self._apply_residual(prefix, image, layer, dilation, reduced)
            else:
                image = self._apply_convolution(
                    prefix, image, stride=reduced, dilation=layer.dilation * dilation
                )
            stride, dilation = stride * reduced, dilation * removed
        return image

    def encode_and_decode(self, image: Node) -> Node:
        """Apply the encoder-decoder."""
        operations = self._operations
        levels = [self._apply_padded("encoder.stem", image, stride=2)]
        for number in range(1, 5):
            level = f"encoder.level{number}"
            image = self._apply_padded(f"{level}.0", levels[-1], stride=1 if number == 1 else 2)
            pair = 1
            while f"{level}.{pair}.first.0.weight" in self._weights:
                image = self._apply_pair(f"{level}.{pair}", image)
                pair += 1
            levels.append(image)
        for number in (3, 2, 1):
            merge = f"encoder.merge{number}"
            scale, offset = self._read_normalization(f"{merge}.norm")
            reduced = operations.convolve(image, self._weights[f"{merge}.reduce.weight"])
            coarse = operations.upsample(
                reduced, _scale_filters(self._weights[f"{merge}.upsample.weight"], scale)
            )
            fine_filters = _scale_filters(self._weights[f"{merge}.fine.weight"], scale)
            fine = operations.convolve(levels[number], fine_filters, offset.astype(np.float32))
            image = operations.rectify(operations.add(fine, coarse))
            image = self._apply_pair(f"{merge}.pair", image)
        return image

    def classify(self, features: Node) -> Node:
        """Apply the linear head."""
        weights, bias = self._weights["head.weight"], self._weights["head.bias"]
        return self._operations.classify(features, weights[0], float(bias[0]))

    def _apply_convolution(
        self, prefix: str, image: Node, *, stride: int = 1, dilation: int = 1
    ) -> Node:
        """Apply an unpadded convolution, its batch normalisation and PReLU."""
        filters, bias = self._fold(f"{prefix}.0.weight", f"{prefix}.1")
        image = self._operations.convolve(image, filters, bias, stride=stride, dilation=dilation)
        return self._operations.rectify(image, self._weights[f"{prefix}.2.weight"])

    def _apply_residual(
        self, prefix: str, image: Node, layer: Layer, dilation: int, stride: int
    ) -> Node:
        """Apply a residual layer whose input has this dilation, at a reduced stride."""
        operations = self._operations
        removed = layer.stride // stride
        strides, dilations = (stride, 1), (layer.dilation * dilation, dilation * removed)
        norm, activation = "norm", "activation"
        if layer.late:
            strides, dilations = (1, stride), (dilation, layer.dilation * dilation)
            norm, activation = "after.0", "after.1"
        inner = self._apply_convolution(
            f"{prefix}.first", image, stride=strides[0], dilation=dilations[0]
        )
        filters, bias = self._fold(f"{prefix}.second.weight", f"{prefix}.{norm}")
        result = operations.convolve(inner, filters, bias, stride=strides[1], dilation=dilations[1])
        # The two filters crop the image by this much on each side, in pixels of the input.
        reach = layer.dilation + (1 if layer.late else layer.stride)
        shortcut = operations.crop(image, layer.kernel // 2 * reach * dilation)
        scale = self._read_normalization(f"{prefix}.{norm}")[0] if layer.late else None
        projection = self._weights.get(f"{prefix}.shortcut.weight")
        if projection is not None:
            if scale is not None:
                projection = _scale_filters(projection, scale)
            shortcut = operations.convolve(shortcut, projection, stride=stride)
        elif scale is not None:
            shortcut = operations.scale(shortcut, scale.astype(np.float32))
        slopes = self._weights[f"{prefix}.{activation}.weight"]
        return operations.rectify(operations.add(result, shortcut), slopes)

    def _apply_padded(self, prefix: str, image: Node, *, stride: int = 1) -> Node:
        """Apply a padded convolution, its batch normalisation and ReLU."""
        filters, bias = self._fold(f"{prefix}.0.weight", f"{prefix}.1")
        padding = filters.shape[-1] // 2
        return self._operations.rectify(
            self._operations.convolve(image, filters, bias, stride=stride, padding=padding)
        )

    def _apply_pair(self, prefix: str, image: Node) -> Node:
        """Apply two padded convolutions whose result is added to their input."""
        filters, bias = self._fold(f"{prefix}.second.0.weight", f"{prefix}.second.1")
        inner = self._apply_padded(f"{prefix}.first", image)
        result = self._operations.convolve(inner, filters, bias, padding=1)
        return self._operations.rectify(self._operations.add(result, image))

    def _fold(self, filters: str, norm: str) -> tuple[Filters, Channels]:
        """Fold batch normalisation into the filters before it; return them and a bias."""
        scale, offset = self._read_normalization(norm)
        return _scale_filters(self._weights[filters], scale), offset.astype(np.float32)

    def _read_normalization(
        self, norm: str
    ) -> tuple[Float64[np.ndarray, " channels"], Float64[np.ndarray, " channels"]]:
        """Return factor and offset of each channel in evaluation mode."""
        weight, bias, mean, variance = (
            self._weights[f"{norm}.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        with np.errstate(invalid="ignore"):
            scale = weight / np.sqrt(variance + _EPSILON)
        if not np.isfinite(scale).all():
            raise FormatError(f"the model is damaged: {norm} is not finite; train it again")
        return scale, bias - mean * scale


def _scale_filters(filters: Filters, scale: Float64[np.ndarray, " channels"]) -> Filters:
    scaled: Filters = (filters * scale[:, None, None, None]).astype(np.float32)
    return scaled
