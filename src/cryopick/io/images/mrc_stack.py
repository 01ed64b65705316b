"""Stacks of images in one MRC file, written image by image with plain writes.

A memory-mapped file on a full disk kills the process with SIGBUS; a plain write raises an error.

- `write_mrc_stack`: write a stack.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.runs.atomic_write import atomic_write

__all__ = ["write_mrc_stack"]

_UNKNOWN_STATISTICS = {"dmin": 0, "dmax": -1, "dmean": -2, "rms": -1}  # as MRC2014 defines them


def write_mrc_stack(
    path: Path,
    images: Iterable[Float[np.ndarray, "side side"]],
    *,
    count: int,
    side: int,
    pixel_size_ang: float,
) -> None:
    """Write square images as an MRC stack, mode 2 (float32), overwriting an existing file.

    Equal images give equal bytes: the file contains no date.

    Args:
        path: Output file; missing folders are created.
        images: Images in order; they are read one at a time.
        count: Number of images.
        side: Side of the images in pixels.
        pixel_size_ang: Pixel size of the images; 0 means unknown.

    Raises:
        OSError: The file cannot be written, such as on a full disk.
    """
    written = 0
    with atomic_write(path, overwrite=True) as temporary, temporary.open("wb") as file:
        file.write(_build_header(count, side, pixel_size_ang))
        for image in images:
            file.write(np.ascontiguousarray(image, dtype="<f4").tobytes())
            written += 1
        if written != count:
            raise ValueError(f"expected {count} images, got {written}")


def _build_header(count: int, side: int, pixel_size_ang: float) -> bytes:
    """Build the header of an image stack, with mz = 1 and space group 0."""
    from mrcfile.dtypes import HEADER_DTYPE  # type: ignore[import-untyped]  # has no types
    from mrcfile.utils import (  # type: ignore[import-untyped]  # has no types
        machine_stamp_from_byte_order,
    )

    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nx"], header["ny"], header["nz"], header["mode"] = side, side, count, 2
    header["mx"], header["my"], header["mz"] = side, side, 1
    length = side * pixel_size_ang
    header["cella"] = (length, length, pixel_size_ang)
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    for name, value in _UNKNOWN_STATISTICS.items():
        header[name] = value
    header["nversion"] = 20141
    header["map"] = b"MAP "
    header["machst"] = machine_stamp_from_byte_order("<")
    header["nlabl"] = 1
    header["label"][0] = b"cryopick"
    return header.tobytes()
