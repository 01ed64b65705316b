"""The encoder-decoder of the general model.

Strided layers give it a wide view at little cost, and layers that double the resolution again give
scores at every second pixel. Unlike the networks of `networks.py`, it pads its images with zeros
in every layer, so that the score of a crop differs slightly from that of the whole image.

- `EncoderDecoder`: features of every second pixel.

Source: Ronneberger et al. 2015, U-Net: convolutional networks for biomedical image segmentation,
MICCAI; residual pairs after He et al. 2016.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from cryopick.array_types import Float
from cryopick.model.architectures import EncoderDecoderShape

__all__ = ["EncoderDecoder"]


class EncoderDecoder(nn.Module):
    """A fully convolutional encoder-decoder whose features lie on every second pixel."""

    STRIDE_PX = EncoderDecoderShape.STRIDE_PX
    FIELD_PX = EncoderDecoderShape.FIELD_PX
    CONTEXT_PX = EncoderDecoderShape.CONTEXT_PX
    ALIGNMENT_PX = EncoderDecoderShape.ALIGNMENT_PX

    def __init__(self, features: int) -> None:
        super().__init__()
        stem = EncoderDecoderShape.STEM_CHANNELS
        first, second, third, fourth = EncoderDecoderShape.LEVEL_CHANNELS
        self.stem = _Convolution(1, stem, kernel=5, stride=2)
        self.level1 = nn.Sequential(_Convolution(stem, first), _ResidualPair(first))
        self.level2 = nn.Sequential(_Convolution(first, second, stride=2), _ResidualPair(second))
        self.level3 = nn.Sequential(_Convolution(second, third, stride=2), _ResidualPair(third))
        self.level4 = nn.Sequential(
            _Convolution(third, fourth, stride=2), _ResidualPair(fourth), _ResidualPair(fourth)
        )
        self.merge3 = _Merge(fourth, third, third)
        self.merge2 = _Merge(third, second, second)
        self.merge1 = _Merge(second, first, features)

    def forward(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Compute the features of all crops of `FIELD_PX` inside the images."""
        margin = self.FIELD_PX // 2 // self.STRIDE_PX
        rows, columns = ((side - self.FIELD_PX) // self.STRIDE_PX + 1 for side in images.shape[-2:])
        features = self.encode_all(images)
        return features[..., margin : margin + rows, margin : margin + columns]

    def encode_all(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Compute the features at every second pixel from (0, 0) on, up to the edges.

        The layers compute in the precision of their weights.
        """
        height, width = images.shape[-2:]
        missing = (-width % self.ALIGNMENT_PX, -height % self.ALIGNMENT_PX)
        precision = self.merge1.reduce.weight.dtype
        padded = pad(images, (0, missing[0], 0, missing[1])).to(precision)
        level1 = self.level1(self.stem(padded))
        level2 = self.level2(level1)
        level3 = self.level3(level2)
        merged = self.merge2(self.merge3(self.level4(level3), level3), level2)
        features: Tensor = self.merge1(merged, level1)
        return features[..., : -(-height // 2), : -(-width // 2)].to(images.dtype)


class _Convolution(nn.Sequential):
    """A padded convolution, batch normalisation and ReLU."""

    def __init__(
        self, channels_in: int, channels: int, *, kernel: int = 3, stride: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(
                channels_in, channels, kernel, stride=stride, padding=kernel // 2, bias=False
            ),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )


class _ResidualPair(nn.Module):
    """Two padded convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the sum of the input and both convolutions."""
        result: Tensor = self.activation(x + self.second(self.first(x)))
        return result


class _Upsampling(nn.ConvTranspose2d):
    """Double the resolution, with a 3 x 3 filter for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            channels,
            channels,
            3,
            stride=2,
            padding=1,
            output_padding=1,
            groups=channels,
            bias=False,
        )

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Double the resolution of an image."""
        if input.device.type != "cpu" or input.dtype != torch.bfloat16:
            return super().forward(input, output_size)
        # Filters between all channels, most of them 0: in bfloat16, oneDNN is slow with groups.
        filters = torch.diag_embed(self.weight[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1)
        return conv_transpose2d(input, filters, stride=2, padding=1, output_padding=1)


class _Merge(nn.Module):
    """Double the resolution of a level and combine it with the next finer one."""

    def __init__(self, channels_in: int, channels_fine: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.upsample = _Upsampling(channels)
        self.fine = nn.Conv2d(channels_fine, channels, 1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        self.activation = nn.ReLU()
        self.pair = _ResidualPair(channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Combine both levels at the resolution of the finer one."""
        summed = self.upsample(self.reduce(coarse)) + self.fine(fine)
        result: Tensor = self.pair(self.activation(self.norm(summed)))
        return result
