"""Architectures of the networks, as lists of layers.

The module needs no torch, so that settings can be read and checked without it.

- `Layer`: one layer.
- `NETWORKS`: the networks that are lists of layers, by name.
- `ENCODER_DECODER`: name of the second network of the general model, which is none.
- `EncoderDecoderShape`: its channels and distances.
- `NetworkSettings`: name, width and dropout of a network.
- `compute_geometry`: receptive field and stride of a network.
- `count_features`: length of its feature vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from cryopick.config import Help
from cryopick.errors import SettingsError

__all__ = [
    "ENCODER_DECODER",
    "NETWORKS",
    "EncoderDecoderShape",
    "Layer",
    "NetworkSettings",
    "compute_geometry",
    "count_features",
]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution with batch normalisation and PReLU, or a residual pair of them.

    Attributes:
        kernel: Side of the filter, in pixels of the layer's input.
        channels: Output channels, in multiples of the width of the network.
        stride: Stride; in a residual layer, of its first convolution.
        dilation: Dilation; in a residual layer, of its first convolution.
        residual: Two convolutions with a shortcut, as in He et al. 2016.
        late: In a residual layer, stride, dilation and number of channels apply to the second
            convolution instead of the first, and the sum is normalised.
    """

    kernel: int
    channels: int
    stride: int = 1
    dilation: int = 1
    residual: bool = False
    late: bool = False


_PAPER = (
    Layer(kernel=7, channels=1, stride=2),
    Layer(kernel=5, channels=2, stride=2),
    Layer(kernel=5, channels=4),
)

NETWORKS: Mapping[str, Sequence[Layer]] = {
    # The paper's classifier: receptive field 31, stride 4 (Bepler et al. 2019, Methods).
    "conv31": _PAPER,
    # A larger receptive field at the same stride, by dilated 5 x 5 filters.
    "conv63": (*_PAPER, Layer(kernel=5, channels=4, dilation=2)),
    "conv127": (
        *_PAPER,
        Layer(kernel=5, channels=4, dilation=2),
        Layer(kernel=5, channels=4, dilation=4),
    ),
    "resnet41": (
        Layer(kernel=5, channels=1, stride=2),
        Layer(kernel=3, channels=1, residual=True),
        Layer(kernel=3, channels=2, stride=2, residual=True),
        Layer(kernel=3, channels=4, residual=True),
    ),
    "resnet73": (
        Layer(kernel=5, channels=1, stride=2),
        Layer(kernel=3, channels=1, residual=True),
        Layer(kernel=3, channels=2, stride=2, residual=True),
        Layer(kernel=3, channels=2, residual=True),
        Layer(kernel=3, channels=4, residual=True),
        Layer(kernel=3, channels=4, residual=True),
    ),
    # The networks of the detectors of Topaz 0.3, which calls them resnet8, resnet16, conv63 and
    # conv127. Its conv31 is the one of the paper.
    "resnet71": (
        Layer(kernel=7, channels=1, stride=2),
        Layer(kernel=3, channels=1, dilation=2, residual=True, late=True),
        Layer(kernel=3, channels=2, stride=2, dilation=2, residual=True, late=True),
        Layer(kernel=3, channels=2, dilation=2, residual=True, late=True),
        Layer(kernel=5, channels=4),
    ),
    "resnet91": (
        Layer(kernel=7, channels=1),
        Layer(kernel=3, channels=1, stride=2, residual=True, late=True),
        *[Layer(kernel=3, channels=1, residual=True, late=True)] * 3,
        Layer(kernel=3, channels=2, stride=2, residual=True, late=True),
        *[Layer(kernel=3, channels=2, residual=True, late=True)] * 2,
        Layer(kernel=5, channels=4),
    ),
    "strided63": (
        *_PAPER[:2],
        Layer(kernel=5, channels=4, stride=2),
        Layer(kernel=5, channels=8),
    ),
    "strided127": (
        *_PAPER[:2],
        Layer(kernel=5, channels=4, stride=2),
        Layer(kernel=5, channels=8, stride=2),
        Layer(kernel=5, channels=16),
    ),
    # A receptive field of six diameters at a small stride, with fewer operations than conv31: few
    # channels, and dilation instead of pooling (decision 0008).
    "dilated101": (
        Layer(kernel=5, channels=1, stride=2),
        Layer(kernel=3, channels=1, residual=True),
        Layer(kernel=3, channels=1, dilation=2, residual=True),
        Layer(kernel=3, channels=1, dilation=4, residual=True),
        Layer(kernel=3, channels=1, dilation=8, residual=True),
        Layer(kernel=3, channels=1, dilation=4, residual=True),
    ),
}

ENCODER_DECODER = "unet97"


class EncoderDecoderShape:
    """Channels and distances of the encoder-decoder.

    Attributes:
        STEM_CHANNELS: Channels of the first layer.
        LEVEL_CHANNELS: Channels of the encoder's levels, at strides of 2, 4, 8 and 16 pixels.
        STRIDE_PX: Distance between neighbouring features.
        FIELD_PX: Side of the crop that is shown for a single score; odd.
        CONTEXT_PX: Distance beyond which no pixel changes a score.
        ALIGNMENT_PX: Stride of the deepest level. Crops that start at multiples of it give the
            features of the whole image, apart from the margin of `CONTEXT_PX`.
    """

    STEM_CHANNELS = 16
    LEVEL_CHANNELS = (24, 48, 96, 128)
    STRIDE_PX = 2
    FIELD_PX = 97
    CONTEXT_PX = 144
    ALIGNMENT_PX = 16


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Name, width and dropout of a network, from which it can be rebuilt."""

    name: Annotated[
        str,
        Help(
            "Network: conv31, conv63, conv127, resnet41, resnet73, dilated101 or unet97. The "
            "number is the side of its receptive field in working pixels.",
            option="network",
        ),
    ] = "conv31"
    width: Annotated[int, Help("Number of channels of the narrowest layer.")] = 32
    dropout: Annotated[float, Help("Fraction of features dropped during training, 0 to 1.")] = 0.5

    def __post_init__(self) -> None:
        names = (*NETWORKS, ENCODER_DECODER)
        if self.name not in names:
            raise SettingsError(f"unknown network {self.name!r}; choose one of {', '.join(names)}")
        if self.width < 1:
            raise SettingsError(f"width must be at least 1 channel; got {self.width}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout must be at least 0 and below 1; got {self.dropout}")


def compute_geometry(settings: NetworkSettings) -> tuple[int, int]:
    """Compute the receptive field and the stride of a network, in pixels of its input.

    Each unpadded convolution widens the field by (kernel - 1) x dilation x the accumulated stride.
    """
    if settings.name == ENCODER_DECODER:
        return EncoderDecoderShape.FIELD_PX, EncoderDecoderShape.STRIDE_PX
    field, stride = 1, 1
    for layer in NETWORKS[settings.name]:
        field += (layer.kernel - 1) * layer.dilation * stride
        other_stride = stride if layer.late else stride * layer.stride
        stride *= layer.stride
        if layer.residual:
            field += (layer.kernel - 1) * other_stride
    return field, stride


def count_features(settings: NetworkSettings) -> int:
    """Return the length of the feature vectors of a network, the input of its linear head."""
    if settings.name == ENCODER_DECODER:
        return settings.width
    return NETWORKS[settings.name][-1].channels * settings.width
