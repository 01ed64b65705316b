"""MRC images, the standard format of the field, also compressed by gzip or bzip2.

Header layout, byte orders and modes are those of mrcfile. Pixels of a plain file are read later,
by rows. A compressed file is decompressed in memory, never beyond the size in its header.

- `inspect_mrc`: read the content of a file, damaged or not.
- `open_mrc_volume`: locate the voxels of a volume, which is read by sections.
- `write_mrc`: write an image with the pixel size of each axis.

Source of the layout: Cheng et al. 2015, J. Struct. Biol. 192:146 (MRC2014).
"""

import math
import zlib
from bz2 import BZ2File
from dataclasses import dataclass, replace
from gzip import GzipFile
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Float
from cryopick.errors import MicrographError
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
from cryopick.runs.atomic_write import atomic_write

__all__ = ["inspect_mrc", "open_mrc_volume", "write_mrc"]

_HEADER_BYTES = 1024
_BLOCK_BYTES = 1 << 20
_MODES = (0, 1, 2, 3, 4, 6, 12, 101)
_UNREADABLE_MODES = {
    3: "complex pixels (mode 3): it is a Fourier transform; give the image itself",
    4: "complex pixels (mode 4): it is a Fourier transform; give the image itself",
    101: "4-bit pixels (mode 101); convert it to mode 0, 1, 2, 6 or 12",
}
# IMOD's stamp and flags in the header; the first flag says that bytes are signed
_IMOD_OFFSET, _IMOD_STAMP, _SIGNED_FLAG = 152, 1146047817, 1
_MAX_SIGNED, _MAX_UNSIGNED = 127, 255
_STREAM_ERRORS = (EOFError, OSError, zlib.error)


@dataclass(frozen=True)
class _Header:
    fields: np.void
    order: str  # "<" or ">"
    findings: tuple[str, ...]

    def read_integer(self, name: str) -> int:
        return int(self.fields[name])

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.read_integer("nz"), self.read_integer("ny"), self.read_integer("nx")

    @property
    def data_start(self) -> int:
        return _HEADER_BYTES + self.read_integer("nsymbt")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type; only for modes that have one."""
        from mrcfile.utils import dtype_from_mode  # type: ignore[import-untyped]  # has no types

        if self.read_integer("mode") == 0 and not self._has_signed_bytes():
            return np.dtype(np.uint8)
        return dtype_from_mode(self.read_integer("mode")).newbyteorder(self.order)

    def _has_signed_bytes(self) -> bool:
        """Check the sign of mode 0: IMOD's flag decides, else the stated range, else MRC2014."""
        stamp, flags = np.frombuffer(self.fields.tobytes(), f"{self.order}i4", 2, _IMOD_OFFSET)
        if stamp == _IMOD_STAMP:
            return bool(flags & _SIGNED_FLAG)
        low, high = float(self.fields["dmin"]), float(self.fields["dmax"])
        return not (0 <= low < high and _MAX_SIGNED < high <= _MAX_UNSIGNED)

    @property
    def expected_bytes(self) -> int:
        return self.data_start + math.prod(self.shape) * self.dtype.itemsize


def inspect_mrc(path: Path) -> StoredImage:
    """Inspect an MRC file, plain or compressed by gzip or bzip2.

    Raises:
        OSError: The file cannot be opened.
    """
    size = path.stat().st_size
    with path.open("rb") as plain:
        start = plain.read(3)
        plain.seek(0)
        if start[:2] == b"\x1f\x8b":
            with GzipFile(fileobj=plain) as stream:
                return _inspect_compressed(stream, "MRC, gzip", size)
        if start == b"BZh":
            with BZ2File(plain) as stream:
                return _inspect_compressed(stream, "MRC, bzip2", size)
        head = plain.read(_HEADER_BYTES)
    image, header = _describe_header(head, "MRC")
    if header is None or image.fault:
        return image
    image = _compare_size(image, header, size)
    if size < header.expected_bytes:
        return image
    if is_too_large(image.shape):
        return image if image.fault else replace(image, fault=_describe_excess(image))
    pixels = PixelFile(path, header.dtype, header.data_start, image.shape)
    return replace(image, pixels=pixels)


def open_mrc_volume(path: Path) -> tuple[PixelFile, float | None]:
    """Locate the voxels of an uncompressed volume of any size.

    Returns:
        The voxels with the axes (z, y, x), and the mean voxel size along x and y in Å, None if the
        file states no plausible one.

    Raises:
        MicrographError: The file is no volume, is compressed or truncated, or has complex voxels.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    is_compressed = head.startswith((b"\x1f\x8b", b"BZh"))
    image, header = _describe_header(head, "MRC")
    fault = "it is compressed; unpack it first" if is_compressed else image.fault
    if header is None or fault:
        raise MicrographError(f"{path}: expected a volume in MRC format: {fault}")
    if header.read_integer("nz") < 2:
        raise MicrographError(
            f"{path}: expected a volume, found one section; use `cryopick pick` for micrographs"
        )
    if path.stat().st_size < header.expected_bytes:
        raise MicrographError(
            f"{path}: the header states {header.expected_bytes} bytes and the file has "
            f"{path.stat().st_size}; it is truncated, copy it again"
        )
    return PixelFile(path, header.dtype, header.data_start, header.shape), image.pixel_size_ang


def _describe_excess(image: StoredImage) -> str:
    size = _format_size(image.shape)
    return (
        f"the header states {size} pixels, over the limit of {MAX_PIXELS} or of {MAX_SIDE} a side"
    )


def _inspect_compressed(stream: GzipFile | BZ2File, kind: str, file_bytes: int) -> StoredImage:
    """Decompress the size stated in the header and at most one block more."""
    try:
        head = stream.read(_HEADER_BYTES)
        if head[208:211] != b"MAP":
            return StoredImage(
                kind=kind, fault="the compressed file holds no MRC image; unpack it first"
            )
        image, header = _describe_header(head, kind)
        if header is None or image.fault:
            return image
        if is_too_large(image.shape):
            return replace(image, fault=_describe_excess(image))
        fault = find_expansion_fault(header.expected_bytes, file_bytes)
        if fault:
            return replace(image, fault=fault)
        rest = _read_up_to(stream, header.expected_bytes - _HEADER_BYTES + _BLOCK_BYTES)
    except _STREAM_ERRORS as error:
        return StoredImage(
            kind=kind, fault=f"the compressed data is damaged or cut short ({error}); copy it again"
        )
    image = _compare_size(image, header, _HEADER_BYTES + len(rest))
    if _HEADER_BYTES + len(rest) < header.expected_bytes:
        return image
    offset = header.data_start - _HEADER_BYTES
    count = math.prod(image.shape)
    pixels = np.frombuffer(rest, header.dtype, count, offset).reshape(image.shape)
    return replace(image, pixels=pixels)


def _read_up_to(stream: GzipFile | BZ2File, count: int) -> bytearray:
    data = bytearray()
    while len(data) < count:
        block = stream.read(min(_BLOCK_BYTES, count - len(data)))
        if not block:
            break
        data += block
    return data


def _describe_header(head: bytes, kind: str) -> tuple[StoredImage, _Header | None]:
    """Describe the image from its header; return no header if it is invalid."""
    if len(head) < _HEADER_BYTES:
        fault = f"an MRC header takes {_HEADER_BYTES} bytes and the file has {len(head)}"
        return StoredImage(kind=kind, fault=f"{fault}; it is cut short, copy it again"), None
    header = _parse_header(head)
    if header is None:
        fault = "the MRC header is invalid (sizes or mode); check that the file is MRC"
        return StoredImage(kind=kind, fault=fault), None
    sections, height, width = header.shape
    shape = (height, width) if sections == 1 else header.shape
    x_ang, y_ang = _axis_pixel_size(header, "x"), _axis_pixel_size(header, "y")
    image = StoredImage(
        kind=kind,
        shape=shape,
        pixel_size_ang=plausible_pixel_size(x_ang, y_ang),
        findings=header.findings,
        pixel_size_findings=describe_pixel_size(x_ang, y_ang),
        header_range=_stated_range(header),
    )
    mode = header.read_integer("mode")
    if mode in _UNREADABLE_MODES:
        return replace(image, fault=f"the file has {_UNREADABLE_MODES[mode]}"), header
    return replace(image, dtype=header.dtype.name), header


def _parse_header(head: bytes) -> _Header | None:
    """Parse the header in the byte order of its machine stamp, or else in the valid one."""
    from mrcfile.dtypes import HEADER_DTYPE  # type: ignore[import-untyped]  # has no types
    from mrcfile.utils import byte_order_from_machine_stamp

    findings = []
    if head[208:211] != b"MAP":
        findings.append("The header is of the old style: it lacks the word MAP.")
    try:
        stamped_order = byte_order_from_machine_stamp(np.frombuffer(head[212:216], np.uint8))
    except ValueError:
        stamped_order = "<"
    for order in (stamped_order, ">" if stamped_order == "<" else "<"):
        fields = np.frombuffer(head, HEADER_DTYPE.newbyteorder(order))[0]
        sizes = (fields["nx"], fields["ny"], fields["nz"])
        if fields["mode"] in _MODES and min(sizes) > 0 and fields["nsymbt"] >= 0:
            if order != stamped_order and not findings:
                findings.append("The machine stamp names the wrong byte order.")
            return _Header(fields, order, tuple(findings))
    return None


def _axis_pixel_size(header: _Header, axis: str) -> float:
    """Divide cell length by sampling intervals: Å per pixel; 0 if not stated."""
    samples = header.read_integer(f"m{axis}")
    length = float(header.fields["cella"][axis])
    return length / samples if samples > 0 and np.isfinite(length) else 0.0


def _stated_range(header: _Header) -> tuple[float, float, float] | None:
    low, high, mean = (float(header.fields[name]) for name in ("dmin", "dmax", "dmean"))
    return (
        (low, high, mean) if low < high else None
    )  # MRC2014: a maximum below the minimum means unknown


def _format_size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in reversed(shape))


def _compare_size(image: StoredImage, header: _Header, actual: int) -> StoredImage:
    """Compare the size of the file with the size stated in the header."""
    expected = header.expected_bytes
    if actual < expected:
        return replace(
            image,
            fault=f"the header states {expected} bytes ({_format_size(image.shape)} pixels of "
            f"{image.dtype}) and the file has {actual}; it is truncated, copy it again",
        )
    if len(image.shape) == 3:
        fault = (
            f"holds {image.shape[0]} sections where one micrograph was expected; sum the frames "
            "of a movie, give the sections as single files, or use `cryopick tomo` for a tomogram"
        )
        return replace(image, fault=fault)
    surplus_bytes = actual - expected
    data_bytes = expected - header.data_start
    if surplus_bytes >= data_bytes:
        fault = (
            f"the header states {expected} bytes, one image, and the file has {actual} or more, "
            f"room for {1 + surplus_bytes // data_bytes} images; "
            "correct the header or write the image again"
        )
        return replace(image, fault=fault)
    if surplus_bytes:
        extra = f"{surplus_bytes} bytes follow the pixels; they were ignored."
        return replace(image, findings=(*image.findings, extra))
    return image


def write_mrc(
    path: Path,
    image: Float[np.ndarray, "height width"],
    *,
    pixel_size_ang: tuple[float, float] | None,
    overwrite: bool = False,
) -> None:
    """Write an image as MRC, mode 2 (float32), row 0 first.

    Equal images give equal bytes: the file contains no date.

    Args:
        path: Output file; missing folders are created.
        image: Any float array; stored as float32.
        pixel_size_ang: Å per pixel along (y, x); None writes 0, which means unknown.
        overwrite: Overwrite an existing file.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    import mrcfile  # type: ignore[import-untyped]  # has no types

    y_ang, x_ang = pixel_size_ang or (0.0, 0.0)
    with atomic_write(path, overwrite=overwrite) as temporary, mrcfile.new(temporary) as mrc:
        mrc.set_data(np.ascontiguousarray(image, dtype=np.float32))
        mrc.voxel_size = (x_ang, y_ang, x_ang)
        mrc.header.label[:] = b""
        mrc.header.label[0] = b"cryopick"
        mrc.header.nlabl = 1
