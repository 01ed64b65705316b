"""RELION's `tomograms.star`: names, files and pixel sizes of tomograms.

- `ListedTomogram`: a tomogram that a list or a command line names.
- `read_tomogram_list`: read such a list.
"""

from dataclasses import dataclass
from pathlib import Path

from cryopick.errors import FormatError
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.star_text import find_columns, parse_numbers, parse_star, unquote_values
from cryopick.runs.text_files import read_text

__all__ = ["ListedTomogram", "read_tomogram_list"]

_NAME = "_rlnTomoName"
_PIXEL_SIZE, _BINNING = "_rlnTomoTiltSeriesPixelSize", "_rlnTomoTomogramBinning"
_SIZES = ("_rlnTomoSizeX", "_rlnTomoSizeY", "_rlnTomoSizeZ")
# Preferred first: denoised tomograms are made to be looked at and picked.
_FILES = (
    "_rlnTomoReconstructedTomogramDenoised",
    "_rlnTomoReconstructedTomogram",
    "_rlnTomoReconstructedTomogramHalf1",
)


@dataclass(frozen=True, kw_only=True)
class ListedTomogram:
    """A tomogram that a list or a command line names.

    Attributes:
        path: The file.
        name: Name in tables.
        voxel_size_ang: Voxel size; None if the list does not state it.
        unbinned_ang: Pixel size of the tilt series, if stated.
        unbinned_size: Size (x, y, z) in pixels of the tilt series, if stated.
    """

    path: Path
    name: str
    voxel_size_ang: float | None = None
    unbinned_ang: float | None = None
    unbinned_size: tuple[float, float, float] | None = None

    @classmethod
    def from_file(cls, path: Path) -> "ListedTomogram":
        """Name a tomogram by the stem of its file."""
        return cls(path=path, name=micrograph_stem(path.as_posix()))


def read_tomogram_list(path: Path) -> list[ListedTomogram]:
    """Read RELION's `tomograms.star`.

    Raises:
        FormatError: The file is no such list, or it names no reconstructed tomograms.
    """
    text = read_text(path)
    tables = [find_columns(block, _NAME) for block in parse_star(text, path)]
    columns = next((one for one in tables if _NAME in one and _PIXEL_SIZE in one), None)
    if columns is None:
        raise FormatError(
            f"{path}: expected RELION's tomograms.star with rlnTomoName and "
            "rlnTomoTiltSeriesPixelSize; give that file, or the tomograms themselves"
        )
    files = next((columns[tag] for tag in _FILES if tag in columns), None)
    if files is None:
        raise FormatError(
            f"{path}: the list names no reconstructed tomograms; reconstruct them in RELION first"
        )
    pixel_sizes = parse_numbers(columns[_PIXEL_SIZE], _PIXEL_SIZE, text, path).tolist()
    rows = len(pixel_sizes)
    binnings: list[float] = [0.0] * rows
    if _BINNING in columns:
        binnings = parse_numbers(columns[_BINNING], _BINNING, text, path).tolist()
    sizes: list[tuple[float, float, float] | None] = [None] * rows
    if all(tag in columns for tag in _SIZES):
        axes = [parse_numbers(columns[tag], tag, text, path).tolist() for tag in _SIZES]
        sizes = [(x, y, z) for x, y, z in zip(*axes, strict=True)]
    return [
        ListedTomogram(
            path=Path(file),
            name=name,
            voxel_size_ang=pixel * binning or None,
            unbinned_ang=pixel,
            unbinned_size=size,
        )
        for name, file, pixel, binning, size in zip(
            unquote_values(columns[_NAME]),
            unquote_values(files),
            pixel_sizes,
            binnings,
            sizes,
            strict=True,
        )
    ]
