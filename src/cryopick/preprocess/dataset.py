"""Prepare a data set: from raw micrographs and labels to a store for training.

- `Dataset`: a store, and the normalisation for further micrographs.
- `prepare_dataset`: downsample all micrographs, fit the normalisation, and apply it.
- `rescale_dataset`, `RescaledDataset`: all steps except applying the normalisation.
- `Preparation`: settings of the preparation.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.errors import CryopickError, InputError, MicrographError, MissingPixelSizeError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.picks import Picks
from cryopick.preprocess.histogram import histogram
from cryopick.preprocess.mask import erode_mask
from cryopick.preprocess.normalize import Normalization, fit_normalization
from cryopick.preprocess.pipeline import rescale_micrograph
from cryopick.preprocess.prepared_store import (
    PreparedStore,
    StoredMicrograph,
    is_saved,
    load_histogram,
    load_micrograph,
    save_micrograph,
)
from cryopick.preprocess.settings import NormalizationKind
from cryopick.regions import Regions
from cryopick.runs.file_errors import translate_file_errors
from cryopick.runs.listed_path import listed_pixel_size
from cryopick.runs.parallel import map_in_order

__all__ = [
    "Dataset",
    "Preparation",
    "RescaledDataset",
    "prepare_dataset",
    "raw_pixel_size",
    "rescale_dataset",
]

OnDone = Callable[[Path, CryopickError | None], None]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Settings of the preparation of raw micrographs for a store.

    Attributes:
        working_size_ang: Pixel size of the prepared micrographs in ångströms.
        pixel_size_ang: Pixel size of the raw micrographs; None reads it from the files.
        normalization: The kind to fit, or a normalisation fitted to other micrographs.
        inverted: Invert the contrast, if a normalisation is fitted.
        clearance_px: Minimum distance in working pixels between a usable pixel of the store and
            an invalid region.
        ignore: Exclusion regions, on micrographs named by their paths. They contain image, so no
            distance to them is required.
    """

    working_size_ang: float
    pixel_size_ang: float | None
    normalization: NormalizationKind | Normalization
    inverted: bool = False
    clearance_px: float = 0.0
    ignore: Regions = field(default_factory=lambda: Regions({}))


@dataclass(frozen=True)
class Dataset:
    """Prepared micrographs with their labels.

    Attributes:
        paths: The raw micrographs in the order of the store, without those that failed.
        store: The prepared micrographs.
        normalization: Normalisation of the prepared micrographs.
        ignored_labels: Number of labels on borders, flat patches or exclusion regions.
    """

    paths: tuple[Path, ...]
    store: PreparedStore
    normalization: Normalization
    ignored_labels: int = 0

    @property
    def labelled_names(self) -> list[str]:
        """Paths of the micrographs with labels."""
        pairs = zip(self.paths, self.store.labels_px, strict=True)
        return [str(path) for path, xy_px in pairs if len(xy_px)]


def raw_pixel_size(path: Path, pixel_size_ang: float | None) -> float:
    """Return the pixel size of a micrograph, or raise an error if it is unknown.

    Raises:
        MissingPixelSizeError: Neither the file nor an option gives the pixel size.
    """
    if pixel_size_ang is None:
        raise MissingPixelSizeError(
            f"{path}: the file does not give its pixel size; add --pixel-size-ang"
        )
    return pixel_size_ang


def prepare_dataset(  # noqa: PLR0913  # independent inputs
    paths: Sequence[Path],
    labels: Picks,
    preparation: Preparation,
    folder: Path,
    *,
    negatives: Picks | None = None,
    on_done: OnDone = lambda *_: None,
    workers: int | None = None,
) -> Dataset:
    """Prepare micrographs for training; results that exist in `folder` are reused.

    Args:
        paths: Raw micrographs.
        labels: Labels in raw pixels, on micrographs named by `str(path)`.
        preparation: Settings of the preparation.
        folder: Folder of the store; results for other micrographs or settings are removed first.
        negatives: Negative labels, in the same form as `labels`.
        on_done: Called for each downsampled micrograph in order, with the error if it failed and
            is skipped.
        workers: Number of threads; None uses one per core.

    Raises:
        InputError: No micrograph can be used.
    """
    rescaled = rescale_dataset(paths, preparation, folder, on_done=on_done, workers=workers)
    store_folder = folder / "ready"
    names = [str(path) for path in rescaled.paths]

    def prepare(index: int) -> None:
        if not is_saved(store_folder, index):
            micrograph = rescaled.normalise(index)
            shape, scale_yx = micrograph.image.shape, micrograph.scale_yx
            ignored = preparation.ignore.mask(names[index], shape, scale_yx)
            usable = erode_mask(micrograph.usable, preparation.clearance_px) & ~ignored
            prepared = StoredMicrograph(micrograph.image, usable, scale_yx)
            save_micrograph(store_folder, index, prepared)

    for _ in map_in_order(prepare, range(len(rescaled.paths)), workers):
        pass
    labels = labels.restrict(names)
    usable_labels = rescaled.select_usable(preparation.ignore.select_outside(labels))
    usable_negatives = rescaled.select_usable(negatives.restrict(names)) if negatives else None
    return Dataset(
        rescaled.paths,
        PreparedStore.open(store_folder, usable_labels, usable_negatives),
        rescaled.normalization,
        ignored_labels=len(labels) - sum(map(len, usable_labels)),
    )


@dataclass(frozen=True)
class RescaledDataset:
    """Downsampled micrographs on disk, with their normalisation.

    Attributes:
        paths: The raw micrographs, without those that failed.
        normalization: Normalisation to apply.
        folder: Folder of the downsampled micrographs.
        numbers: Number of each micrograph in the folder.
    """

    paths: tuple[Path, ...]
    normalization: Normalization
    folder: Path
    numbers: tuple[int, ...]

    def normalise(self, index: int) -> StoredMicrograph:
        """Load and normalise the micrograph `paths[index]`."""
        micrograph = load_micrograph(self.folder, self.numbers[index])
        image = self.normalization.apply(
            micrograph.image, micrograph.usable, micrograph.pixel_histogram
        )
        return replace(micrograph, image=image)

    def select_usable(self, labels: Picks) -> list[Float[np.ndarray, "_ 2"]]:
        """Select the labels (x, y) of each micrograph that are on usable pixels.

        Args:
            labels: Labels in raw pixels, on all micrographs in the order of `paths`.
        """
        xy_per_micrograph = [picks.xy_px for _, picks in labels.split_by_micrograph()]
        return [xy[self._is_usable(index, xy)] for index, xy in enumerate(xy_per_micrograph)]

    def _is_usable(
        self, index: int, xy_px: Float[np.ndarray, "points 2"]
    ) -> Bool[np.ndarray, " points"]:
        if not len(xy_px):
            return np.ones(0, bool)
        micrograph = load_micrograph(self.folder, self.numbers[index])
        column, row = np.rint(xy_px / micrograph.scale_yx[::-1]).astype(int).T
        height, width = micrograph.usable.shape
        is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        usable = micrograph.usable[row.clip(0, height - 1), column.clip(0, width - 1)]
        return is_inside & usable


def rescale_dataset(
    paths: Sequence[Path],
    preparation: Preparation,
    folder: Path,
    *,
    on_done: OnDone = lambda *_: None,
    workers: int | None = None,
) -> RescaledDataset:
    """Downsample micrographs and fit their normalisation, the first steps of `prepare_dataset`.

    Args:
        paths: As for `prepare_dataset`.
        preparation: As for `prepare_dataset`.
        folder: As for `prepare_dataset`.
        on_done: As for `prepare_dataset`.
        workers: As for `prepare_dataset`.

    Raises:
        InputError: No micrograph can be used.
    """
    key = _compute_key(paths, preparation)
    marker = folder / "made-from"
    folder.mkdir(parents=True, exist_ok=True)
    if not _holds(marker, key):
        _remove(folder, "made-from", "members", "normalization.json", "ready", "shrunk")
    marker.write_text(key)

    def rescale(number: int) -> CryopickError | None:
        try:
            with translate_file_errors(paths[number]):
                if not is_saved(folder / "shrunk", number):
                    micrograph = _rescale(paths[number], preparation)
                    save_micrograph(folder / "shrunk", number, micrograph)
        except CryopickError as error:
            return error
        return None

    numbers = []
    errors = map_in_order(rescale, range(len(paths)), workers)
    for number, error in enumerate(errors):
        if error is None:
            numbers.append(number)
        on_done(paths[number], error)
    if not numbers:
        raise InputError("none of the micrographs can be used; see the skipped ones above")
    members, members_text = folder / "members", " ".join(map(str, numbers))
    if not _holds(members, members_text):
        # A file that failed before may be readable now, which changes the order of the others.
        _remove(folder, "members", "normalization.json", "ready")
    members.write_text(members_text)
    return RescaledDataset(
        paths=tuple(paths[number] for number in numbers),
        normalization=_load_or_fit_normalization(folder, numbers, preparation),
        folder=folder / "shrunk",
        numbers=tuple(numbers),
    )


def _holds(path: Path, text: str) -> bool:
    """Return true if a file exists and holds exactly a text."""
    return path.exists() and path.read_bytes() == text.encode()


def _remove(folder: Path, *names: str) -> None:
    """Remove files and folders of an earlier preparation, in this order."""
    for name in names:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _rescale(path: Path, preparation: Preparation) -> StoredMicrograph:
    micrograph = read_micrograph(path)
    raw_ang = preparation.pixel_size_ang or raw_pixel_size(path, micrograph.pixel_size_ang)
    factor = preparation.working_size_ang / raw_ang
    try:
        rescaled = rescale_micrograph(micrograph.pixels, factor, span=micrograph.value_range)
        pixel_histogram = histogram(rescaled.image, rescaled.usable)
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from error
    return StoredMicrograph(
        rescaled.image,
        rescaled.usable,
        rescaled.scale_yx,
        micrograph.pixel_size_ang,
        pixel_histogram,
    )


def _load_or_fit_normalization(
    folder: Path, numbers: Sequence[int], preparation: Preparation
) -> Normalization:
    """Return the normalisation of the settings or of an earlier run, or fit a new one."""
    if isinstance(preparation.normalization, Normalization):
        return preparation.normalization
    path = folder / "normalization.json"
    with suppress(  # fitted again
        OSError, ValueError, TypeError, LookupError, InputError, RecursionError
    ):
        return Normalization.from_dict(json.loads(path.read_text(encoding="utf-8")))
    histograms = [load_histogram(folder / "shrunk", number) for number in numbers]
    normalization = fit_normalization(preparation.normalization, histograms)
    normalization = replace(normalization, inverted=preparation.inverted)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(normalization.to_dict()))
    temporary.replace(path)
    return normalization


def _compute_key(paths: Sequence[Path], preparation: Preparation) -> str:
    """Compute a hash that changes if the micrographs or the preparation change."""
    lines = [repr(replace(preparation, ignore=Regions({}))), preparation.ignore.fingerprint]
    for path in paths:
        stat = path.stat() if path.exists() else None
        size_ang = listed_pixel_size(path)
        size_text = "" if size_ang is None else f" {size_ang:g}"
        state = stat and (stat.st_size, stat.st_mtime_ns)
        lines.append(f"{os.path.realpath(path)} {state}{size_text}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
