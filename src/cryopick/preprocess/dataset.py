"""From raw micrographs and a table of labels to a store that training reads.

- `Dataset`: a store and what the preparation of further micrographs needs.
- `prepare_dataset`: shrink all micrographs, fit the normalisation, standardise them.
- `shrink_dataset`, `Shrunken`: all of that but the last step.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Bool, Float
from cryopick.errors import CryopickError, InputError, MicrographError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.picks import Picks
from cryopick.preprocess.histogram import histogram
from cryopick.preprocess.mask import inset
from cryopick.preprocess.normalize import Normalization, NormalizationKind, fit_normalization
from cryopick.preprocess.pipeline import shrink
from cryopick.preprocess.store import (
    Store,
    Stored,
    is_saved,
    load_histogram,
    load_micrograph,
    save_micrograph,
)
from cryopick.regions import Regions
from cryopick.runs.parallel import in_order

__all__ = [
    "DIAMETER_PX",
    "Dataset",
    "Preparation",
    "Shrunken",
    "prepare_dataset",
    "raw_pixel_size",
    "shrink_dataset",
]

OnDone = Callable[[Path, CryopickError | None], None]

# Working pixels across a particle. The receptive field of 31 then sees nearly two
# diameters: docs/results/empiar10017.md compares other choices.
DIAMETER_PX = 17.0


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How raw micrographs become those of a store.

    Attributes:
        working_size_ang: Ångströms per working pixel.
        pixel_size_ang: Ångströms per raw pixel, where the files do not say.
        normalization: The kind to fit, or one that was fitted on other micrographs.
        clearance_px: Working pixels that must lie between what is unusable and the centre of
            a region for it to count as usable in the store.
        ignore: Regions to keep out, on micrographs named by their paths. A region's centre may lie
            right beside them, as they hold image.
    """

    working_size_ang: float
    pixel_size_ang: float | None
    normalization: NormalizationKind | Normalization
    clearance_px: float = 0.0
    ignore: Regions = field(default_factory=lambda: Regions({}))


@dataclass(frozen=True)
class Dataset:
    """Prepared micrographs with their labels.

    Attributes:
        paths: The raw micrographs in the order of the store, without those that failed.
        store: The prepared ones.
        normalization: How they were standardised.
        left_out: Labels that lie on borders, flat patches or ignored regions.
    """

    paths: tuple[Path, ...]
    store: Store
    normalization: Normalization
    left_out: int = 0


def raw_pixel_size(path: Path, in_file_ang: float | None) -> float:
    """The pixel size of a micrograph, or the error that asks for it.

    Raises:
        MicrographError: The file gives none and no option did.
    """
    if in_file_ang is None:
        raise MicrographError(
            f"{path}: the file does not give its pixel size; add --pixel-size-ang"
        )
    return in_file_ang


def prepare_dataset(  # noqa: PLR0913  # what a data set is made of
    paths: Sequence[Path],
    labels: Picks,
    preparation: Preparation,
    folder: Path,
    *,
    negatives: Picks | None = None,
    on_done: OnDone = lambda *_: None,
    workers: int | None = None,
) -> Dataset:
    """Prepare micrographs for training; what `folder` holds already is not made again.

    Args:
        paths: Raw micrographs.
        labels: Labels in raw pixels, on micrographs named by `str(path)`.
        preparation: How to prepare them.
        folder: Where to keep the prepared ones; those of other micrographs or another
            preparation are removed first.
        negatives: Places that are no particles, as `labels`.
        on_done: Called for each micrograph in turn once it is shrunk, with the error if it
            failed and is left out.
        workers: Threads, which change nothing but the time; None takes one a core.

    Raises:
        InputError: No micrograph can be used.
    """
    shrunken = shrink_dataset(paths, preparation, folder, on_done=on_done, workers=workers)
    ready = folder / "ready"

    kept = [str(path) for path in shrunken.paths]

    def make_ready(place: int) -> None:
        if not is_saved(ready, place):
            own = shrunken.standardised(place)
            ignored = preparation.ignore.mask(kept[place], own.image.shape, own.scale_yx)
            usable = inset(own.usable, preparation.clearance_px) & ~ignored
            save_micrograph(ready, place, Stored(own.image, usable, own.scale_yx))

    for _ in in_order(make_ready, range(len(shrunken.paths)), workers):
        pass
    on_image = shrunken.on_image(preparation.ignore.outside(labels.restrict(kept)))
    against = shrunken.on_image(negatives.restrict(kept)) if negatives else None
    return Dataset(
        shrunken.paths,
        Store.open(ready, on_image, against),
        shrunken.normalization,
        left_out=len(labels.restrict(kept)) - sum(map(len, on_image)),
    )


@dataclass(frozen=True)
class Shrunken:
    """Micrographs on coarser pixels, on disk, with what it takes to standardise them.

    Attributes:
        paths: The raw micrographs, without those that failed.
        normalization: How they are to be standardised.
        folder: Where they lie.
        numbers: Under which number each of them lies there.
    """

    paths: tuple[Path, ...]
    normalization: Normalization
    folder: Path
    numbers: tuple[int, ...]

    def standardised(self, place: int) -> Stored:
        """The micrograph `paths[place]`, its background of mean 0 and spread 1."""
        shrunk = load_micrograph(self.folder, self.numbers[place])
        image = self.normalization.apply(shrunk.image, shrunk.usable, shrunk.counted)
        return replace(shrunk, image=image)

    def on_image(self, labels: Picks) -> list[Float[np.ndarray, "_ 2"]]:
        """For each micrograph, those of its labels (x, y) that lie on usable ground.

        Args:
            labels: In raw pixels, on all the micrographs in their order.
        """
        on_each = [own.xy_px for _, own in labels.by_micrograph()]
        return [xy[self._holds_image(place, xy)] for place, xy in enumerate(on_each)]

    def _holds_image(
        self, place: int, xy_px: Float[np.ndarray, "points 2"]
    ) -> Bool[np.ndarray, " points"]:
        if not len(xy_px):
            return np.ones(0, bool)
        shrunk = load_micrograph(self.folder, self.numbers[place])
        column, row = np.rint(xy_px / shrunk.scale_yx[::-1]).astype(int).T
        height, width = shrunk.usable.shape
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        held = shrunk.usable[row.clip(0, height - 1), column.clip(0, width - 1)]
        return inside & held


def shrink_dataset(
    paths: Sequence[Path],
    preparation: Preparation,
    folder: Path,
    *,
    on_done: OnDone = lambda *_: None,
    workers: int | None = None,
) -> Shrunken:
    """Shrink micrographs and fit their normalisation, all of `prepare_dataset` but its end.

    Args:
        paths: As for `prepare_dataset`.
        preparation: As for `prepare_dataset`.
        folder: As for `prepare_dataset`.
        on_done: As for `prepare_dataset`.
        workers: As for `prepare_dataset`.

    Raises:
        InputError: No micrograph can be used.
    """
    key = _key(paths, preparation)
    marker = folder / "made-from"
    folder.mkdir(parents=True, exist_ok=True)
    if not marker.exists() or marker.read_text() != key:
        _forget(folder, "made-from", "members", "normalization.json", "ready", "shrunk")
    marker.write_text(key)

    def make_shrunk(number: int) -> CryopickError | None:
        try:
            if not is_saved(folder / "shrunk", number):
                save_micrograph(folder / "shrunk", number, _shrunk(paths[number], preparation))
        except CryopickError as error:
            return error
        return None

    good = []
    failures = in_order(make_shrunk, range(len(paths)), workers)
    for number, error in enumerate(failures):
        if error is None:
            good.append(number)
        on_done(paths[number], error)
    if not good:
        raise InputError("none of the micrographs can be used; see what was skipped above")
    members, who = folder / "members", " ".join(map(str, good))
    if not members.exists() or members.read_text() != who:
        # A file that failed before may be readable now: the others' numbers change then.
        _forget(folder, "members", "normalization.json", "ready")
    members.write_text(who)
    return Shrunken(
        paths=tuple(paths[number] for number in good),
        normalization=_fitted(folder, good, preparation),
        folder=folder / "shrunk",
        numbers=tuple(good),
    )


def _forget(folder: Path, *names: str) -> None:
    """Remove what an earlier preparation left under these names, in this order."""
    for name in names:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _shrunk(path: Path, preparation: Preparation) -> Stored:
    micrograph = read_micrograph(path)
    raw_ang = preparation.pixel_size_ang or raw_pixel_size(path, micrograph.pixel_size_ang)
    factor = preparation.working_size_ang / raw_ang
    small = shrink(micrograph.pixels, factor, span=micrograph.span)
    try:
        counted = histogram(small.image, small.usable)
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from error
    return Stored(small.image, small.usable, small.scale_yx, micrograph.pixel_size_ang, counted)


def _fitted(folder: Path, good: Sequence[int], preparation: Preparation) -> Normalization:
    """The normalisation that was given, kept from an earlier run, or fitted now."""
    if isinstance(preparation.normalization, Normalization):
        return preparation.normalization
    kept = folder / "normalization.json"
    if kept.exists():
        return Normalization.from_dict(json.loads(kept.read_text()))
    counted = [load_histogram(folder / "shrunk", number) for number in good]
    fitted = fit_normalization(preparation.normalization, counted)
    part = kept.with_suffix(".part")
    part.write_text(json.dumps(fitted.to_dict()))
    part.replace(kept)
    return fitted


def _key(paths: Sequence[Path], preparation: Preparation) -> str:
    """A text that changes when the micrographs or their preparation do."""
    lines = [repr(replace(preparation, ignore=Regions({}))), preparation.ignore.fingerprint]
    for path in paths:
        stat = path.stat() if path.exists() else None
        lines.append(f"{path.resolve()} {stat and (stat.st_size, stat.st_mtime_ns)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
