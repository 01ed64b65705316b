"""Network that scores the regions of a tomogram.

It is of the same kind as those for micrographs: unpadded convolutions with batch normalisation and
PReLU, a stride of 2 in the first layer, and a linear head with one logit for each class of
particles. Applied to a large volume, it gives at each position exactly the score of the crop there.

- `Scorer3d`: the network.
- `FIELD_PX`, `STRIDE_PX`: receptive field and stride in working voxels.
"""

import math

import torch
from torch import Tensor, nn

from cryopick.array_types import Float

__all__ = ["FIELD_PX", "STRIDE_PX", "Scorer3d"]

_KERNELS = (5, 3, 3, 3)
_CHANNELS = (16, 24, 32, 32)
STRIDE_PX = 2  # of the first layer
FIELD_PX = _KERNELS[0] + STRIDE_PX * sum(kernel - 1 for kernel in _KERNELS[1:])


class Scorer3d(nn.Module):
    """A network that returns, for every region of a volume, one logit for each class.

    Attributes:
        classes: Number of classes of particles.
        width: Factor of the number of channels.
    """

    def __init__(self, classes: int = 1, width: int = 1) -> None:
        super().__init__()
        self.classes, self.width = classes, width
        layers: list[nn.Module] = []
        channels_in = 1
        for number, (kernel, base) in enumerate(zip(_KERNELS, _CHANNELS, strict=True)):
            channels, stride = base * width, 1 if number else STRIDE_PX
            layers += [
                nn.Conv3d(channels_in, channels, kernel, stride=stride, bias=False),
                nn.BatchNorm3d(channels),
                nn.PReLU(channels),
            ]
            channels_in = channels
        self.encoder: nn.Sequential = nn.Sequential(*layers)
        self.head: nn.Conv3d = nn.Conv3d(channels_in, classes, 1)

    def forward(
        self, volumes: Float[Tensor, "batch 1 depth height width"]
    ) -> Float[Tensor, "batch {self.classes} z y x"]:
        """Compute the logits of all regions, from the first corner on."""
        return self.head(self.encoder(volumes))

    def initialize_head(self, prior: float) -> None:
        """Initialize the head so that the untrained network predicts the probability `prior`."""
        with torch.no_grad():
            self.head.weight.zero_()
            assert self.head.bias is not None
            self.head.bias.fill_(math.log(prior / (1 - prior)))
