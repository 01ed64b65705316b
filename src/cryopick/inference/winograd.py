"""Winograd convolution: a third of the multiplications, for convolutions of many channels on CPUs.

A tile of outputs is a polynomial product, computed from its values at a few points instead of its
coefficients: transform the pixels of a tile, multiply them by the transformed filter channel by
channel, and transform the products back. All three steps are matrix products. The rounding error
in float32 is about 1e-5 of the largest output; in bfloat16 it would be too large.

- `WinogradConv2d`: replacement of a convolution.
- `is_worthwhile`: test if it is faster for a convolution.

Source: Winograd 1980, Arithmetic complexity of computations; Lavin and Gray 2016, Fast
algorithms for convolutional neural networks.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from cryopick.array_types import Float, Float64

__all__ = ["WinogradConv2d", "is_worthwhile"]

_TILE = 4  # outputs per side of a tile: larger tiles lose accuracy, smaller ones save less
_TILES = 32  # tiles transformed at once, so that the result fits the cache of a core
_KERNEL = 5
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity
_MIN_CHANNELS = 32  # with fewer channels, the transforms cost more than is saved


def is_worthwhile(convolution: nn.Conv2d) -> bool:
    """Return true if `WinogradConv2d` is faster: unstrided 5 x 5 filters of many channels."""
    return (
        convolution.kernel_size == (_KERNEL, _KERNEL)
        and convolution.stride == (1, 1)
        and convolution.padding == (0, 0)
        and convolution.groups == 1
        and min(convolution.in_channels, convolution.out_channels) >= _MIN_CHANNELS
    )


class WinogradConv2d(nn.Module):
    """An unpadded convolution by the algorithm of Winograd, with the same result up to rounding.

    Args:
        convolution: A convolution with 5 x 5 filters, stride 1 and any dilation.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        to_values, filter_transform, to_outputs = _compute_transforms()
        weight = convolution.weight.detach().double().cpu().numpy()
        filters = np.einsum("ir,ocrs,js->ijco", filter_transform, weight, filter_transform)
        side = len(to_values)
        self.dilation = convolution.dilation[0]
        self.filters = nn.Buffer(_float32(filters.reshape(side**2, *filters.shape[2:])))
        self.to_values = nn.Buffer(_float32(np.kron(to_values, to_values)))
        self.to_outputs = nn.Buffer(_float32(np.kron(to_outputs, to_outputs)))
        bias = convolution.bias
        self.bias = nn.Buffer(self.filters.new_zeros(1) if bias is None else bias.detach().clone())

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        """Compute the convolution; the result is channels last in memory."""
        step = self.dilation
        images = x.permute(0, 2, 3, 1)
        batch, height, width, _ = images.shape
        crop = step * (_KERNEL - 1)
        outputs = x.new_empty(batch, height - crop, width - crop, self.filters.shape[2])
        for image, output in zip(images, outputs, strict=True):
            # A dilated filter combines only pixels of equal phase.
            for row, column in product(range(step), repeat=2):
                phase = (slice(row, None, step), slice(column, None, step))
                if output[phase].numel():
                    self._convolve(image[phase], output[phase])
        return outputs.permute(0, 3, 1, 2)

    def _convolve(
        self,
        image: Float[Tensor, "height width inputs"],
        out: Float[Tensor, "new_height new_width outputs"],
    ) -> None:
        """Write the undilated convolution of an image to `out`."""
        side = _TILE + _KERNEL - 1
        inputs, outputs = self.filters.shape[1:]
        rows, columns = (-(-length // _TILE) for length in out.shape[:2])
        across = -(-columns // -(-columns // _TILES))  # a long row is split into equal parts
        down = min(rows, max(1, _TILES // columns))  # short rows are processed together
        columns, rows = columns + -columns % across, rows + -rows % down
        missing = (
            along * _TILE + _KERNEL - 1 - length
            for along, length in zip((columns, rows), image.shape[1::-1], strict=True)
        )
        pad_right, pad_bottom = missing
        padded = nn.functional.pad(image, (0, 0, 0, pad_right, 0, pad_bottom))
        tiles = padded.unfold(0, side, _TILE).unfold(1, side, _TILE).permute(3, 4, 0, 1, 2)
        # Buffers are allocated once, as allocation would take as long as the computation.
        count = down * across
        pixels = out.new_empty(side, side, down, across, inputs)
        values = out.new_empty(side**2, count * inputs)
        products = out.new_empty(side**2, count, outputs)
        results = out.new_empty(_TILE**2, count * outputs)
        strip = out.new_empty(down, _TILE, columns, _TILE, outputs)
        for row in range(0, rows, down):
            for column in range(0, columns, across):
                pixels.copy_(tiles[:, :, row : row + down, column : column + across])
                torch.mm(self.to_values, pixels.view(side**2, -1), out=values)
                torch.bmm(values.view(side**2, count, inputs), self.filters, out=products)
                torch.mm(self.to_outputs, products.view(side**2, -1), out=results)
                arranged = results.view(_TILE, _TILE, down, across, outputs).permute(2, 0, 3, 1, 4)
                torch.add(arranged, self.bias, out=strip[:, :, column : column + across])
            rows_out = out[row * _TILE : (row + down) * _TILE]
            rows_out.copy_(strip.view(down * _TILE, -1, outputs)[: len(rows_out), : out.shape[1]])


def _compute_transforms() -> tuple[Float64[np.ndarray, "..."], ...]:
    """Compute the transforms of pixels, of a filter and of products, along one axis.

    For outputs y, filter g and pixels d, the Toom-Cook algorithm is y = C ((F g) * (V d)). V and F
    evaluate polynomials at the points, the last of which is infinity. C is transposed here,
    because the filter is correlated instead of convolved.
    """
    points = np.array(_POINTS)
    others = [np.delete(points, index) for index in range(len(points))]
    side = len(points) + 1
    to_values = np.zeros((side, side))
    for row, roots in zip(to_values, others, strict=False):
        row[:-1] = np.poly(roots)[::-1]
    to_values[-1] = np.poly(points)[::-1]
    scale = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    infinity = np.eye(1, _KERNEL, _KERNEL - 1)
    filter_transform = np.vander(points, _KERNEL, increasing=True) / np.array(scale)[:, None]
    to_outputs = np.vander(points, _TILE, increasing=True)
    return (
        to_values,
        np.vstack([filter_transform, infinity]),
        np.vstack([to_outputs, np.eye(1, _TILE, _TILE - 1)]).T,
    )


def _float32(values: Float64[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
