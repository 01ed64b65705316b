"""Tiles of a micrograph at full resolution, and sheets of crops from many micrographs.

Only the rows of a tile or crop are read, so that a micrograph of any size can be viewed pixel by
pixel and crops of a thousand micrographs do not read a thousand files completely.

- `TileRenderer`: renders tiles and sheets of crops as JPEG.
- `TileRequest`: position, scale and filters of a tile.
- `Crop`: centre of a crop. `SheetLayout`: size and filter of the crops.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryopick.array_types import Float32, UInt8
from cryopick.errors import CryopickError, InputError
from cryopick.io.images.micrograph_region import MicrographRegions
from cryopick.preprocess.display import bin_pixels, convert_to_greys, filter_band, scale_to_bytes

__all__ = ["Crop", "SheetLayout", "TileRenderer", "TileRequest"]

_RANGE_SD = 4.0  # half-width of the grey scale in standard deviations, as in overviews
_SAMPLE_PX = 256  # side of the patches that the grey scale is measured on
_HALO_SD = 3.0  # of the low-pass filter around a tile
_SD_PER_CUTOFF = 0.1874  # standard deviation of a Gaussian filter per cutoff wavelength
_MAX_OPEN_BYTES = 256 << 20
_MAX_OPEN = 64
_MAX_RANGES = 1000
_TILE_QUALITY = 95
_SHEET_QUALITY = 85

Plane = Float32[np.ndarray, "height width"]
Overview = Callable[[Path], tuple[Plane, float]]


@dataclass(frozen=True)
class TileRequest:
    """Position, scale and filters of a tile.

    Attributes:
        x: First raw column.
        y: First raw row.
        side_px: Side of the rendered tile; at the edges of the micrograph it is smaller.
        factor: Raw pixels per pixel of the tile.
        pixel_size_ang: Pixel size of the micrograph; without it no filter is applied.
        low_pass_ang: Cutoff of the low-pass filter.
        high_pass_ang: Cutoff of the high-pass filter.
    """

    x: int
    y: int
    side_px: int = 512
    factor: int = 1
    pixel_size_ang: float | None = None
    low_pass_ang: float | None = None
    high_pass_ang: float | None = None

    @property
    def filters(self) -> tuple[float | None, float | None, float | None]:
        """Pixel size and cutoffs, as far as they change the tile."""
        return (self.pixel_size_ang, self.low_pass_ang, self.high_pass_ang)


@dataclass(frozen=True)
class Crop:
    """Centre (x, y) of a crop in raw pixels, and the pixel size of its micrograph."""

    path: Path
    x: float
    y: float
    pixel_size_ang: float | None = None


@dataclass(frozen=True)
class SheetLayout:
    """Layout of a sheet of crops.

    Attributes:
        side_px: Side of a crop in raw pixels.
        cell_px: Side of a crop on the sheet.
        columns: Crops in a row.
        low_pass_ang: Cutoff of the low-pass filter.
    """

    side_px: int
    cell_px: int = 96
    columns: int = 10
    low_pass_ang: float | None = None


class TileRenderer:
    """Renders tiles and crops; safe to use from several threads.

    Args:
        overview: Returns a micrograph binned to about 512 pixels, and its bin size; wide shading
            is measured on it.
    """

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[Path, int], MicrographRegions] = OrderedDict()
        self._ranges: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def render_tile(self, path: Path, tile: TileRequest) -> bytes:
        """Render a tile; all tiles of a micrograph have the same grey scale.

        Raises:
            InputError: The tile lies outside the micrograph.
            MicrographError: The file cannot be used as a micrograph.
        """
        regions, key = self._regions(path)
        rows, columns = regions.shape
        if tile.x >= columns or tile.y >= rows or min(tile.x, tile.y) < 0:
            raise InputError("the tile lies outside the micrograph")
        low, high = self._grey_range(path, key, regions, tile)
        greys = scale_to_bytes(self._read(path, regions, tile), low, high)
        return _encode(greys, _TILE_QUALITY)

    def render_sheet(self, crops: Sequence[Crop], layout: SheetLayout) -> bytes:
        """Render crops side by side, each with its own grey scale; unreadable ones stay grey."""
        cell_px, columns = layout.cell_px, layout.columns
        rows = -(-len(crops) // columns)
        sheet = np.full((rows * cell_px, columns * cell_px), 128, np.uint8)
        for number, crop in enumerate(crops):
            try:
                greys = self._crop(crop, layout)
            except (CryopickError, OSError):
                continue
            top, left = number // columns * cell_px, number % columns * cell_px
            sheet[top : top + cell_px, left : left + cell_px] = greys
        return _encode(sheet, _SHEET_QUALITY)

    def _crop(self, crop: Crop, layout: SheetLayout) -> UInt8[np.ndarray, "cell cell"]:
        """Read the square around a centre, and resample it to the size of a cell."""
        from PIL import Image

        side_px, cell_px = layout.side_px, layout.cell_px
        regions, _ = self._regions(crop.path)
        # Pixel centres are at integers: the square begins half a pixel before its first pixel.
        left, top = (round(centre - (side_px - 1) / 2) for centre in (crop.x, crop.y))
        pixels = regions.read(top, left, side_px, side_px)
        if not pixels.size:
            return np.full((cell_px, cell_px), 128, np.uint8)
        square = np.full((side_px, side_px), pixels.mean(), np.float32)
        first_row, first_column = max(0, -top), max(0, -left)
        height, width = pixels.shape
        square[first_row : first_row + height, first_column : first_column + width] = pixels
        factor = max(1, side_px // cell_px)
        binned = bin_pixels(square, factor)
        if layout.low_pass_ang and crop.pixel_size_ang:
            binned = filter_band(
                binned, crop.pixel_size_ang * factor, low_pass_ang=layout.low_pass_ang
            )
        image = Image.fromarray(binned)
        resized = image.resize((cell_px, cell_px), Image.Resampling.BICUBIC)
        return convert_to_greys(np.asarray(resized))

    def _regions(self, path: Path) -> tuple[MicrographRegions, tuple[Path, int]]:
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        with self._lock:
            regions = self._open.get(key)
        if regions is None:
            regions = MicrographRegions.open(path)
        with self._lock:
            self._open[key] = regions
            self._open.move_to_end(key)
            while len(self._open) > 1 and (
                len(self._open) > _MAX_OPEN
                or sum(entry.nbytes for entry in self._open.values()) > _MAX_OPEN_BYTES
            ):
                self._open.popitem(last=False)
        return regions, key

    def _grey_range(
        self, path: Path, key: object, regions: MicrographRegions, tile: TileRequest
    ) -> tuple[float, float]:
        """Measure the grey scale on patches all over the micrograph, filtered like the tile."""
        key = (key, tile.factor, tile.filters)
        with self._lock:
            cached = self._ranges.get(key)
        if cached is not None:
            return cached
        step = _SAMPLE_PX * tile.factor
        corners = [
            (int(fy * max(0, regions.shape[0] - step)), int(fx * max(0, regions.shape[1] - step)))
            for fy in (0.1, 0.5, 0.9)
            for fx in (0.1, 0.5, 0.9)
        ]
        patches = [
            self._read(
                path, regions, TileRequest(x, y, _SAMPLE_PX, tile.factor, *tile.filters)
            ).ravel()
            for y, x in corners
        ]
        values = np.concatenate(patches)
        first, last = np.percentile(values, [1, 99])
        inner = values[(values >= first) & (values <= last)]
        mean, sd = float(inner.mean()), float(inner.std()) or 1.0
        measured = (mean - _RANGE_SD * sd, mean + _RANGE_SD * sd)
        with self._lock:
            self._ranges[key] = measured
            while len(self._ranges) > _MAX_RANGES:
                self._ranges.popitem(last=False)
        return measured

    def _read(self, path: Path, regions: MicrographRegions, tile: TileRequest) -> Plane:
        """Read, bin and filter the pixels of a tile."""
        size_ang, low_pass_ang, high_pass_ang = tile.filters
        halo = 0
        if size_ang and low_pass_ang:
            halo = int(np.ceil(_HALO_SD * _SD_PER_CUTOFF * low_pass_ang / size_ang / tile.factor))
        halo = min(halo, tile.side_px)
        factor, span = tile.factor, tile.side_px * tile.factor
        before = (min(halo, tile.y // factor), min(halo, tile.x // factor))
        top, left = tile.y - before[0] * factor, tile.x - before[1] * factor
        pixels = regions.read(
            top, left, span + (before[0] + halo) * factor, span + (before[1] + halo) * factor
        )
        factor_y, factor_x = (min(factor, side) for side in pixels.shape)
        binned = bin_pixels(pixels, min(factor_y, factor_x))
        if size_ang and low_pass_ang:
            binned = filter_band(binned, size_ang * factor, low_pass_ang=low_pass_ang)
        inner = binned[before[0] :, before[1] :][: tile.side_px, : tile.side_px]
        if size_ang and high_pass_ang:
            inner = inner - self._shading(path, tile, inner.shape)
        return inner

    def _shading(self, path: Path, tile: TileRequest, shape: tuple[int, int]) -> Plane:
        """Interpolate the wide shading, which a high-pass filter removes, from the overview."""
        from scipy.ndimage import map_coordinates

        size_ang, low_pass_ang, high_pass_ang = tile.filters
        plane, bin_px = self._overview(path)
        # The product of two Gaussian filters is one: the squares of their cutoffs add up.
        cutoff_ang = float(np.hypot(low_pass_ang or 0.0, high_pass_ang or 0.0))
        shading = filter_band(plane, (size_ang or 1.0) * bin_px, low_pass_ang=cutoff_ang)
        at = [
            (start + tile.factor * (np.arange(count) + 0.5) - 0.5 - (bin_px - 1) / 2) / bin_px
            for start, count in zip((tile.y, tile.x), shape, strict=True)
        ]
        rows, columns = np.meshgrid(*at, indexing="ij")
        return map_coordinates(shading, [rows, columns], order=1, mode="nearest").astype(np.float32)


def _encode(pixels: UInt8[np.ndarray, "height width"], quality: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()
