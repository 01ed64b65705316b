"""Convolutions of many channels for a third of the arithmetic, on processors.

A tile of outputs is a polynomial product, found from its values at a few points instead of
from its terms: transform the pixels of a tile, multiply them with the transformed filter,
channel by channel, transform back. All three are products of matrices. Rounding grows a little:
float32 stays within some 1e-5 of the greatest output, which bfloat16 would not.

- `Winograd`: stands in for a convolution.
- `is_worthwhile`: whether it is faster for one.

Source: Winograd 1980, Arithmetic complexity of computations; Lavin and Gray 2016, Fast
algorithms for convolutional neural networks.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from cryopick.array_types import Float, Float64

__all__ = ["Winograd", "is_worthwhile"]

_TILE = 4  # outputs along a side of a tile: more round too much, fewer spare too little
_TILES = 32  # transformed at once: what they become fits the cache of a core
_KERNEL = 5
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity
_CHANNELS = 32  # with fewer, the transforms take what the multiplications spare


def is_worthwhile(convolution: nn.Conv2d) -> bool:
    """Whether `Winograd` is faster: filters of 5 x 5 at each pixel, and many channels."""
    return (
        convolution.kernel_size == (_KERNEL, _KERNEL)
        and convolution.stride == (1, 1)
        and convolution.padding == (0, 0)
        and convolution.groups == 1
        and min(convolution.in_channels, convolution.out_channels) >= _CHANNELS
    )


class Winograd(nn.Module):
    """An unpadded convolution by Winograd's algorithm; the result is that of the convolution.

    Args:
        convolution: With filters of 5 x 5, a stride of 1, and any dilation.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        to_values, of_filter, to_outputs = _matrices()
        weight = convolution.weight.detach().double().cpu().numpy()
        filters = np.einsum("ir,ocrs,js->ijco", of_filter, weight, of_filter)
        side = len(to_values)
        self.dilation = convolution.dilation[0]
        self.filters = nn.Buffer(_float32(filters.reshape(side**2, *filters.shape[2:])))
        self.to_values = nn.Buffer(_float32(np.kron(to_values, to_values)))
        self.to_outputs = nn.Buffer(_float32(np.kron(to_outputs, to_outputs)))
        bias = convolution.bias
        self.bias = nn.Buffer(self.filters.new_zeros(1) if bias is None else bias.detach().clone())

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        """What the convolution would give, channels last in memory."""
        step = self.dilation
        images = x.permute(0, 2, 3, 1)
        batch, height, width, _ = images.shape
        reach = step * (_KERNEL - 1)
        out = x.new_empty(batch, height - reach, width - reach, self.filters.shape[2])
        for one, into in zip(images, out, strict=True):
            for row, column in product(range(step), repeat=2):  # taps meet only their own kind
                phase = (slice(row, None, step), slice(column, None, step))
                if into[phase].numel():
                    self._convolve(one[phase], into[phase])
        return out.permute(0, 3, 1, 2)

    def _convolve(
        self,
        image: Float[Tensor, "height width inputs"],
        out: Float[Tensor, "new_height new_width outputs"],
    ) -> None:
        """Fill `out` with the convolution of an image without dilation."""
        side = _TILE + _KERNEL - 1
        inputs, outputs = self.filters.shape[1:]
        rows, columns = (-(-length // _TILE) for length in out.shape[:2])
        across = -(-columns // -(-columns // _TILES))  # of a row that is too long, equal parts
        down = min(rows, max(1, _TILES // columns))  # of rows that are short, several
        columns, rows = columns + -columns % across, rows + -rows % down
        missing = (
            along * _TILE + _KERNEL - 1 - length
            for along, length in zip((columns, rows), image.shape[1::-1], strict=True)
        )
        beside, below = missing
        whole = nn.functional.pad(image, (0, 0, 0, beside, 0, below))
        tiles = whole.unfold(0, side, _TILE).unfold(1, side, _TILE).permute(3, 4, 0, 1, 2)
        # Every product has its place: memory that is asked for anew costs as much as filling it.
        count = down * across
        pixels = out.new_empty(side, side, down, across, inputs)
        values = out.new_empty(side**2, count * inputs)
        products = out.new_empty(side**2, count, outputs)
        done = out.new_empty(_TILE**2, count * outputs)
        strip = out.new_empty(down, _TILE, columns, _TILE, outputs)
        for row in range(0, rows, down):
            for column in range(0, columns, across):
                pixels.copy_(tiles[:, :, row : row + down, column : column + across])
                torch.mm(self.to_values, pixels.view(side**2, -1), out=values)
                torch.bmm(values.view(side**2, count, inputs), self.filters, out=products)
                torch.mm(self.to_outputs, products.view(side**2, -1), out=done)
                placed = done.view(_TILE, _TILE, down, across, outputs).permute(2, 0, 3, 1, 4)
                torch.add(placed, self.bias, out=strip[:, :, column : column + across])
            into = out[row * _TILE : (row + down) * _TILE]
            into.copy_(strip.view(down * _TILE, -1, outputs)[: len(into), : out.shape[1]])


def _matrices() -> tuple[Float64[np.ndarray, "..."], ...]:
    """The transforms of pixels, of a filter and of products, along one axis.

    For outputs y, filter g and pixels d: y = C ((F g) * (V d)), by Toom and Cook: V and F take
    polynomials' values at the points, the last of them infinity, and C, transposed here as the
    filter is correlated and not convolved, would evaluate once more.
    """
    points = np.array(_POINTS)
    others = [np.delete(points, place) for place in range(len(points))]
    side = len(points) + 1
    to_values = np.zeros((side, side))
    for row, roots in zip(to_values, others, strict=False):
        row[:-1] = np.poly(roots)[::-1]
    to_values[-1] = np.poly(points)[::-1]
    scale = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    infinity = np.eye(1, _KERNEL, _KERNEL - 1)
    of_filter = np.vander(points, _KERNEL, increasing=True) / np.array(scale)[:, None]
    to_outputs = np.vander(points, _TILE, increasing=True)
    return (
        to_values,
        np.vstack([of_filter, infinity]),
        np.vstack([to_outputs, np.eye(1, _TILE, _TILE - 1)]).T,
    )


def _float32(values: Float64[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
