"""What an image file holds, told without judging it.

Each image format has one function that looks at a file and answers with a `StoredImage`; it
does not raise for a damaged file but says in `fault` why no micrograph can be had from it.
Strict reading raises that fault, `cryopick info` lists it.

- `StoredImage`: the facts.
- `MAX_PIXELS`: the largest image that is read.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["MAX_PIXELS", "StoredImage", "pixel_size_findings", "plausible_pixel_size"]

MAX_PIXELS = 2**30  # 32768 x 32768; the largest detectors give a quarter of it


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredImage:
    """What a file of one image format holds.

    Attributes:
        kind: Name of the format, such as "MRC".
        shape: Lengths of the axes as stored, height and width last; empty if unknown.
        dtype: Name of the pixel type; empty if unknown.
        pixel_size_ang: Ångströms per pixel, mean of both axes; None where the file says none.
        findings: Oddities that do not keep it from being read, one sentence each.
        fault: Why no micrograph can be had from it, and what to do; None if one can.
        pixels: The pixels, memory-mapped where the format allows; None where unreadable.
        header_range: Minimum, maximum and mean that the header claims; None if it claims none.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    pixel_size_ang: float | None = None
    findings: tuple[str, ...] = ()
    fault: str | None = None
    pixels: np.ndarray | None = None
    header_range: tuple[float, float, float] | None = None


def plausible_pixel_size(x_ang: float, y_ang: float) -> float | None:
    """Take the mean of two pixel sizes in Å, or None if either is not within 0.05 to 100 Å."""
    sizes = np.array([x_ang, y_ang])
    return float(sizes.mean()) if ((sizes >= 0.05) & (sizes <= 100.0)).all() else None


def pixel_size_findings(x_ang: float, y_ang: float) -> tuple[str, ...]:
    """Say what is odd about the pixel sizes in Å that a file gives for its two axes."""
    if plausible_pixel_size(x_ang, y_ang) is None:
        said = f" ({x_ang:g} Å is not one)" if x_ang else ""
        return (f"The file gives no pixel size{said}.",)
    if abs(x_ang - y_ang) > 0.01 * max(x_ang, y_ang):
        return (f"The pixel sizes along x ({x_ang:g} Å) and y ({y_ang:g} Å) differ by over 1 %.",)
    return ()
