"""Content of an image file, before any check of its use as a micrograph.

Each image format has one function that inspects a file and returns a `StoredImage`. It does not
raise for a damaged file but states in `fault` why the file cannot be used. Strict reading raises
the fault; `cryopick info` lists it.

- `StoredImage`: the content.
- `describe_pixel_size`, `plausible_pixel_size`: checks of the stated pixel size.
- `MAX_PIXELS`, `MAX_SIDE`: limits of the images that are read.
- `is_too_large`: check an image against them.
- `find_expansion_fault`: limit of the pixels that a compressed file may claim.
"""

import math
from dataclasses import dataclass

import numpy as np

from cryopick.io.images.pixel_file import PixelFile

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "StoredImage",
    "describe_pixel_size",
    "find_expansion_fault",
    "is_too_large",
    "plausible_pixel_size",
]

MAX_PIXELS = 2**28  # 16384 x 16384, almost three times the largest detectors
MAX_SIDE = 2**16  # whole rows are read at a time
_UNCHECKED_BYTES = 1 << 26  # images up to 64 MiB are decoded whatever their compression
_MAX_EXPANSION = 100  # pixel bytes per compressed byte; noise in micrographs keeps it below 20


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredImage:
    """Content of an image file.

    Attributes:
        kind: Name of the format, such as "MRC".
        shape: Lengths of the stored axes, height and width last; empty if unknown.
        dtype: Name of the pixel type; empty if unknown.
        pixel_size_ang: Ångströms per pixel, mean of both axes; None if the file states none.
        findings: Irregularities that do not prevent reading, one sentence each.
        pixel_size_findings: Irregularities of the pixel size, one sentence each.
        fault: Reason why the file cannot be used, with the fix; None if it can.
        pixels: Pixels; a `PixelFile` if they are uncompressed and not read yet; None if
            unreadable.
        header_range: Minimum, maximum and mean stated in the header; None if not stated.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    pixel_size_ang: float | None = None
    findings: tuple[str, ...] = ()
    pixel_size_findings: tuple[str, ...] = ()
    fault: str | None = None
    pixels: np.ndarray | PixelFile | None = None
    header_range: tuple[float, float, float] | None = None


def plausible_pixel_size(x_ang: float, y_ang: float) -> float | None:
    """Return the mean of two pixel sizes in Å, or None if one is outside 0.05 to 100 Å."""
    sizes = np.array([x_ang, y_ang])
    return float(sizes.mean()) if ((sizes >= 0.05) & (sizes <= 100.0)).all() else None


def describe_pixel_size(x_ang: float, y_ang: float) -> tuple[str, ...]:
    """Describe irregularities of the pixel sizes in Å that a file states for its two axes."""
    if plausible_pixel_size(x_ang, y_ang) is None:
        implausible_value = f" ({x_ang:g} Å is implausible)" if x_ang else ""
        return (f"The file gives no pixel size{implausible_value}.",)
    if abs(x_ang - y_ang) > 0.01 * max(x_ang, y_ang):
        return (f"The pixel sizes along x ({x_ang:g} Å) and y ({y_ang:g} Å) differ by over 1 %.",)
    return ()


def is_too_large(shape: tuple[int, ...]) -> bool:
    """Check for an image with more pixels, or a longer side, than are read."""
    return math.prod(shape) > MAX_PIXELS or max(shape, default=0) > MAX_SIDE


def find_expansion_fault(pixel_bytes: int, file_bytes: int) -> str | None:
    """Return the fault of a compressed file that claims too many pixels for its size."""
    if pixel_bytes <= max(_UNCHECKED_BYTES, _MAX_EXPANSION * file_bytes):
        return None
    return (
        f"claims {pixel_bytes} bytes of pixels from a file of {file_bytes}, more than any "
        "compression of a micrograph holds; copy it again, or save it uncompressed"
    )
