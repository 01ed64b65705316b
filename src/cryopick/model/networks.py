"""Networks that score a micrograph region, and the decoder that regularises them.

Every convolution is unpadded, so a network slid over a large image gives at each place
exactly what it gives for the crop there. Receptive field and stride follow from the list
of layers; other code reads them from the network and assumes nothing.

- `NETWORKS`: the networks by name, as lists of layers.
- `Scorer`: a network with its linear head; logits out.
- `Residual`, `LateResidual`: layers that scoring changes in ways of their own.
- `Decoder`: feature vectors back to regions, for the autoencoder term.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cryopick.array_types import Float

__all__ = ["NETWORKS", "Decoder", "LateResidual", "Layer", "NetworkSettings", "Residual", "Scorer"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution with batch normalisation and PReLU, or a residual pair of them.

    Attributes:
        kernel: Side of the filter in pixels of the layer's input.
        channels: Output channels, in multiples of the network's width.
        stride: Step between outputs; of the first convolution in a residual layer.
        dilation: Spacing of the filter's taps; of the first in a residual layer.
        residual: Two convolutions with a shortcut around them, as in He et al. 2016.
        late: In a residual layer, stride, dilation and channels are those of the second
            convolution while the first keeps what came in, and the sum is normalised.
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
    # Wider context at the same stride: dilation doubles what a 5 x 5 filter adds.
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
    # The networks of Topaz 0.3, so that its detectors can be used: what it calls resnet8,
    # resnet16, conv63 and conv127. Its conv31 is the paper's.
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
    # Six diameters of context at a fine stride, for less arithmetic than conv31 takes: the
    # channels stay few, and dilation does the work of pooling (decision 0008).
    "dilated101": (
        Layer(kernel=5, channels=1, stride=2),
        Layer(kernel=3, channels=1, residual=True),
        Layer(kernel=3, channels=1, dilation=2, residual=True),
        Layer(kernel=3, channels=1, dilation=4, residual=True),
        Layer(kernel=3, channels=1, dilation=8, residual=True),
        Layer(kernel=3, channels=1, dilation=4, residual=True),
    ),
}


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """What it takes to build a network again: its name, width and dropout.

    Attributes:
        name: A key of `NETWORKS`.
        width: Channels of the narrowest layer; the paper's network has 32.
        dropout: Share of feature channels dropped before the head while training.
    """

    name: str = "conv31"
    width: int = 32
    dropout: float = 0.5

    def __post_init__(self) -> None:
        from cryopick.errors import SettingsError

        if self.name not in NETWORKS:
            raise SettingsError(
                f"there is no network {self.name!r}; choose one of {', '.join(NETWORKS)}"
            )
        if self.width < 1:
            raise SettingsError(f"width must be at least 1 channel; got {self.width}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout must be at least 0 and below 1; got {self.dropout}")


class _Convolution(nn.Sequential):
    """Convolution, batch normalisation, PReLU."""

    def __init__(self, channels_in: int, channels: int, layer: Layer) -> None:
        super().__init__(
            _filter(channels_in, channels, layer),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
        )


class Residual(nn.Module):
    """Two convolutions and a shortcut, cropped so that both see the same centre."""

    def __init__(self, channels_in: int, channels: int, layer: Layer) -> None:
        super().__init__()
        self.first = _Convolution(channels_in, channels, layer)
        self.second = nn.Conv2d(channels, channels, layer.kernel, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.PReLU(channels)
        self.shortcut: nn.Module = _shortcut(channels_in, channels, layer)
        # Two odd filters shorten the image by this much on each side, in input pixels.
        self.margin: int = layer.kernel // 2 * (layer.dilation + layer.stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features of all places that the layer's field fits around."""
        out = self.norm(self.second(self.first(x)))
        inner = x[..., self.margin :, self.margin :]
        short = self.shortcut(inner)[..., : out.shape[-2], : out.shape[-1]]
        return self.activation(out + short)


class LateResidual(nn.Module):
    """The same with the second convolution as the layer says, and the sum normalised."""

    shortcut: nn.Module

    def __init__(self, channels_in: int, channels: int, layer: Layer) -> None:
        super().__init__()
        plain = Layer(kernel=layer.kernel, channels=layer.channels)
        self.first: nn.Module = _Convolution(channels_in, channels_in, plain)
        self.second: nn.Conv2d = _filter(channels_in, channels, layer)
        self.after: nn.Sequential = nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))
        self.shortcut = _shortcut(channels_in, channels, layer)
        self.margin: int = layer.kernel // 2 * (1 + layer.dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Features of all places that the layer's field fits around."""
        out = self.second(self.first(x))
        inner = x[..., self.margin :, self.margin :]
        return self.after(out + self.shortcut(inner)[..., : out.shape[-2], : out.shape[-1]])

    def fold(self) -> None:
        """Make the normalisation of the sum part of both its terms, for scoring."""
        norm = self.after[0]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_var is not None
        scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
        self.second = fuse_conv_bn_eval(self.second, norm)
        short = self.shortcut
        if not isinstance(short, nn.Conv2d):
            short = nn.Conv2d(len(scale), len(scale), 1, groups=len(scale), bias=False)
            nn.init.ones_(short.weight)
        short.weight = nn.Parameter(short.weight.detach() * scale[:, None, None, None])
        self.shortcut = short
        self.after = nn.Sequential(nn.Identity(), self.after[1])


class Scorer(nn.Module):
    """A network that gives every region of an image the logit that a particle sits there.

    Attributes:
        settings: What builds this network again.
        receptive_field_px: Side of the region that one score sees; odd.
        stride_px: Distance between neighbouring scores.
        features: Length of the vector that the linear head reads.
    """

    receptive_field_px: int
    stride_px: int

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        layers = NETWORKS[settings.name]
        self.receptive_field_px, self.stride_px = _reach(layers)
        self.features: int = layers[-1].channels * settings.width
        blocks: list[nn.Module] = []
        channels = 1
        for layer in layers:
            block = LateResidual if layer.late else Residual if layer.residual else _Convolution
            wider = layer.channels * settings.width
            blocks.append(block(channels, wider, layer))
            channels = wider
        self.encoder: nn.Sequential = nn.Sequential(*blocks)
        self.dropout: nn.Dropout2d = nn.Dropout2d(settings.dropout)
        self.head: nn.Linear = nn.Linear(self.features, 1)

    def encode(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Feature vectors of all regions, before the linear head."""
        return self.encoder(images)

    def forward(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch rows columns"]:
        """Logits of all regions at the network's stride; the first is of the top left one."""
        return self.classify(self.encode(images))

    def classify(
        self, features: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch rows columns"]:
        """Logits from feature vectors."""
        return self.head(self.dropout(features).movedim(1, -1))[..., 0]

    def start_at(self, prior: float) -> None:
        """Set the head so that an untrained network expects the share `prior` of positives.

        Training then starts near the constraint instead of at even odds for every region.
        """
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.fill_(math.log(prior / (1 - prior)))


class Decoder(nn.Module):
    """From a feature vector back to the region, by transposed convolutions.

    The layers double the side up to the receptive field, as in the paper: 1, 4, 8, 16, 31
    for a field of 31. A field that is no 2^n - 1 is cut from the next larger picture.

    Source: Bepler et al. 2019, Methods, after Radford et al. 2015 (DCGAN).
    """

    def __init__(self, features: int, receptive_field_px: int) -> None:
        super().__init__()
        self.receptive_field_px = receptive_field_px
        widths, side = [features], 4
        while 2 * side - 1 < receptive_field_px:
            widths.append(max(32, widths[-1] // 2))
            side *= 2
        layers: list[nn.Module] = [nn.ConvTranspose2d(features, widths[0], 4, bias=False)]
        for before, after in pairwise(widths):
            layers += [
                nn.BatchNorm2d(before),
                nn.LeakyReLU(0.2),
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            ]
        layers += [
            nn.BatchNorm2d(widths[-1]),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(widths[-1], 1, 3, stride=2, padding=1),
        ]
        self.layers: nn.Sequential = nn.Sequential(*layers)

    def forward(
        self, features: Float[Tensor, "regions features"]
    ) -> Float[Tensor, "regions side side"]:
        """Rebuild regions of the network's receptive field from their feature vectors."""
        picture = self.layers(features[:, :, None, None])[:, 0]
        start = (picture.shape[-1] - self.receptive_field_px) // 2
        stop = start + self.receptive_field_px
        return picture[:, start:stop, start:stop]


def _filter(channels_in: int, channels: int, layer: Layer) -> nn.Conv2d:
    """An unpadded convolution, as the layer says."""
    return nn.Conv2d(
        channels_in,
        channels,
        layer.kernel,
        stride=layer.stride,
        dilation=layer.dilation,
        bias=False,
    )


def _shortcut(channels_in: int, channels: int, layer: Layer) -> nn.Module:
    """What brings the input of a residual layer to the shape of its output."""
    if layer.stride == 1 and channels == channels_in:
        return nn.Identity()
    return nn.Conv2d(channels_in, channels, 1, stride=layer.stride, bias=False)


def _reach(layers: Sequence[Layer]) -> tuple[int, int]:
    """Receptive field and stride of a stack of unpadded convolutions.

    Each convolution widens the field by (kernel - 1) x dilation x the stride so far.
    """
    field, stride = 1, 1
    for layer in layers:
        field += (layer.kernel - 1) * layer.dilation * stride
        plain_stride = stride if layer.late else stride * layer.stride
        stride *= layer.stride
        if layer.residual:
            field += (layer.kernel - 1) * plain_stride
    return field, stride
