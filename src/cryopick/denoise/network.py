"""The network of the denoiser: a U-Net that attenuates the bands of an image.

The image is split into bands of spatial frequency, a Laplacian pyramid. At each level, the network
computes a gain between 0 and 1 for each position of the band, and a correction. Before training,
the gains are those of a low-pass filter and the corrections are 0. Images are padded with zeros in
every layer.

- `DenoisingNetwork`: estimate an image without noise.

Sources: Burt & Adelson 1983, The Laplacian pyramid as a compact image code, IEEE Trans. Commun.
31:532; Ronneberger et al. 2015, U-Net: convolutional networks for biomedical image segmentation,
MICCAI.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d

from cryopick.array_types import Float

__all__ = ["DenoisingNetwork"]

_CHANNELS = (32, 48, 96, 128)
_SLOPE = 0.1  # of the leaky rectifier below 0
_BINOMIAL = (1.0, 3.0, 3.0, 1.0)  # filter of the pyramid along an axis
_MIN_ENERGY = 0.1
_FIRST_LOGITS = (-3.5, -2.0, -0.8, 0.4, 1.4)  # of the gains, from fine to coarse


class DenoisingNetwork(nn.Module):
    """A U-Net from a noisy image to an estimate of the image without noise.

    Images have a background of mean 0 and noise of standard deviation 1. Sides must be multiples
    of `ALIGNMENT_PX`.

    Attributes:
        ALIGNMENT_PX: Stride of the deepest level.
        CONTEXT_PX: Distance beyond which no pixel changes an output; a multiple of the stride.
    """

    ALIGNMENT_PX = 16
    CONTEXT_PX = 128

    def __init__(self, channels: tuple[int, int, int, int] = _CHANNELS) -> None:
        """Draw random weights.

        Args:
            channels: Numbers of features at strides of 2, 4, 8 and 16 pixels.
        """
        super().__init__()
        first, second, third, fourth = channels
        self.encode1 = _Level(1, first, kernel=6)
        self.encode2 = nn.Sequential(_Level(first, second), _ResidualPair(second))
        self.encode3 = nn.Sequential(_Level(second, third), _ResidualPair(third))
        self.encode4 = nn.Sequential(_Level(third, fourth), _ResidualPair(fourth))
        self.decode3 = _Merge(fourth, third)
        self.decode2 = _Merge(third, second)
        self.decode1 = _Merge(second, first)
        heads = [nn.Conv2d(count, 2, 3, padding=1) for count in channels]
        self.heads = nn.ModuleList([nn.ConvTranspose2d(first, 2, 2, stride=2), *heads])
        filter_1d = torch.tensor(_BINOMIAL) / sum(_BINOMIAL)
        self.register_buffer("filter", torch.outer(filter_1d, filter_1d)[None, None])
        self._initialize()

    def forward(self, images: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Estimate the images without noise."""
        means = [images]
        for _ in range(4):
            means.append(self._reduce(means[-1]))
        bands = [fine - self._enlarge(coarse) for fine, coarse in pairwise(means)] + means[-1:]
        views = [_view(2**level * means[level], 2**level * bands[level]) for level in (1, 2, 3, 4)]
        level1 = self.encode1((images, views[0]))
        level2 = self.encode2((level1, views[1]))
        level3 = self.encode3((level2, views[2]))
        level4 = self.encode4((level3, views[3]))
        merged3 = self.decode3(level4, level3)
        merged2 = self.decode2(merged3, level2)
        merged1 = self.decode1(merged2, level1)
        features = (merged1, merged1, merged2, merged3, level4)
        estimate = self._attenuate(4, bands[4], features[4])
        for level in (3, 2, 1, 0):
            estimate = self._enlarge(estimate) + self._attenuate(
                level, bands[level], features[level]
            )
        return estimate

    def _attenuate(self, level: int, band: Tensor, features: Tensor) -> Tensor:
        """Multiply a band by its gain and add the correction."""
        logit, correction = self.heads[level](features).split(1, dim=1)
        result: Tensor = torch.sigmoid(logit) * band + correction
        return result

    def _reduce(self, images: Tensor) -> Tensor:
        """Halve the resolution of images."""
        return conv2d(images, self.get_buffer("filter"), stride=2, padding=1)

    def _enlarge(self, images: Tensor) -> Tensor:
        """Double the resolution of images."""
        return conv_transpose2d(images, 4 * self.get_buffer("filter"), stride=2, padding=1)

    def _initialize(self) -> None:
        """Draw He's weights; residual branches start small, and the corrections at 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            if isinstance(module, _ResidualPair):
                module.second.weight.data.mul_(0.2)
        for head, logit in zip(self.heads, _FIRST_LOGITS, strict=True):
            assert isinstance(head, nn.Conv2d | nn.ConvTranspose2d)
            assert head.bias is not None
            nn.init.zeros_(head.weight)
            head.bias.data[0] = logit


class _Level(nn.Module):
    """A convolution that halves the resolution, and views of the image at that resolution."""

    def __init__(self, channels_in: int, channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, kernel, stride=2, padding=(kernel - 1) // 2)
        self.view = nn.Conv2d(2, channels, 3, padding=1)
        self.activation = _activation()

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Combine the finer level and the views."""
        finer, views = inputs
        result: Tensor = self.activation(self.down(finer) + self.view(views))
        return result


class _ResidualPair(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = _activation()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the sum of the input and both convolutions."""
        result: Tensor = self.activation(x + self.second(self.activation(self.first(x))))
        return result


class _Merge(nn.Module):
    """Double the resolution of a level and add it to the next finer one."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels_in, channels, 2, stride=2)
        self.pair = _ResidualPair(channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Combine both levels at the resolution of the finer one."""
        result: Tensor = self.pair(self.upsample(coarse) + fine)
        return result


def _view(mean: Tensor, band: Tensor) -> Tensor:
    """Stack an image and the logarithm of the local energy of its band, which noise leaves low."""
    energy = torch.log(_MIN_ENERGY + avg_pool2d(band.square(), 3, stride=1, padding=1))
    return torch.cat([mean, energy], dim=1)


def _activation() -> nn.LeakyReLU:
    return nn.LeakyReLU(_SLOPE)
