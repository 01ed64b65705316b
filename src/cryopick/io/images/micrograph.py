"""Read micrographs strictly, and describe image files permissively for `cryopick info`.

The first bytes of a file determine its format; the suffix decides only if they are inconclusive.
Pixels stay as stored: (height, width), row 0 first, not flipped, with the file's data type.

- `read_micrograph`: read an image, or raise an error that names the problem and the fix.
- `summarize_findings`: irregularities of many files, by kind.
- `describe_micrograph`: summarize the content and the problems of an image file.
"""

import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Real, Shaped
from cryopick.errors import CryopickError, MicrographError, SettingsError
from cryopick.io.images.mrc import inspect_mrc
from cryopick.io.images.pixel_file import PixelFile
from cryopick.io.images.stored_image import StoredImage
from cryopick.runs.file_errors import is_decodable, translate_file_errors
from cryopick.runs.listed_path import listed_pixel_size

__all__ = [
    "Micrograph",
    "MicrographInfo",
    "describe_micrograph",
    "read_micrograph",
    "summarize_findings",
]

_MRC_SUFFIXES = (".mrc", ".mrcs", ".map", ".rec", ".st")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CHUNK_PIXELS = 1 << 22
_LARGE_BYTES = 1 << 28  # larger than nearly all micrographs
_MAGIC_END = 212  # end of the word MAP in an MRC header


@dataclass(frozen=True, eq=False, kw_only=True)
class Micrograph:
    """An image that can be used as a micrograph.

    Attributes:
        path: File it was read from.
        pixels: Finite, not constant, as stored; possibly read-only and of the other byte order.
        pixel_size_ang: Å per pixel; None if neither the file nor the caller states it.
        value_range: Minimum and maximum pixel value.
        findings: Irregularities that did not prevent reading, one sentence each.
    """

    path: Path
    pixels: Real[np.ndarray, "height width"]
    pixel_size_ang: float | None
    value_range: tuple[float, float]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MicrographInfo:
    """Content of an image file.

    Attributes:
        kind: Name of the format, or "unknown".
        shape: Stored axis lengths, height and width last; empty if unknown.
        dtype: Name of the pixel type; empty if unknown.
        pixel_size_ang: Å per pixel; None if the file states none.
        minimum: Minimum of the finite pixels; this and the next three are NaN if no pixel can be
            read.
        maximum: Maximum of the finite pixels.
        mean: Mean of the finite pixels.
        std: Standard deviation of the finite pixels.
        findings: All irregularities, one sentence each; the last may be the error that
            `read_micrograph` raises.
        usable: True if `read_micrograph` accepts the file.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    pixel_size_ang: float | None
    minimum: float
    maximum: float
    mean: float
    std: float
    findings: tuple[str, ...]
    usable: bool


def read_micrograph(path: Path | str, *, pixel_size_ang: float | None = None) -> Micrograph:
    """Read a micrograph; reject files that cannot be used as one.

    Args:
        path: MRC (plain, .gz or .bz2), TIFF, PNG or JPEG file.
            The pixel size of a `ListedPath` overrides the value in the file.
        pixel_size_ang: Å per pixel; overrides the values in the list and the file.

    Raises:
        MicrographError: The file is missing, empty, of an unknown format, truncated, a stack, in
            colour or complex, or its pixels are not finite or are constant.
        SettingsError: `pixel_size_ang` is not positive.
    """
    path = Path(path) if isinstance(path, str) else path
    if pixel_size_ang is not None and not 0 < pixel_size_ang < np.inf:
        raise SettingsError(f"the pixel size must be above 0 Å; got {pixel_size_ang:g}")
    if pixel_size_ang is None:
        pixel_size_ang = listed_pixel_size(path)
    image = _inspect(path)
    pixels, fault, span = (None, image.fault, None) if image.fault else _load(path, image.pixels)
    if fault or pixels is None or span is None:
        raise MicrographError(f"{path}: {fault}")
    findings = _list_findings(image, pixel_size_ang)
    return Micrograph(
        path=path,
        pixels=pixels,
        pixel_size_ang=image.pixel_size_ang if pixel_size_ang is None else float(pixel_size_ang),
        value_range=span,
        findings=findings,
    )


def _list_findings(image: StoredImage, pixel_size_ang: float | None) -> tuple[str, ...]:
    """List irregularities of a file that is read with a pixel size, None for the file's own."""
    findings = image.findings
    stored = image.pixel_size_ang
    if pixel_size_ang is None or stored is not None:
        findings += image.pixel_size_findings
    if (
        pixel_size_ang is not None
        and stored is not None
        and abs(stored - pixel_size_ang) > 0.01 * pixel_size_ang
    ):
        findings += (f"The file states {stored:g} Å per pixel; {pixel_size_ang:g} Å is used.",)
    return findings


def summarize_findings(paths: Sequence[Path], pixel_size_ang: float | None) -> list[str]:
    """Summarize the irregularities of micrographs that did not prevent reading, by kind.

    Headers are read again, of MRC files each, of other formats that of the first file only, as
    these may have to be decompressed.

    Args:
        paths: The micrographs; those that cannot be used are ignored.
        pixel_size_ang: Å per pixel that was given; None for that of the list or the file.

    Returns:
        One sentence for each kind, with the number of files and an example.
    """
    examples: dict[str, list[str]] = {}
    suffixes_seen = set()
    for path in paths:
        suffix = path.suffix.lower()
        if suffix not in _MRC_SUFFIXES and suffix in suffixes_seen:
            continue
        suffixes_seen.add(suffix)
        size_ang = listed_pixel_size(path) if pixel_size_ang is None else pixel_size_ang
        with suppress(CryopickError), translate_file_errors(path):
            for finding in _list_findings(_inspect(path), size_ang):
                kind = re.sub(r"[-\d.e+]*\d", "#", finding)
                examples.setdefault(kind, []).append(f"{path.name}: {finding}")
    return [
        texts[0] if len(texts) == 1 else f"{len(texts)} micrographs, such as {texts[0]}"
        for texts in examples.values()
    ]


def describe_micrograph(path: Path, *, with_pixels: bool = True) -> MicrographInfo:
    """Describe an image file; damage becomes a finding.

    Args:
        path: MRC (plain, .gz or .bz2), TIFF, PNG or JPEG file.
        with_pixels: Also read the pixels. Otherwise their statistics stay NaN, faults in them go
            unnoticed, and only the header of an uncompressed file is read.

    Raises:
        MicrographError: The file is missing or cannot be read.
    """
    image = _inspect(path)
    pixels = image.pixels if with_pixels else None
    with _translate_errors(path):
        fault = image.fault or (_check_values(pixels)[0] if with_pixels else None)
        minimum, maximum, mean, std = _statistics(pixels)
    findings = [*image.findings, *image.pixel_size_findings]
    findings += _compare_range(image, (minimum, maximum, mean))
    if fault:
        findings.append(f"{path}: {fault}")
    return MicrographInfo(
        kind=image.kind,
        shape=image.shape,
        dtype=image.dtype,
        pixel_size_ang=image.pixel_size_ang,
        minimum=minimum,
        maximum=maximum,
        mean=mean,
        std=std,
        findings=tuple(findings),
        usable=fault is None,
    )


def _load(
    path: Path, pixels: np.ndarray | PixelFile | None
) -> tuple[np.ndarray | None, str | None, tuple[float, float] | None]:
    """Read the pixels, and return them with their fault and range.

    Large files are checked by blocks first, so that a constant one, such as a sparse file, never
    takes memory.
    """
    with _translate_errors(path):
        if isinstance(pixels, PixelFile):
            if pixels.nbytes > _LARGE_BYTES:
                fault, _ = _check_values(pixels)
                if fault:
                    return None, fault, None
            pixels = pixels.read()
        return (pixels, *_check_values(pixels))


def _inspect(path: Path) -> StoredImage:
    """Inspect the file with the module of the format that its first bytes indicate."""
    if not is_decodable(str(path)):
        raise MicrographError(f"{path}: its name is not in UTF-8, as tables need; rename it")
    with _translate_errors(path):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise MicrographError(f"{path}: is a pipe or device; give a regular file")
        with path.open("rb") as file:
            start = file.read(_MAGIC_END)
        return _inspect_format(path, start)


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Raise errors of the file system as errors of the micrograph."""
    try:
        yield
    except FileNotFoundError:
        raise MicrographError(f"{path}: no such file; check the name") from None
    except IsADirectoryError:
        raise MicrographError(f"{path}: is a folder; name a micrograph inside it") from None
    except OSError as error:
        reason = error.strerror or error
        raise MicrographError(f"{path}: cannot be read: {reason}") from None


def _inspect_format(path: Path, start: bytes) -> StoredImage:
    if not start:
        return StoredImage(kind="unknown", fault="the file is empty; copy it again")
    if start.startswith(_TIFF_STARTS):
        from cryopick.io.images.tiff import inspect_tiff  # tifffile is imported only if needed

        return inspect_tiff(path)
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        from cryopick.io.images.raster import inspect_raster

        return inspect_raster(path)
    packed = start.startswith((b"\x1f\x8b", b"BZh"))
    if packed or start[208:211] == b"MAP" or path.suffix.lower() in _MRC_SUFFIXES:
        return inspect_mrc(path)
    fault = f"is not MRC, TIFF, PNG or JPEG (it begins with {start[:4]!r}); convert it to one"
    return StoredImage(kind="unknown", fault=fault)


def _iterate_blocks(pixels: np.ndarray | PixelFile) -> Iterator[np.ndarray]:
    """Yield an image in blocks of rows small enough to copy."""
    if isinstance(pixels, PixelFile):
        yield from pixels.read_blocks(_CHUNK_PIXELS)
        return
    rows = pixels.reshape(-1, pixels.shape[-1])
    step = max(1, _CHUNK_PIXELS // rows.shape[1])
    for first in range(0, len(rows), step):
        yield rows[first : first + step]


def _check_values(
    pixels: Shaped[np.ndarray, "..."] | PixelFile | None,
) -> tuple[str | None, tuple[float, float] | None]:
    """Return the fault of the pixel values (not finite or constant), or else their range."""
    if pixels is None or pixels.size == 0:
        return "no pixel can be read", None
    minima, maxima, invalid_count, first_invalid = [], [], 0, None
    row = 0
    for chunk in _iterate_blocks(pixels):
        minimum, maximum = chunk.min(), chunk.max()  # both are NaN if any pixel is
        minima.append(minimum)
        maxima.append(maximum)
        if not (np.isfinite(minimum) and np.isfinite(maximum)):
            positions = np.argwhere(~np.isfinite(chunk))
            first_invalid = first_invalid or (int(positions[0, 1]), int(positions[0, 0]) + row)
            invalid_count += len(positions)
        row += len(chunk)
    if invalid_count and first_invalid:
        return (
            f"{invalid_count} pixels are NaN or infinite, the first at "
            f"x = {first_invalid[0]}, y = {first_invalid[1]}; "
            "write the micrograph again, or replace them by the mean of their neighbours"
        ), None
    if min(minima) == max(maxima):
        return f"all pixels have the value {minima[0]:g}; exclude the micrograph", None
    return None, (float(min(minima)), float(max(maxima)))


def _statistics(
    pixels: Shaped[np.ndarray, "..."] | PixelFile | None,
) -> tuple[float, float, float, float]:
    """Minimum, maximum, mean and standard deviation of the finite pixels, in float64."""
    minimum, maximum, total, squares, count = np.inf, -np.inf, 0.0, 0.0, 0
    if pixels is None or pixels.size == 0 or pixels.dtype.kind not in "iuf":
        return np.nan, np.nan, np.nan, np.nan
    for chunk in _iterate_blocks(pixels):
        values = chunk[np.isfinite(chunk)].astype(np.float64)
        if values.size:
            minimum, maximum = min(minimum, float(values.min())), max(maximum, float(values.max()))
            # Chan et al. 1983, Am. Stat. 37:242: pooled sums of squares about the mean
            mean = total / count if count else 0.0
            shift = float(values.mean()) - mean
            squares += float(((values - values.mean()) ** 2).sum())
            squares += shift**2 * count * values.size / (count + values.size)
            total, count = total + float(values.sum()), count + values.size
    if not count:
        return np.nan, np.nan, np.nan, np.nan
    return minimum, maximum, total / count, float(np.sqrt(squares / count))


def _compare_range(image: StoredImage, measured: tuple[float, float, float]) -> tuple[str, ...]:
    """Compare minimum, maximum and mean in the header with those of the pixels."""
    header_values = image.header_range
    if header_values is None or not np.isfinite(measured).all():
        return ()
    tolerance = 1e-3 * (measured[1] - measured[0]) + 1e-6 * max(
        map(abs, measured)
    )  # float32 and rounding
    if np.abs(np.subtract(header_values, measured)).max() <= tolerance:
        return ()
    stated_text, measured_text = (
        "{:g}, {:g} and {:g}".format(*values) for values in (header_values, measured)
    )
    return (
        f"The header states minimum, maximum and mean {stated_text}; they are {measured_text}.",
    )
