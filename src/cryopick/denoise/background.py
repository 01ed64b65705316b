"""Background and noise of a micrograph, by which the input of the denoiser is normalised.

- `SmoothBackground`: the smooth background and the standard deviation of the noise.
- `measure_background`: measure both.
- `split_extremes`: separate very strong deviations, whose noise is negligible.
"""

from dataclasses import dataclass

import numpy as np

from cryopick.array_types import Float32
from cryopick.preprocess.display import bin_pixels

__all__ = ["SmoothBackground", "measure_background", "split_extremes"]

_BLOCK_PX = 8  # the background is computed on blocks of this size
_SIGMA_BLOCKS = 6.0  # standard deviation of the Gaussian filter, 48 pixels
_MAX_NOISE_SD = 8.0  # stronger deviations, such as gold, are kept from the network
_MAD_TO_SD = 1.4826  # of a Gaussian


@dataclass(frozen=True, eq=False)
class SmoothBackground:
    """Smooth background of a micrograph, and the standard deviation of its noise.

    Attributes:
        blocks: Mean of the background in each block of pixels.
        block_px: Side of a block.
        shape: Height and width of the micrograph.
        noise_sd: Standard deviation of the noise, estimated by the median absolute deviation.
    """

    blocks: Float32[np.ndarray, "rows columns"]
    block_px: int
    shape: tuple[int, int]
    noise_sd: float

    def interpolate(self, shape: tuple[int, int]) -> Float32[np.ndarray, "height width"]:
        """Interpolate the background at the pixels of a resampled micrograph of this shape."""
        rows, columns = (
            _make_interpolation(new, old, count, self.block_px)
            for new, old, count in zip(shape, self.shape, self.blocks.shape, strict=True)
        )
        return rows @ self.blocks @ columns.T

    def normalise(
        self, image: Float32[np.ndarray, "height width"]
    ) -> Float32[np.ndarray, "height width"]:
        """Subtract the background, and divide by the standard deviation of the noise."""
        return (image - self.interpolate(self.shape)) / np.float32(self.noise_sd)


def measure_background(image: Float32[np.ndarray, "height width"]) -> SmoothBackground:
    """Measure the background of an image by a wide Gaussian filter, and its noise.

    The filter averages so many pixels that its own noise is below a hundredth of that of a pixel.
    """
    from scipy.ndimage import gaussian_filter

    block_px = min(_BLOCK_PX, *image.shape)
    blocks = gaussian_filter(bin_pixels(image, block_px), _SIGMA_BLOCKS, mode="nearest")
    shape = (image.shape[0], image.shape[1])
    background = SmoothBackground(blocks, block_px, shape, 1.0)
    residual = background.normalise(image)
    deviation = residual - np.median(residual)
    noise_sd = _MAD_TO_SD * float(np.median(np.abs(deviation, out=deviation)))
    if noise_sd == 0:  # more than half of the pixels are equal
        noise_sd = float(residual.std()) or 1.0
    return SmoothBackground(blocks, block_px, shape, noise_sd)


def split_extremes(
    image: Float32[np.ndarray, "height width"],
) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "height width"]]:
    """Split a normalised image into values within eight standard deviations, and the excess."""
    moderate = np.clip(image, -_MAX_NOISE_SD, _MAX_NOISE_SD)
    return moderate, image - moderate


def _make_interpolation(
    new: int, old: int, count: int, block_px: int
) -> Float32[np.ndarray, "{new} {count}"]:
    """Make the matrix that interpolates linearly between the centres of blocks along an axis.

    Args:
        new: Number of pixels of the resampled axis.
        old: Number of pixels of the axis.
        count: Number of blocks.
        block_px: Pixels per block.
    """
    position = np.arange(new) * (old / new)  # pixel 0 keeps its position
    position = np.clip((position - (block_px - 1) / 2) / block_px, 0, count - 1)
    below = np.minimum(position.astype(np.int64), max(count - 2, 0))
    above = np.minimum(below + 1, count - 1)
    share = (position - below).astype(np.float32)
    matrix = np.zeros((new, count), np.float32)
    matrix[np.arange(new), below] = 1 - share
    matrix[np.arange(new), above] += share
    return matrix
