"""Store of prepared micrographs on disk, from which training reads windows.

The micrographs need not fit in memory, as a training step reads a few windows of a few files.
Coordinates in a store are in working pixels.

- `PreparedStore`, `Window`: prepared micrographs, their masks and labels.
- `save_micrograph`, `is_saved`, `load_micrograph`: write and read single micrographs.
- `load_histogram`: read only the histogram of a micrograph.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.array_types import Bool, Float, Float32, Shaped
from cryopick.preprocess.histogram import Histogram

__all__ = [
    "PreparedStore",
    "StoredMicrograph",
    "Window",
    "is_saved",
    "load_histogram",
    "load_micrograph",
    "save_micrograph",
]


@dataclass(frozen=True, eq=False)
class Window:
    """A square window of a prepared micrograph; pixels outside are 0 and unusable.

    Attributes:
        image: Normalised pixels.
        usable: Pixels that may be used for training.
    """

    image: Float32[np.ndarray, "side side"]
    usable: Bool[np.ndarray, "side side"]


@dataclass(frozen=True, eq=False)
class StoredMicrograph:
    """One complete micrograph of a store.

    Attributes:
        image: Pixels at the working scale.
        usable: Pixels that contain image.
        scale_yx: Raw pixels per working pixel, along y and along x.
        header_pixel_size_ang: Raw pixel size according to the header of the file, if known.
        pixel_histogram: Histogram of the usable pixels, if stored.
    """

    image: Float32[np.ndarray, "height width"]
    usable: Bool[np.ndarray, "height width"]
    scale_yx: tuple[float, float]
    header_pixel_size_ang: float | None = None
    pixel_histogram: Histogram | None = None


@dataclass(frozen=True, eq=False)
class PreparedStore:
    """Prepared micrographs in a folder, numbered from 0.

    Attributes:
        folder: Folder of the files.
        labels_px: Labels (x, y) of each micrograph in working pixels.
        shapes: Height and width of each micrograph in working pixels.
        usable_px: Number of usable pixels of each micrograph.
        negatives_px: Negative labels (x, y) of each micrograph in working pixels; may be empty.
    """

    folder: Path
    labels_px: tuple[Float[np.ndarray, "_ 2"], ...]
    shapes: tuple[tuple[int, int], ...]
    usable_px: tuple[int, ...]
    negatives_px: tuple[Float[np.ndarray, "_ 2"], ...] = ()

    @classmethod
    def open(
        cls,
        folder: Path,
        raw_labels_px: Sequence[Float[np.ndarray, "_ 2"]],
        raw_negatives_px: Sequence[Float[np.ndarray, "_ 2"]] | None = None,
    ) -> "PreparedStore":
        """Open the store in `folder`.

        Args:
            folder: Folder of the files.
            raw_labels_px: Labels (x, y) of each micrograph in raw pixels.
            raw_negatives_px: Negative labels (x, y) of each micrograph in raw pixels.
        """
        metadata = [
            json.loads(_metadata_path(folder, number).read_text())
            for number in range(len(raw_labels_px))
        ]
        scales = [np.array(values["scale_yx"][::-1]) for values in metadata]
        return cls(
            folder=folder,
            labels_px=tuple(xy / scale for xy, scale in zip(raw_labels_px, scales, strict=True)),
            shapes=tuple((values["shape"][0], values["shape"][1]) for values in metadata),
            usable_px=tuple(values["usable_px"] for values in metadata),
            negatives_px=tuple(
                xy / scale for xy, scale in zip(raw_negatives_px or (), scales, strict=False)
            ),
        )

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def label_count(self) -> int:
        """Number of labels on all micrographs."""
        return sum(len(labels) for labels in self.labels_px)

    @property
    def labelled_micrograph_count(self) -> int:
        """Number of micrographs with a label."""
        return sum(len(labels) > 0 for labels in self.labels_px)

    @property
    def fingerprint(self) -> str:
        """Hash of the labels and the sizes of the micrographs, as 12 hexadecimal digits."""
        labels = [xy_px.tolist() for xy_px in (*self.labels_px, *self.negatives_px)]
        text = json.dumps([self.shapes, self.usable_px, labels])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def window(self, micrograph: int, top: int, left: int, side: int) -> Window:
        """Cut the square of `side` pixels whose first pixel is (top, left)."""
        height, width = self.shapes[micrograph]
        image = np.zeros((side, side), np.float32)
        usable = np.zeros((side, side), bool)
        rows = slice(max(top, 0), min(top + side, height))
        columns = slice(max(left, 0), min(left + side, width))
        if rows.start < rows.stop and columns.start < columns.stop:
            inside = (
                slice(rows.start - top, rows.stop - top),
                slice(columns.start - left, columns.stop - left),
            )
            for window, path in (
                (image, _image_path(self.folder, micrograph)),
                (usable, _mask_path(self.folder, micrograph)),
            ):
                window[inside] = _read_rows(path, window.dtype, (height, width), rows)[:, columns]
        return Window(image, usable)


def save_micrograph(folder: Path, number: int, micrograph: StoredMicrograph) -> None:
    """Write a micrograph to the store in `folder`; its metadata file marks it as complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, pixels in (
        (_image_path(folder, number), micrograph.image),
        (_mask_path(folder, number), micrograph.usable),
    ):
        _save_array(path, pixels)
    histogram = micrograph.pixel_histogram
    if histogram is not None:
        _save_array(
            _histogram_path(folder, number), np.stack([histogram.centres, histogram.counts])
        )
    metadata = {
        "shape": micrograph.image.shape,
        "scale_yx": micrograph.scale_yx,
        "usable_px": int(micrograph.usable.sum()),
        "in_file_ang": micrograph.header_pixel_size_ang,
    }
    temporary = _metadata_path(folder, number).with_suffix(".part")
    temporary.write_text(json.dumps(metadata))
    temporary.replace(_metadata_path(folder, number))  # last, as it marks the set as complete


def _save_array(path: Path, array: Shaped[np.ndarray, "..."]) -> None:
    """Write an array in row order, as windows are read, as a `.npy` file.

    `np.save` writes through C, which does not report that a disk is full; a plain write does.
    """
    header: dict[str, Any] = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(array).tobytes())
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def is_saved(folder: Path, number: int) -> bool:
    """Return true if micrograph `number` of the store in `folder` is complete and undamaged.

    The sizes of its files are compared with the metadata, so that a file that was cut short is
    made again.
    """
    try:
        metadata = json.loads(_metadata_path(folder, number).read_text(encoding="utf-8"))
        height, width = metadata["shape"]
        image, mask = _image_path(folder, number), _mask_path(folder, number)
        sizes = image.stat().st_size, mask.stat().st_size
        is_complete = {"scale_yx", "usable_px", "in_file_ang"} <= metadata.keys()
        return is_complete and sizes[0] > 4 * height * width and sizes[1] > height * width
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return False


def load_micrograph(folder: Path, number: int) -> StoredMicrograph:
    """Read one micrograph of the store in `folder`."""
    metadata = json.loads(_metadata_path(folder, number).read_text())
    scale_y, scale_x = metadata["scale_yx"]
    has_histogram = _histogram_path(folder, number).exists()
    return StoredMicrograph(
        image=np.load(_image_path(folder, number)),
        usable=np.load(_mask_path(folder, number)),
        scale_yx=(scale_y, scale_x),
        header_pixel_size_ang=metadata["in_file_ang"],
        pixel_histogram=load_histogram(folder, number) if has_histogram else None,
    )


def load_histogram(folder: Path, number: int) -> Histogram:
    """Read the histogram of a micrograph of the store in `folder`."""
    return Histogram(*np.load(_histogram_path(folder, number)))


def _read_rows(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, int], rows: slice
) -> Shaped[np.ndarray, "rows width"]:
    """Read some rows of a stored image.

    The pixels are at the end of the file. Seeking from the end is ten times faster than a memory
    map, which would read the header again for every window.
    """
    height, width = shape
    with path.open("rb", buffering=0) as file:
        file.seek(-(height - rows.start) * width * dtype.itemsize, os.SEEK_END)
        return np.fromfile(file, dtype, (rows.stop - rows.start) * width).reshape(-1, width)


def _image_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.image.npy"


def _mask_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.usable.npy"


def _metadata_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _histogram_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.counts.npy"
