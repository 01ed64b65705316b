"""Pictures of micrographs for the page, each made once and kept while there is room.

- `Views`: planes, crops and score maps as JPEG.
- `View`: a picture and where it lies on the micrograph.
"""

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Float32, UInt8
from cryopick.errors import InputError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.preprocess.display import band_passed, between, binned, greys

__all__ = ["View", "Views"]

_MOST_BYTES = 256 << 20
_AT_ONCE = 2  # pictures in the making: each may need a whole micrograph in memory
_QUALITY = 90
_MOST_CROP_PX = 1024
_SURE = 6.0  # a logit beyond which a score map tells nothing more

Plane = Float32[np.ndarray, "height width"]


@dataclass(frozen=True)
class View:
    """A picture and where it lies: picture pixel i has its middle at `origin + scale * i`.

    Attributes:
        jpeg: The picture.
        scale: Raw pixels per picture pixel.
        origin: Raw coordinate of the middle of picture pixel (0, 0).
    """

    jpeg: bytes
    scale: float
    origin: float = 0.0


class Views:
    """Pictures of micrographs; safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[Plane, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.Semaphore(_AT_ONCE)

    def plane(
        self,
        path: Path,
        most_px: int,
        pixel_size_ang: float | None,
        *,
        low_pass_ang: float | None = None,
        high_pass_ang: float | None = None,
    ) -> View:
        """A whole micrograph, its longer side at most `most_px`, filtered if asked for.

        Where the pixel size is not known nothing is filtered: the page asks for it.

        Raises:
            MicrographError: The file cannot serve.
        """
        with self._making:
            image, factor = self._binned(path, most_px)
            if pixel_size_ang and (low_pass_ang or high_pass_ang):
                image = band_passed(
                    image,
                    pixel_size_ang * factor,
                    low_pass_ang=low_pass_ang,
                    high_pass_ang=high_pass_ang,
                )
            return View(_jpeg(greys(image)), factor, (factor - 1) / 2)

    def crop(
        self,
        path: Path,
        corner: tuple[int, int],
        side: tuple[int, int],
        pixel_size_ang: float | None = None,
        low_pass_ang: float | None = None,
    ) -> bytes:
        """A piece of a micrograph in its own pixels; what lies beyond an edge is middle grey.

        Args:
            path: The micrograph.
            corner: Its first column and row.
            side: Its width and height.
            pixel_size_ang: Of the micrograph; without it nothing is filtered.
            low_pass_ang: Shorter waves go.

        Raises:
            InputError: It is larger than can be asked for, or outside.
        """
        (x, y), (width, height) = corner, side
        if not 0 < max(width, height) <= _MOST_CROP_PX or min(width, height) < 1:
            raise InputError(f"a crop has 1 to {_MOST_CROP_PX} pixels a side")
        with self._making:
            pixels = read_micrograph(path).pixels
            rows, columns = pixels.shape
            if x >= columns or y >= rows or x + width <= 0 or y + height <= 0:
                raise InputError("the crop lies outside the micrograph")
            inside = np.array(
                pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)], np.float32
            )
            if pixel_size_ang and low_pass_ang:
                inside = band_passed(inside, pixel_size_ang, low_pass_ang=low_pass_ang)
            found = np.full((height, width), 128, np.uint8)
            top, left = max(0, -y), max(0, -x)
            found[top : top + inside.shape[0], left : left + inside.shape[1]] = greys(inside)
        return _jpeg(found)

    def scores(self, key: object, make: Callable[[], tuple[Plane, float]]) -> View:
        """A score map, middle grey at even odds.

        Args:
            key: Names the map.
            make: Gives logits and raw pixels per logit.
        """
        with self._making:
            kept = self._get((key, "scores"))
            if kept is None:
                kept = self._keep((key, "scores"), make())
            logits, scale = kept
            return View(_jpeg(between(logits, -_SURE, _SURE)), scale)

    def _binned(self, path: Path, most_px: int) -> tuple[Plane, float]:
        try:
            key = (path, path.stat().st_mtime_ns, most_px)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        kept = self._get(key)
        if kept is None:
            pixels = read_micrograph(path).pixels
            # A long thin image may be thinner than a block of the size that its length asks for.
            factor = min(math.ceil(max(pixels.shape) / most_px), min(pixels.shape))
            kept = self._keep(key, (binned(pixels, factor), float(factor)))
        return kept

    def _get(self, key: object) -> tuple[Plane, float] | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def _keep(self, key: object, made: tuple[Plane, float]) -> tuple[Plane, float]:
        with self._lock:
            self._kept[key] = made
            while sum(plane.nbytes for plane, _ in self._kept.values()) > _MOST_BYTES:
                self._kept.popitem(last=False)
        return made


def _jpeg(pixels: UInt8[np.ndarray, "height width"]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
