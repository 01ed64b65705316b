"""TIFF images; contiguous pixels are read plainly, others are decoded.

- `inspect_tiff`: read the content of a file, damaged or not.
"""

import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from lzma import LZMAError
from pathlib import Path

import numpy as np
import tifffile
from tifffile import TiffFile, TiffPage

from cryopick.io.images.pixel_file import PixelFile
from cryopick.io.images.stored_image import (
    MAX_PIXELS,
    MAX_SIDE,
    StoredImage,
    describe_pixel_size,
    find_expansion_fault,
    is_too_large,
    plausible_pixel_size,
)
from cryopick.io.images.tiff_directories import MAX_DIRECTORIES, find_directory_fault

__all__ = ["inspect_tiff"]

_ANG_PER_INCH_AND_CM = {2: 2.54e8, 3: 1e8}  # values of the tag ResolutionUnit
_ANG_PER_IMAGEJ_UNIT = {
    "å": 1.0,
    "a": 1.0,
    "angstrom": 1.0,
    "nm": 10.0,
    "um": 1e4,
    "µm": 1e4,  # micro sign
    "μm": 1e4,  # Greek mu
    "micron": 1e4,
}
_EER_COMPRESSIONS = (65000, 65001, 65002)
# JPEG XR, JPEG 2000, PNG, WebP and JPEG XL state a size of their own, which may be of gigabytes
_IMAGE_COMPRESSIONS = (22610, 33003, 33004, 33005, 34712, 34933, 34934, 50001, 50002, 52546)
# Errors that tifffile and its decoders raise for damaged tags or data
_DAMAGE = (
    ArithmeticError,
    LookupError,
    LZMAError,
    MemoryError,
    OSError,
    RuntimeError,  # all errors of imagecodecs
    TypeError,
    ValueError,  # tifffile's own
    struct.error,
    zlib.error,
)


def inspect_tiff(path: Path) -> StoredImage:
    """Inspect a TIFF file.

    The pixel size comes from the resolution tags if it is between 0.05 and 100 Å: many programs
    write 72 or 300 dots per inch, which is not a pixel size.
    """
    try:
        if fault := find_directory_fault(path):
            return StoredImage(kind="TIFF", fault=fault)
        with _silence_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in _iterate_pages(tiff) if not page.is_reduced]  # no thumbnails
            image = _describe_tags(tiff, pages)
            if image.fault is None:
                image = _load_pixels(image, path, pages[0])
            return image
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        return StoredImage(kind="TIFF", fault=f"the TIFF file is damaged ({reason}); copy it again")


@contextmanager
def _silence_tifffile() -> Iterator[None]:
    """Silence the log of tifffile, which reports each damaged tag; the fault reports it once."""
    logger = logging.getLogger("tifffile")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def _iterate_pages(tiff: TiffFile) -> Iterator[TiffPage]:
    """Yield the pages of a file; damaged directories may point in a circle.

    Raises:
        ValueError: They do, or there are too many.
    """
    offsets: set[int] = set()
    for page in tiff.pages:
        if page.offset in offsets:
            raise ValueError("its directories run in a circle")
        if len(offsets) >= MAX_DIRECTORIES:
            raise ValueError(f"it has over {MAX_DIRECTORIES} directories")
        offsets.add(page.offset)
        if isinstance(page, TiffPage):
            yield page


def _describe_tags(tiff: TiffFile, pages: list[TiffPage]) -> StoredImage:
    """Describe the image from its tags."""
    if not pages:
        return StoredImage(kind="TIFF", fault="the TIFF file holds no image; copy it again")
    page = pages[0]
    x_ang, y_ang = _pixel_sizes(tiff, page)
    image = StoredImage(
        kind="TIFF",
        shape=tuple(page.shape),
        dtype=page.dtype.name if page.dtype is not None else "",
        pixel_size_ang=plausible_pixel_size(x_ang, y_ang),
        pixel_size_findings=describe_pixel_size(x_ang, y_ang),
    )
    return replace(image, fault=_find_fault(page, len(pages), tiff.filehandle.size))


def _find_fault(page: TiffPage, page_count: int, file_bytes: int) -> str | None:
    if fault := _find_compression_fault(page):
        return fault
    if page_count > 1:
        return (
            f"holds {page_count} sections where one micrograph was expected; "
            "sum the frames of a movie, or give the sections as single files"
        )
    if page.samplesperpixel != 1 or page.photometric not in (
        0,
        1,
    ):  # greyscale, with zero as white or black
        return "is a colour image; convert it to greyscale"
    if len(page.shape) != 2 or min(page.shape) < 1 or page.dtype is None:
        return f"expected one greyscale image, found one of shape {tuple(page.shape)}"
    if page.dtype.kind not in "iuf" or page.bitspersample % 8:
        return f"has {page.bitspersample}-bit pixels; convert it to 8, 16 or 32 bits"
    if is_too_large(tuple(page.shape)):
        size = f"{page.shape[1]} x {page.shape[0]}"
        return f"has {size} pixels, over the limit of {MAX_PIXELS} or of {MAX_SIDE} a side"
    fault = find_expansion_fault(page.nbytes, file_bytes) if page.compression != 1 else None
    if fault:
        return fault
    spans = zip(page.dataoffsets, page.databytecounts, strict=True)
    expected = max((offset + count for offset, count in spans), default=0)
    if expected > file_bytes:
        return (
            f"the tags state {expected} bytes and the file has {file_bytes}; "
            "it is truncated, copy it again"
        )
    segments = math.prod(page.chunked)
    if len(page.dataoffsets) < segments:  # the others would be read as zeros
        return (
            f"the tags list {len(page.dataoffsets)} of {segments} strips or tiles; "
            "the file is damaged, copy it again"
        )
    return None


def _find_compression_fault(page: TiffPage) -> str | None:
    if page.compression in _EER_COMPRESSIONS:
        return "is an EER movie; correct its motion first, and give the sum of the frames"
    if page.compression in _IMAGE_COMPRESSIONS:
        method = tifffile.COMPRESSION(page.compression).name
        return f"is compressed by {method}, which is not read; save it uncompressed or with LZW"
    return None


def _load_pixels(image: StoredImage, path: Path, page: TiffPage) -> StoredImage:
    if page.is_memmappable and page.dtype is not None:
        dtype = np.dtype(page.parent.byteorder + page.dtype.char)
        return replace(image, pixels=PixelFile(path, dtype, page.dataoffsets[0], image.shape))
    if _lacks_decoder(page):
        method = tifffile.COMPRESSION(page.compression).name
        fault = f"is compressed by {method}; to read it: pip install imagecodecs"
        return replace(image, fault=fault)
    return replace(image, pixels=page.asarray())


def _lacks_decoder(page: TiffPage) -> bool:
    """Check for a compression or predictor that needs imagecodecs."""
    codecs = tifffile.TIFF
    is_available = (
        page.compression in codecs.DECOMPRESSORS and page.predictor in codecs.UNPREDICTORS
    )
    return not is_available


def _pixel_sizes(tiff: TiffFile, page: TiffPage) -> tuple[float, float]:
    """Read Å per pixel along x and y from the resolution tags; 0 if not stated."""
    unit = (tiff.imagej_metadata or {}).get("unit", "")
    unit = str(unit).replace("\\u00B5", "µ").replace("\\u00C5", "å").lower()
    ang_per_unit = _ANG_PER_IMAGEJ_UNIT.get(unit)
    if ang_per_unit is None:
        tag = page.tags.get("ResolutionUnit")
        ang_per_unit = _ANG_PER_INCH_AND_CM.get(int(tag.value) if tag else 2)
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        pixels, units = tag.value if tag else (0, 0)
        sizes.append(ang_per_unit * units / pixels if ang_per_unit and pixels > 0 else 0.0)
    return sizes[0], sizes[1]
