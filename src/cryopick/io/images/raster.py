"""PNG and JPEG images, greyscale with 8 or 16 bits.

- `inspect_raster`: read the content of a file, damaged or not.
"""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from cryopick.io.images.stored_image import (
    MAX_PIXELS,
    MAX_SIDE,
    StoredImage,
    find_expansion_fault,
    is_too_large,
)

__all__ = ["inspect_raster"]

_START_OF_SCAN = b"\xff\xda"  # marker, which entropy-coded data do not contain
_MAX_SCANS = 100  # progressive files have ten
_BLOCK_BYTES = 1 << 20
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error),
    MemoryError,  # a chunk that claims to be larger than memory
)


def inspect_raster(path: Path) -> StoredImage:
    """Inspect a PNG or JPEG file.

    Pillow's general opener has a global size limit that micrographs exceed. The classes of the two
    formats are used directly, and `MAX_PIXELS` is checked before pixels are decoded.

    Raises:
        OSError: The file cannot be opened.
    """
    with path.open("rb") as stream:
        is_png = stream.read(4) == b"\x89PNG"
        stream.seek(0)
        kind = "PNG" if is_png else "JPEG"
        image = StoredImage(kind=kind, pixel_size_findings=("The file gives no pixel size.",))
        try:
            picture = PngImageFile(stream) if is_png else JpegImageFile(stream)
            width, height = picture.size
            image = replace(image, shape=(height, width), fault=_fault(picture.mode, picture.size))
            if image.fault is None:
                pixel_bytes = width * height * (1 if picture.mode == "L" else 4)
                image = replace(image, fault=find_expansion_fault(pixel_bytes, path.stat().st_size))
            if image.fault is None and not is_png:
                image = replace(image, fault=_find_scan_fault(path))
            if image.fault:
                return image
            pixels = np.asarray(picture)
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or "a chunk claims an impossible size"
            return replace(image, fault=f"the {kind} data is damaged ({reason}); copy it again")
    return replace(image, dtype=pixels.dtype.name, pixels=pixels)


def _find_scan_fault(path: Path) -> str | None:
    """Return the fault of a JPEG with so many scans that decoding takes minutes."""
    count, last = 0, b""
    with path.open("rb") as stream:
        while count <= _MAX_SCANS and (block := stream.read(_BLOCK_BYTES)):
            count += (last + block).count(_START_OF_SCAN)
            last = block[-1:] if block.endswith(_START_OF_SCAN[:1]) else b""
    if count <= _MAX_SCANS:
        return None
    return f"has over {_MAX_SCANS} scans, which no program writes; convert it to PNG"


def _fault(mode: str, size: tuple[int, int]) -> str | None:
    if mode == "1":
        return "has 1-bit pixels; a micrograph has 8 or 16 bits"
    if mode not in ("L", "I", "I;16", "I;16B", "I;16L"):
        return "is a colour image; convert it to greyscale"
    width, height = size
    if is_too_large((height, width)):
        return (
            f"has {width} x {height} pixels, over the limit of {MAX_PIXELS} or of {MAX_SIDE} a side"
        )
    return None
