"""Networks that score micrograph regions, and the decoder that regularizes their training.

Apart from the encoder-decoder of the general model, all convolutions are unpadded, so a network
applied to a large image gives at each position exactly the score of the crop there. Receptive field
and stride are computed from the list of layers; other code reads them from the network.

- `Scorer`: a fully convolutional network with a linear head that returns logits.
- `build_scorer`, `extract_network`: convert a trained network to such a module and back.
- `Decoder`: reconstruct regions from feature vectors, for the autoencoder loss.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from cryopick.array_types import Float
from cryopick.model.architectures import (
    ENCODER_DECODER,
    NETWORKS,
    Layer,
    NetworkSettings,
    compute_geometry,
    count_features,
)
from cryopick.model.encoder_decoder import EncoderDecoder
from cryopick.model.trained_network import TrainedNetwork

__all__ = ["Decoder", "Scorer", "build_scorer", "extract_network"]


class _Convolution(nn.Sequential):
    """A convolution, batch normalisation and PReLU."""

    def __init__(self, channels_in: int, channels: int, layer: Layer) -> None:
        super().__init__(
            _make_convolution(channels_in, channels, layer),
            nn.BatchNorm2d(channels),
            _PReLU(channels),
        )


class _PReLU(nn.PReLU):
    """A PReLU whose gradient is computed several times faster on processors."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply negative values by the slope of their channel."""
        if x.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(x)
        slopes = self.weight.to(x.dtype)
        result: Tensor = _RectifyOnCpu.apply(x, slopes)  # type: ignore[no-untyped-call]  # untyped
        return result


class _RectifyOnCpu(torch.autograd.Function):
    """PReLU by operations that are vectorized in bfloat16, which its gradient in torch is not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:  # noqa: ANN401  # of torch
        ctx.save_for_backward(x, slopes)
        return nn.functional.prelu(x, slopes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        (gradient,) = gradients
        x, slopes = ctx.saved_tensors
        above = torch.ops.aten.threshold_backward(gradient, x, 0)  # the gradient of ReLU
        below = gradient - above
        wide = torch.promote_types(x.dtype, torch.float32)
        of_slopes = (x * below).sum(dim=(0, 2, 3), dtype=wide).to(slopes.dtype)
        return above.addcmul_(below, slopes[:, None, None]), of_slopes


class _Residual(nn.Module):
    """Two convolutions and a shortcut that is cropped to the same centre."""

    def __init__(self, channels_in: int, channels: int, layer: Layer) -> None:
        super().__init__()
        self.first = _Convolution(channels_in, channels, layer)
        self.second = nn.Conv2d(channels, channels, layer.kernel, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = _PReLU(channels)
        self.shortcut: nn.Module = _make_shortcut(channels_in, channels, layer)
        # The two filters crop the image by this much on each side, in input pixels.
        self.margin: int = layer.kernel // 2 * (layer.dilation + layer.stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of all positions inside the image."""
        out = self.norm(self.second(self.first(x)))
        inner = x[..., self.margin :, self.margin :]
        skip = self.shortcut(inner)[..., : out.shape[-2], : out.shape[-1]]
        return self.activation(out + skip)


class _LateResidual(nn.Module):
    """A residual layer whose second convolution has the stride, and whose sum is normalised."""

    shortcut: nn.Module

    def __init__(self, channels_in: int, channels: int, layer: Layer) -> None:
        super().__init__()
        plain = Layer(kernel=layer.kernel, channels=layer.channels)
        self.first: nn.Module = _Convolution(channels_in, channels_in, plain)
        self.second: nn.Conv2d = _make_convolution(channels_in, channels, layer)
        self.after: nn.Sequential = nn.Sequential(nn.BatchNorm2d(channels), _PReLU(channels))
        self.shortcut = _make_shortcut(channels_in, channels, layer)
        self.margin: int = layer.kernel // 2 * (1 + layer.dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of all positions inside the image."""
        out = self.second(self.first(x))
        inner = x[..., self.margin :, self.margin :]
        return self.after(out + self.shortcut(inner)[..., : out.shape[-2], : out.shape[-1]])


class Scorer(nn.Module):
    """A network that returns, for every region of an image, the logit that it shows a particle.

    Attributes:
        settings: Settings from which the network was built.
        receptive_field_px: Side of the region on which one score depends; odd.
        stride_px: Distance between neighbouring scores.
        features: Length of the feature vector, the input of the linear head.
    """

    receptive_field_px: int
    stride_px: int
    features: int

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder: nn.Sequential | EncoderDecoder
        if settings.name == ENCODER_DECODER:
            self.encoder = EncoderDecoder(settings.width)
        else:
            self.encoder = _make_encoder(NETWORKS[settings.name], settings.width)
        self.features = count_features(settings)
        self.receptive_field_px, self.stride_px = compute_geometry(settings)
        self.dropout: nn.Dropout2d = nn.Dropout2d(settings.dropout)
        self.head: nn.Linear = nn.Linear(self.features, 1)

    def encode(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Compute the feature vectors of all regions, the input of the linear head."""
        features: Tensor = self.encoder(images)
        return features

    def forward(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch rows columns"]:
        """Compute the logits of all regions at the stride of the network, from the top left on."""
        return self.classify(self.encode(images))

    def classify(
        self, features: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch rows columns"]:
        """Compute logits from feature vectors."""
        return self.head(self.dropout(features).movedim(1, -1))[..., 0]

    def initialize_head(self, prior: float) -> None:
        """Initialize the head so that the untrained network predicts the probability `prior`.

        Training then starts near the expected class prior instead of at a probability of 0.5.
        """
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.fill_(math.log(prior / (1 - prior)))


def build_scorer(network: TrainedNetwork) -> Scorer:
    """Build the module of a trained network, in evaluation mode, with the same arrays."""
    with torch.device("meta"):  # shapes without memory
        scorer = Scorer(network.settings)
    tensors = {name: torch.from_numpy(values) for name, values in network.weights.items()}
    scorer.load_state_dict(tensors, assign=True)
    return scorer.eval()


def extract_network(scorer: Scorer) -> TrainedNetwork:
    """Copy the settings and weights of a module."""
    weights = {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in scorer.state_dict().items()
    }
    return TrainedNetwork(scorer.settings, weights)


class Decoder(nn.Module):
    """Reconstruct regions from feature vectors by transposed convolutions.

    The layers double the side up to the receptive field, as in the paper: 1, 4, 8, 16, 31
    for a field of 31. If the field is not 2^n - 1, the next larger image is cropped.

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
        for width_in, width_out in pairwise(widths):
            layers += [
                nn.BatchNorm2d(width_in),
                nn.LeakyReLU(0.2),
                nn.ConvTranspose2d(width_in, width_out, 4, stride=2, padding=1, bias=False),
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
        """Reconstruct regions of the size of the receptive field."""
        images = self.layers(features[:, :, None, None])[:, 0]
        start = (images.shape[-1] - self.receptive_field_px) // 2
        stop = start + self.receptive_field_px
        return images[:, start:stop, start:stop]


def _make_encoder(layers: Sequence[Layer], width: int) -> nn.Sequential:
    """Make the layers of a network, the first of which has one input channel."""
    blocks: list[nn.Module] = []
    channels = 1
    for layer in layers:
        block = _LateResidual if layer.late else _Residual if layer.residual else _Convolution
        blocks.append(block(channels, layer.channels * width, layer))
        channels = layer.channels * width
    return nn.Sequential(*blocks)


def _make_convolution(channels_in: int, channels: int, layer: Layer) -> nn.Conv2d:
    """Make the unpadded convolution of a layer."""
    return nn.Conv2d(
        channels_in,
        channels,
        layer.kernel,
        stride=layer.stride,
        dilation=layer.dilation,
        bias=False,
    )


def _make_shortcut(channels_in: int, channels: int, layer: Layer) -> nn.Module:
    """Make the shortcut of a residual layer: the identity, or a convolution if shapes differ."""
    if layer.stride == 1 and channels == channels_in:
        return nn.Identity()
    return nn.Conv2d(channels_in, channels, 1, stride=layer.stride, bias=False)
