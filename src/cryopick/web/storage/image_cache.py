"""Images of micrographs for the page, with a cache of limited size.

- `ImageCache`: renders micrographs, crops and score maps as JPEG.
- `RenderedImage`: an image and its position on the micrograph.
"""

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Float32, UInt8
from cryopick.errors import InputError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.preprocess.display import (
    bin_pixels,
    convert_to_greys,
    filter_band,
    scale_to_bytes,
)
from cryopick.web.storage.tiles import Crop, SheetLayout, TileRenderer, TileRequest

__all__ = ["ImageCache", "RenderedImage"]

_MAX_CACHE_BYTES = 256 << 20
_MAX_PARALLEL = 2  # each image being rendered may need a whole micrograph in memory
_JPEG_QUALITY = 90
_MAX_CROP_PX = 1024
_OVERVIEW_PX = 512
_DENOISED_PX = 2048  # longer side of the image that is denoised
_MAX_LOGIT = 6.0  # score maps are clipped here; the probability is 0.998

Plane = Float32[np.ndarray, "height width"]


@dataclass(frozen=True)
class RenderedImage:
    """An image and its position: the centre of image pixel i is at `origin + scale * i`.

    Attributes:
        jpeg: The image.
        scale: Raw pixels per image pixel.
        origin: Raw coordinate of the centre of image pixel (0, 0).
    """

    jpeg: bytes
    scale: float
    origin: float = 0.0


class ImageCache:
    """Images of micrographs; safe to use from several threads."""

    def __init__(self) -> None:
        self._planes: OrderedDict[Any, tuple[Plane, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._rendering = threading.Semaphore(_MAX_PARALLEL)
        self._tiles = TileRenderer(lambda path: self._read_binned(path, _OVERVIEW_PX))

    def render_micrograph(
        self,
        path: Path,
        max_side_px: int,
        pixel_size_ang: float | None,
        *,
        low_pass_ang: float | None = None,
        high_pass_ang: float | None = None,
    ) -> RenderedImage:
        """Render a micrograph with a longer side of at most `max_side_px`, filtered on request.

        Without a pixel size, filters are ignored; the page then asks for the pixel size.

        Raises:
            MicrographError: The file cannot be used as a micrograph.
        """
        with self._rendering:
            image, factor = self._read_binned(path, max_side_px)
            if pixel_size_ang and (low_pass_ang or high_pass_ang):
                image = filter_band(
                    image,
                    pixel_size_ang * factor,
                    low_pass_ang=low_pass_ang,
                    high_pass_ang=high_pass_ang,
                )
            return RenderedImage(_encode_jpeg(convert_to_greys(image)), factor, (factor - 1) / 2)

    def render_denoised(
        self, path: Path, max_side_px: int, pixel_size_ang: float | None
    ) -> RenderedImage:
        """Render a denoised micrograph with a longer side of at most `max_side_px`.

        The binned micrograph is denoised once, for all sizes.

        Raises:
            MicrographError: The file cannot be used as a micrograph.
        """
        from cryopick.denoise.denoiser import denoise_image

        with self._rendering:
            key = (_identify_version(path), "denoised", pixel_size_ang)
            cached = self._get(key)
            if cached is None:
                image, factor = self._read_binned(path, _DENOISED_PX)
                size_ang = pixel_size_ang * factor if pixel_size_ang else None
                cached = self._store(key, (denoise_image(image, size_ang), factor))
            image, factor = cached
            further = min(math.ceil(max(image.shape) / max_side_px), min(image.shape))
            scale = factor * further
            greys = convert_to_greys(bin_pixels(image, further))
            return RenderedImage(_encode_jpeg(greys), scale, (scale - 1) / 2)

    def render_crop(
        self,
        path: Path,
        corner: tuple[int, int],
        side: tuple[int, int],
        pixel_size_ang: float | None = None,
        low_pass_ang: float | None = None,
    ) -> bytes:
        """Render a part of a micrograph at full resolution; pixels beyond an edge are grey.

        Args:
            path: The micrograph.
            corner: First column and row of the crop.
            side: Width and height of the crop.
            pixel_size_ang: Pixel size of the micrograph; without it no filter is applied.
            low_pass_ang: Resolution of the low-pass filter.

        Raises:
            InputError: The crop is too large, or outside the micrograph.
        """
        (x, y), (width, height) = corner, side
        if not 0 < max(width, height) <= _MAX_CROP_PX or min(width, height) < 1:
            raise InputError(f"the sides of a crop must be 1 to {_MAX_CROP_PX} pixels")
        with self._rendering:
            pixels = read_micrograph(path).pixels
            rows, columns = pixels.shape
            if x >= columns or y >= rows or x + width <= 0 or y + height <= 0:
                raise InputError("the crop lies outside the micrograph")
            inside = np.array(
                pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)], np.float32
            )
            if pixel_size_ang and low_pass_ang:
                inside = filter_band(inside, pixel_size_ang, low_pass_ang=low_pass_ang)
            greys = np.full((height, width), 128, np.uint8)
            top, left = max(0, -y), max(0, -x)
            greys[top : top + inside.shape[0], left : left + inside.shape[1]] = convert_to_greys(
                inside
            )
        return _encode_jpeg(greys)

    def render_tile(self, path: Path, tile: TileRequest) -> bytes:
        """Render a tile of a micrograph; see `TileRenderer.render_tile`."""
        with self._rendering:
            return self._tiles.render_tile(path, tile)

    def render_sheet(self, crops: Sequence[Crop], layout: SheetLayout) -> bytes:
        """Render crops side by side; see `TileRenderer.render_sheet`."""
        with self._rendering:
            return self._tiles.render_sheet(crops, layout)

    def render_scores(
        self, key: object, compute: Callable[[], tuple[Plane, float]]
    ) -> RenderedImage:
        """Render a score map; a probability of 50 % is medium grey.

        Args:
            key: Identifies the map in the cache.
            compute: Computes the logits and the raw pixels per logit.
        """
        with self._rendering:
            cached = self._get((key, "scores"))
            if cached is None:
                cached = self._store((key, "scores"), compute())
            logits, scale = cached
            return RenderedImage(
                _encode_jpeg(scale_to_bytes(logits, -_MAX_LOGIT, _MAX_LOGIT)), scale
            )

    def _read_binned(self, path: Path, max_side_px: int) -> tuple[Plane, float]:
        key = (_identify_version(path), max_side_px)
        cached = self._get(key)
        if cached is None:
            pixels = read_micrograph(path).pixels
            # The short side of a long narrow image may be smaller than the bin of its long side.
            factor = min(math.ceil(max(pixels.shape) / max_side_px), min(pixels.shape))
            cached = self._store(key, (bin_pixels(pixels, factor), float(factor)))
        return cached

    def _get(self, key: object) -> tuple[Plane, float] | None:
        with self._lock:
            cached = self._planes.get(key)
            if cached is not None:
                self._planes.move_to_end(key)
            return cached

    def _store(self, key: object, plane: tuple[Plane, float]) -> tuple[Plane, float]:
        with self._lock:
            self._planes[key] = plane
            while sum(pixels.nbytes for pixels, _ in self._planes.values()) > _MAX_CACHE_BYTES:
                self._planes.popitem(last=False)
        return plane


def _identify_version(path: Path) -> tuple[Path, int]:
    """Identify a version of a file.

    Raises:
        InputError: The file cannot be accessed.
    """
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _encode_jpeg(pixels: UInt8[np.ndarray, "height width"]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()
