"""Uncompressed pixels in a file, read by rows and never memory-mapped.

A memory map of a file that another program truncates kills the process with SIGBUS. Plain reads
raise an error instead.

- `PixelFile`: location and layout of the pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import MicrographError

__all__ = ["PixelFile"]


@dataclass(frozen=True)
class PixelFile:
    """Location and layout of uncompressed pixels.

    Attributes:
        path: File that holds them.
        dtype: Type of the stored pixels, with its byte order.
        offset: Position of the first pixel in bytes.
        shape: Axis lengths, height and width last.
    """

    path: Path
    dtype: np.dtype[np.generic]
    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes that the pixels take."""
        return self.size * self.dtype.itemsize

    def read(self) -> Shaped[np.ndarray, "..."]:
        """Read all pixels.

        Raises:
            MicrographError: The file has become shorter.
            OSError: The file cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return self._read_next(file, self.size).reshape(self.shape)

    def read_rows(self, first: int, last: int) -> Shaped[np.ndarray, "rows width"]:
        """Read the rows from `first` to before `last` of an image.

        Raises:
            MicrographError: The file has become shorter.
            OSError: The file cannot be read.
        """
        width = self.shape[-1]
        with self.path.open("rb") as file:
            file.seek(self.offset + first * width * self.dtype.itemsize)
            return self._read_next(file, (last - first) * width).reshape(last - first, width)

    def read_blocks(self, block_pixels: int) -> Iterator[Shaped[np.ndarray, "rows width"]]:
        """Yield blocks of whole rows of at most about `block_pixels` pixels.

        Raises:
            MicrographError: The file has become shorter.
            OSError: The file cannot be read.
        """
        width = self.shape[-1]
        row_count, step = self.size // width, max(1, block_pixels // width)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for first in range(0, row_count, step):
                rows = min(step, row_count - first)
                yield self._read_next(file, rows * width).reshape(rows, width)

    def _read_next(self, file: BinaryIO, count: int) -> Shaped[np.ndarray, " pixels"]:
        pixels = np.fromfile(file, self.dtype, count)
        if len(pixels) < count:
            raise MicrographError(
                f"{self.path}: has become shorter while it was read; "
                "try again once it is complete, or copy it again"
            )
        pixels.flags.writeable = False
        return pixels
