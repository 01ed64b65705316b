"""Read a rectangle of a micrograph, without the rest of an uncompressed MRC file.

- `MicrographRegions`: rectangles of one micrograph.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float32, Real
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import inspect_mrc
from cryopick.io.images.pixel_file import PixelFile
from cryopick.runs.file_errors import translate_file_errors

__all__ = ["MicrographRegions"]


@dataclass(frozen=True, eq=False)
class MicrographRegions:
    """Rectangles of one micrograph.

    Attributes:
        pixels: All pixels, or where they are in the file.
    """

    pixels: Real[np.ndarray, "height width"] | PixelFile

    @classmethod
    def open(cls, path: Path) -> "MicrographRegions":
        """Open a micrograph; files other than uncompressed MRC are read completely.

        Raises:
            MicrographError: The file cannot be used as a micrograph. Faults in the values of an
                uncompressed MRC file, such as a constant image, go unnoticed.
        """
        if path.suffix.lower() == ".mrc":
            with translate_file_errors(path):
                image = inspect_mrc(path)
            if image.fault is None and isinstance(image.pixels, PixelFile):
                return cls(image.pixels)
        return cls(read_micrograph(path).pixels)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pixels.shape[-2:]
        return int(height), int(width)

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take; 0 if they stay in the file."""
        return 0 if isinstance(self.pixels, PixelFile) else int(self.pixels.nbytes)

    def read(
        self, top: int, left: int, height: int, width: int
    ) -> Float32[np.ndarray, "rows columns"]:
        """Read the part of a rectangle inside the micrograph; values that are not finite become 0.

        Raises:
            MicrographError: The file has become shorter.
            OSError: The file cannot be read.
        """
        rows, columns = self.shape
        first, last = max(0, top), min(rows, top + height)
        left, right = max(0, left), min(columns, left + width)
        if first >= last or left >= right:
            return np.zeros((0, 0), np.float32)
        if isinstance(self.pixels, PixelFile):
            block = self.pixels.read_rows(first, last)
        else:
            block = self.pixels[first:last]
        part = np.array(block[:, left:right], np.float32)
        return np.nan_to_num(part, copy=False, posinf=0.0, neginf=0.0)
