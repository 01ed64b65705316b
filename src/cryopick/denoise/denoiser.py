"""Denoise micrographs of any size.

The network works on a Fourier-cropped micrograph with pixels of a few ångströms, in tiles with
halos, so that its memory does not depend on the size of the micrograph. Its result is resampled to
the size of the input.

- `Denoiser`: a network on a device.
- `open_denoiser`: read a denoiser and move it to a device.
- `denoise_image`: denoise an array.
- `choose_working_shape`, `crop_to_working_size`: the input of the network, before normalisation.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from cryopick.array_types import Float32, Real
from cryopick.denoise.background import measure_background, split_extremes
from cryopick.denoise.model_file import DENOISER, load_denoiser
from cryopick.denoise.network import DenoisingNetwork
from cryopick.denoise.settings import DenoiseSettings
from cryopick.errors import MissingPixelSizeError
from cryopick.model.torch_device import has_fast_bfloat16
from cryopick.preprocess.display import filter_band
from cryopick.preprocess.extreme_values import scale_extreme_values
from cryopick.preprocess.fourier import reduced_shape, resample, resample_rows
from cryopick.preprocess.mask import find_invalid
from cryopick.preprocess.pixel_repair import CleanedMicrograph

__all__ = [
    "Denoiser",
    "choose_working_shape",
    "crop_to_working_size",
    "denoise_image",
    "open_denoiser",
]

_TILE_PX = 1024  # a multiple of the network's alignment
_MAX_SIDE_PX = 2048  # of an image of unknown pixel size
_SD_TO_WAVELENGTH = 2 * np.pi / np.sqrt(2 * np.log(2))  # where a Gaussian filter's gain is 1/2
_CPU = torch.device("cpu")
_DEFAULTS = DenoiseSettings()


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A network that removes noise from normalised images.

    Attributes:
        network: The network in evaluation mode.
        device: Its device.
    """

    network: DenoisingNetwork
    device: torch.device = _CPU

    def denoise(
        self, image: Float32[np.ndarray, "height width"], tile_px: int = _TILE_PX
    ) -> Float32[np.ndarray, "height width"]:
        """Denoise an image of background 0 and noise 1; the tiles do not change the result.

        Args:
            image: The image. It is continued beyond its edges by reflection.
            tile_px: Side of a tile; a multiple of the network's alignment.
        """
        halo = self.network.CONTEXT_PX
        rows, columns = (-(-side // tile_px) * tile_px for side in image.shape)
        height, width = image.shape
        result = np.empty_like(image)
        for top in range(0, rows, tile_px):
            tile_rows = _reflect(top - halo, _end(top, tile_px, height) + halo, height)
            for left in range(0, columns, tile_px):
                tile_columns = _reflect(left - halo, _end(left, tile_px, width) + halo, width)
                estimate = self._estimate(image[np.ix_(tile_rows, tile_columns)])
                target = result[top : top + tile_px, left : left + tile_px]
                target_height, target_width = target.shape
                target[:] = estimate[halo : halo + target_height, halo : halo + target_width]
        return result

    def _estimate(
        self, tile: Float32[np.ndarray, "height width"]
    ) -> Float32[np.ndarray, "height width"]:
        precision = next(self.network.parameters()).dtype
        with torch.inference_mode():
            pixels = torch.from_numpy(tile)[None, None].to(self.device, precision)
            estimate: np.ndarray = self.network(pixels)[0, 0].float().cpu().numpy()
        return estimate


def _end(start: int, tile_px: int, length: int) -> int:
    """Return the end of a tile, extended to a multiple of the network's alignment."""
    alignment = DenoisingNetwork.ALIGNMENT_PX
    covered_px = min(tile_px, length - start)
    return start + -(-covered_px // alignment) * alignment


def _reflect(start: int, stop: int, length: int) -> np.ndarray:
    """Return the indices from start to stop, reflected at the ends of an axis."""
    index = np.arange(start, stop) % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def open_denoiser(path: Path = DENOISER, device: torch.device = _CPU) -> Denoiser:
    """Read a denoiser, and move it to a device.

    Raises:
        InputError: The file is missing.
        FormatError: The file is not a denoiser, or is damaged.
    """
    network = load_denoiser(path)
    precision = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return Denoiser(network.to(device, precision), device)


@lru_cache(maxsize=1)
def _open_default() -> Denoiser:
    return open_denoiser()


def denoise_image(
    pixels: Real[np.ndarray, "height width"],
    pixel_size_ang: float | None,
    settings: DenoiseSettings = _DEFAULTS,
    denoiser: Denoiser | None = None,
    *,
    span: tuple[float, float] = (-np.inf, np.inf),
) -> Float32[np.ndarray, "height width"]:
    """Denoise a micrograph.

    Args:
        pixels: Raw micrograph of any real type, finite.
        pixel_size_ang: Pixel size in ångströms, if known; that of the settings takes precedence.
        settings: Settings of denoising.
        denoiser: The denoiser; None for the one of the package on the CPU.
        span: Minimum and maximum pixel, if known.

    Returns:
        An image of the same size and intensity unit. Values that float32 cannot represent well
        are scaled to median 0 and range 1.

    Raises:
        MissingPixelSizeError: A low-pass filter needs the pixel size.
    """
    pixel_size_ang = settings.pixel_size_ang or pixel_size_ang
    if settings.low_pass_ang is not None and pixel_size_ang is None:
        raise MissingPixelSizeError(
            "the low-pass filter needs the pixel size, which the file does not state; "
            "add --pixel-size-ang"
        )
    shape = (pixels.shape[0], pixels.shape[1])
    working_shape = choose_working_shape(shape, pixel_size_ang, settings.working_size_ang)
    image = crop_to_working_size(pixels, working_shape, span)
    background = measure_background(image)
    moderate, excess = split_extremes(background.normalise(image))
    denoised = (denoiser or _open_default()).denoise(moderate) + excess
    denoised = _filter(denoised, shape, pixel_size_ang, settings)
    if working_shape != shape:
        denoised = resample(denoised, shape)
    denoised *= np.float32(background.noise_sd)
    denoised += background.interpolate(shape)
    return denoised


def crop_to_working_size(
    pixels: Real[np.ndarray, "height width"],
    shape: tuple[int, int],
    span: tuple[float, float] = (-np.inf, np.inf),
) -> Float32[np.ndarray, "new_height new_width"]:
    """Fill invalid regions, repair bad pixels and crop the Fourier transform to a shape."""
    pixels, span = scale_extreme_values(pixels, span)
    cleaned = CleanedMicrograph.from_pixels(pixels, find_invalid(pixels), span)
    if shape == cleaned.shape:
        return np.array(cleaned.rows(0, shape[0]))
    return resample_rows(cleaned.rows, cleaned.shape, shape)


def choose_working_shape(
    shape: tuple[int, int], pixel_size_ang: float | None, working_size_ang: float
) -> tuple[int, int]:
    """Choose the size at which the network works; never larger than the micrograph."""
    if pixel_size_ang is None:
        factor = max(shape) / _MAX_SIDE_PX
    else:
        factor = working_size_ang / pixel_size_ang
    return shape if factor <= 1 else reduced_shape(shape, factor)


def _filter(
    image: Float32[np.ndarray, "height width"],
    shape: tuple[int, int],
    pixel_size_ang: float | None,
    settings: DenoiseSettings,
) -> Float32[np.ndarray, "height width"]:
    """Apply the filters of the settings to an image at the working size.

    Args:
        image: The image.
        shape: Height and width of the micrograph.
        pixel_size_ang: Pixel size of the micrograph.
        settings: The settings.
    """
    scale = shape[0] / image.shape[0]
    if settings.low_pass_ang is not None and pixel_size_ang is not None:
        working_ang = pixel_size_ang * scale
        image = filter_band(image, working_ang, low_pass_ang=settings.low_pass_ang)
    if settings.gaussian_px:
        wavelength_px = float(_SD_TO_WAVELENGTH) * settings.gaussian_px
        image = filter_band(image, scale, low_pass_ang=wavelength_px)
    return image
