"""Prepared micrographs on disk, of which windows are read.

Ten thousand micrographs need not fit in memory: a training step touches a few windows of a
few files. Coordinates in a store are working pixels.

- `Store`, `Window`: prepared micrographs, their masks and labels.
- `save_micrograph`, `is_saved`, `load_micrograph`: the files, one micrograph at a time.
- `load_histogram`: the histogram of one, without the rest.
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
    "Store",
    "Stored",
    "Window",
    "is_saved",
    "load_histogram",
    "load_micrograph",
    "save_micrograph",
]


@dataclass(frozen=True, eq=False)
class Window:
    """A square cut out of a prepared micrograph; what lies outside is 0 and not usable.

    Attributes:
        image: Normalised pixels.
        usable: Whether each pixel may be learnt from.
    """

    image: Float32[np.ndarray, "side side"]
    usable: Bool[np.ndarray, "side side"]


@dataclass(frozen=True, eq=False)
class Stored:
    """One micrograph of a store, whole.

    Attributes:
        image: Pixels at the working scale.
        usable: Which of them hold image.
        scale_yx: Raw pixels per working pixel, along y and along x.
        in_file_ang: Ångströms per raw pixel as its file says; None where it does not, or
            nobody has kept it.
        counted: Histogram of the usable pixels, where it is kept.
    """

    image: Float32[np.ndarray, "height width"]
    usable: Bool[np.ndarray, "height width"]
    scale_yx: tuple[float, float]
    in_file_ang: float | None = None
    counted: Histogram | None = None


@dataclass(frozen=True, eq=False)
class Store:
    """Prepared micrographs in a folder, numbered from 0.

    Attributes:
        folder: Where the files are.
        labels_px: For each micrograph, labelled centres (x, y) in working pixels.
        shapes: Height and width of each micrograph in working pixels.
        usable_px: Usable pixels of each micrograph.
        negatives_px: For each micrograph, places (x, y) in working pixels that are no particles;
            empty where none are known.
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
    ) -> "Store":
        """Open the store in `folder`.

        Args:
            folder: Where the files are.
            raw_labels_px: For each micrograph, labelled centres (x, y) in raw pixels.
            raw_negatives_px: Places that are no particles, likewise.
        """
        notes = [json.loads(_notes(folder, i).read_text()) for i in range(len(raw_labels_px))]
        scales = [np.array(note["scale_yx"][::-1]) for note in notes]
        return cls(
            folder=folder,
            labels_px=tuple(xy / scale for xy, scale in zip(raw_labels_px, scales, strict=True)),
            shapes=tuple((note["shape"][0], note["shape"][1]) for note in notes),
            usable_px=tuple(note["usable_px"] for note in notes),
            negatives_px=tuple(
                xy / scale for xy, scale in zip(raw_negatives_px or (), scales, strict=False)
            ),
        )

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def labelled(self) -> int:
        """Labels on all micrographs together."""
        return sum(len(labels) for labels in self.labels_px)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that differ for other labels or micrographs of other sizes."""
        labels = [own.tolist() for own in (*self.labels_px, *self.negatives_px)]
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
                (image, _image(self.folder, micrograph)),
                (usable, _mask(self.folder, micrograph)),
            ):
                window[inside] = _rows(path, window.dtype, (height, width), rows)[:, columns]
        return Window(image, usable)


def save_micrograph(folder: Path, number: int, micrograph: Stored) -> None:
    """Put a micrograph into the store in `folder`; it counts as there once it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, pixels in (
        (_image(folder, number), micrograph.image),
        (_mask(folder, number), micrograph.usable),
    ):
        np.save(path, np.ascontiguousarray(pixels))  # row after row, as windows are read
    if micrograph.counted is not None:
        np.save(
            _counts(folder, number),
            np.stack([micrograph.counted.centres, micrograph.counted.counts]),
        )
    notes = {
        "shape": micrograph.image.shape,
        "scale_yx": micrograph.scale_yx,
        "usable_px": int(micrograph.usable.sum()),
        "in_file_ang": micrograph.in_file_ang,
    }
    part = _notes(folder, number).with_suffix(".part")
    part.write_text(json.dumps(notes))
    part.replace(_notes(folder, number))  # the notes come last: with them it is complete


def is_saved(folder: Path, number: int) -> bool:
    """Whether the store in `folder` holds micrograph `number` completely."""
    return _notes(folder, number).exists()


def load_micrograph(folder: Path, number: int) -> Stored:
    """Read one micrograph of the store in `folder`."""
    notes = json.loads(_notes(folder, number).read_text())
    scale_y, scale_x = notes["scale_yx"]
    is_counted = _counts(folder, number).exists()
    return Stored(
        image=np.load(_image(folder, number)),
        usable=np.load(_mask(folder, number)),
        scale_yx=(scale_y, scale_x),
        in_file_ang=notes["in_file_ang"],
        counted=load_histogram(folder, number) if is_counted else None,
    )


def load_histogram(folder: Path, number: int) -> Histogram:
    """Read the histogram that was saved with a micrograph of the store in `folder`."""
    return Histogram(*np.load(_counts(folder, number)))


def _rows(
    path: Path, kind: np.dtype[Any], shape: tuple[int, int], rows: slice
) -> Shaped[np.ndarray, "rows width"]:
    """Some rows of a saved image.

    Its pixels are the end of its file. To seek from there costs a tenth of a memory map, which
    would read the header again for every window.
    """
    height, width = shape
    with path.open("rb", buffering=0) as file:
        file.seek(-(height - rows.start) * width * kind.itemsize, os.SEEK_END)
        return np.fromfile(file, kind, (rows.stop - rows.start) * width).reshape(-1, width)


def _image(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.image.npy"


def _mask(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.usable.npy"


def _notes(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _counts(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.counts.npy"
