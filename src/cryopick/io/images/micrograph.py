"""Micrographs in: strict reading, and a permissive look for `cryopick info`.

What a file is, its first bytes say; the suffix decides only where they are silent. Pixels
stay as stored: (height, width), row 0 first, no flip, the file's own type.

- `read_micrograph`: one image, or an error that says what is wrong and what to do.
- `describe_micrograph`: what a file holds and what is wrong with it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Real, Shaped
from cryopick.errors import MicrographError, SettingsError
from cryopick.io.images.mrc import inspect_mrc
from cryopick.io.images.stored_image import StoredImage

__all__ = ["Micrograph", "MicrographInfo", "describe_micrograph", "read_micrograph"]

_MRC_SUFFIXES = (".mrc", ".mrcs", ".map", ".rec", ".st")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CHUNK_PIXELS = 1 << 22
_STAMP_END = 212  # the word MAP of an MRC header ends here


@dataclass(frozen=True, eq=False, kw_only=True)
class Micrograph:
    """One image that can serve as a micrograph.

    Attributes:
        path: The file it came from.
        pixels: Finite, not constant, as stored; memory-mapped where the format allows, and
            then read-only and perhaps of the other byte order.
        pixel_size_ang: Å per pixel; None where neither file nor caller says.
        span: Least and greatest pixel.
        findings: Oddities that did not keep it from being read, one sentence each.
    """

    path: Path
    pixels: Real[np.ndarray, "height width"]
    pixel_size_ang: float | None
    span: tuple[float, float]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MicrographInfo:
    """What an image file holds, as far as can be told.

    Attributes:
        kind: Name of the format, or "unknown".
        shape: Axis lengths as stored; height and width last; empty if unknown.
        dtype: Name of the pixel type; empty if unknown.
        pixel_size_ang: Å per pixel; None where the file says none.
        minimum: Least finite pixel; this and the next three are NaN if no pixel can be read.
        maximum: Greatest finite pixel.
        mean: Mean of the finite pixels.
        std: Standard deviation of the finite pixels.
        findings: Everything odd, one sentence each; the last may be the error that
            `read_micrograph` raises.
        usable: Whether `read_micrograph` accepts the file.
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
    """Read one micrograph and refuse whatever cannot serve as one.

    Args:
        path: MRC (plain, .gz or .bz2), TIFF, PNG or JPEG.
        pixel_size_ang: Å per pixel; comes before what the file says.

    Raises:
        MicrographError: The file is missing, empty, of another format, truncated, a stack, in
            colour or complex, or its pixels are not all finite, or are all the same.
        SettingsError: `pixel_size_ang` is not above 0.
    """
    path = Path(path)
    if pixel_size_ang is not None and not 0 < pixel_size_ang < np.inf:
        raise SettingsError(f"the pixel size must be above 0 Å; got {pixel_size_ang:g}")
    image = _inspect(path)
    fault, span = (image.fault, None) if image.fault else _examined(image.pixels)
    if fault or image.pixels is None or span is None:
        raise MicrographError(f"{path}: {fault}")
    findings = image.findings
    if pixel_size_ang is not None:
        findings = tuple(text for text in findings if "gives no pixel size" not in text)
        stored = image.pixel_size_ang
        if stored is not None and abs(stored - pixel_size_ang) > 0.01 * pixel_size_ang:
            findings += (f"The file says {stored:g} Å per pixel; {pixel_size_ang:g} Å is used.",)
    return Micrograph(
        path=path,
        pixels=image.pixels,
        pixel_size_ang=image.pixel_size_ang if pixel_size_ang is None else float(pixel_size_ang),
        span=span,
        findings=findings,
    )


def describe_micrograph(path: Path, *, with_pixels: bool = True) -> MicrographInfo:
    """Say what an image file holds; damage becomes a finding.

    Args:
        path: MRC (plain, .gz or .bz2), TIFF, PNG or JPEG.
        with_pixels: Look at the pixels too; without, what they would tell stays NaN and a fault
            in them unseen, and a memory-mapped file costs its header alone.

    Raises:
        MicrographError: The file is missing or may not be read: nothing can be said.
    """
    image = _inspect(path)
    pixels = image.pixels if with_pixels else None
    fault = image.fault or (_examined(pixels)[0] if with_pixels else None)
    minimum, maximum, mean, std = _statistics(pixels)
    findings = [*image.findings, *_range_findings(image, (minimum, maximum, mean))]
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


def _inspect(path: Path) -> StoredImage:
    """Have the file looked at by the format that its first bytes name."""
    try:
        with path.open("rb") as file:
            start = file.read(_STAMP_END)
        return _by_content(path, start)
    except FileNotFoundError:
        raise MicrographError(f"{path}: no such file; check the name") from None
    except IsADirectoryError:
        raise MicrographError(f"{path}: is a folder; name a micrograph inside it") from None
    except OSError as error:
        raise MicrographError(f"{path}: cannot be read: {error.strerror}") from None


def _by_content(path: Path, start: bytes) -> StoredImage:
    if not start:
        return StoredImage(kind="unknown", fault="the file is empty; copy it again")
    if start.startswith(_TIFF_STARTS):
        from cryopick.io.images.tiff import inspect_tiff  # tifffile loads only when needed

        return inspect_tiff(path)
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        from cryopick.io.images.raster import inspect_raster

        return inspect_raster(path)
    packed = start.startswith((b"\x1f\x8b", b"BZh"))
    if packed or start[208:211] == b"MAP" or path.suffix.lower() in _MRC_SUFFIXES:
        return inspect_mrc(path)
    fault = f"is not MRC, TIFF, PNG or JPEG (it begins with {start[:4]!r}); convert it to one"
    return StoredImage(kind="unknown", fault=fault)


def _chunks(pixels: np.ndarray) -> list[np.ndarray]:
    """Cut into runs of rows small enough that their copies stay small."""
    rows = pixels.reshape(-1, pixels.shape[-1])
    step = max(1, _CHUNK_PIXELS // rows.shape[1])
    return [rows[i : i + step] for i in range(0, len(rows), step)]


def _examined(
    pixels: Shaped[np.ndarray, "..."] | None,
) -> tuple[str | None, tuple[float, float] | None]:
    """What is wrong with the values, not finite or all the same, or else the least and greatest."""
    if pixels is None or pixels.size == 0:
        return "no pixel can be read", None
    lows, highs, bad, first = [], [], 0, None
    row = 0
    for chunk in _chunks(pixels):
        low, high = chunk.min(), chunk.max()  # both are NaN if any pixel is
        lows.append(low)
        highs.append(high)
        if not (np.isfinite(low) and np.isfinite(high)):
            places = np.argwhere(~np.isfinite(chunk))
            first = first or (int(places[0, 1]), int(places[0, 0]) + row)
            bad += len(places)
        row += len(chunk)
    if bad and first:
        return (
            f"{bad} pixels are NaN or infinite, the first at x = {first[0]}, y = {first[1]}; "
            "write the micrograph anew, or replace them by the mean of their neighbours"
        ), None
    if min(lows) == max(highs):
        return f"every pixel is {lows[0]:g}; it shows nothing, leave it out", None
    return None, (float(min(lows)), float(max(highs)))


def _statistics(pixels: Shaped[np.ndarray, "..."] | None) -> tuple[float, float, float, float]:
    """Minimum, maximum, mean and standard deviation of the finite pixels, in float64."""
    low, high, total, squares, count = np.inf, -np.inf, 0.0, 0.0, 0
    if pixels is None or pixels.size == 0 or pixels.dtype.kind not in "iuf":
        return np.nan, np.nan, np.nan, np.nan
    for chunk in _chunks(pixels):
        values = chunk[np.isfinite(chunk)].astype(np.float64)
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            # Chan et al. 1983, Am. Stat. 37:242: pooled sums of squares about the mean
            mean = total / count if count else 0.0
            shift = float(values.mean()) - mean
            squares += float(((values - values.mean()) ** 2).sum())
            squares += shift**2 * count * values.size / (count + values.size)
            total, count = total + float(values.sum()), count + values.size
    if not count:
        return np.nan, np.nan, np.nan, np.nan
    return low, high, total / count, float(np.sqrt(squares / count))


def _range_findings(image: StoredImage, found: tuple[float, float, float]) -> tuple[str, ...]:
    """Hold the header's minimum, maximum and mean against those of the pixels."""
    claimed = image.header_range
    if claimed is None or not np.isfinite(found).all():
        return ()
    tolerance = 1e-3 * (found[1] - found[0]) + 1e-6 * max(map(abs, found))  # float32 and rounding
    if np.abs(np.subtract(claimed, found)).max() <= tolerance:
        return ()
    said, real = ("{:g}, {:g} and {:g}".format(*values) for values in (claimed, found))
    return (f"The header says minimum, maximum and mean are {said}; they are {real}.",)
