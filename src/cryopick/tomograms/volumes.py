"""Tomograms on disk: which files the user names, their sizes, and their voxels by sections.

- `Tomogram`: a tomogram file, with what is known of its tilt series.
- `find_tomograms`: expand files, patterns, folders and RELION's `tomograms.star`.
- `match_table`: name the tomograms of a table as those of the files.
- `write_volume`: write an MRC volume.
"""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Float32
from cryopick.errors import (
    InputError,
    MicrographError,
    MissingPixelSizeError,
    NotFoundError,
    UnmatchedError,
)
from cryopick.io.images.mrc import open_mrc_volume
from cryopick.io.images.pixel_file import PixelFile
from cryopick.io.names import find_listed_file, micrograph_stem
from cryopick.picks import Picks
from cryopick.runs.atomic_write import atomic_write
from cryopick.tomograms.tomogram_list import ListedTomogram, read_tomogram_list

__all__ = ["Tomogram", "find_tomograms", "match_table", "write_volume"]

_SUFFIXES = (".mrc", ".rec", ".map", ".st")


@dataclass(frozen=True, kw_only=True)
class Tomogram:
    """A tomogram file.

    Attributes:
        path: The file.
        name: Name in tables: that of RELION's list, or the stem of the file.
        voxels: The voxels, axes (z, y, x).
        voxel_size_ang: Voxel size in ångströms.
        unbinned_ang: Pixel size of the tilt series in ångströms, if known.
        unbinned_size: Size (x, y, z) of the tomogram in pixels of the tilt series, if known.
    """

    path: Path
    name: str
    voxels: PixelFile
    voxel_size_ang: float
    unbinned_ang: float | None = None
    unbinned_size: tuple[float, float, float] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Depth, height and width in voxels."""
        depth, height, width = self.voxels.shape
        return depth, height, width

    @property
    def centre_px(self) -> Float[np.ndarray, "3"]:
        """Centre (x, y, z) in voxels, from which RELION 5 measures coordinates."""
        if self.unbinned_size and self.unbinned_ang:
            return np.array(self.unbinned_size) / 2 * self.unbinned_ang / self.voxel_size_ang
        return np.array(self.shape[::-1], float) / 2

    def read_sections(self) -> Iterator[Float32[np.ndarray, "height width"]]:
        """Yield the sections one by one, so that the file need not fit into memory.

        Raises:
            MicrographError: The file has become shorter, or a voxel is not finite.
        """
        depth, height, _ = self.shape
        for number in range(depth):
            rows = self.voxels.read_rows(number * height, (number + 1) * height)
            section = rows.astype(np.float32)
            if not np.isfinite(section).all():
                raise MicrographError(
                    f"{self.path}: section {number} has voxels that are not finite; "
                    "reconstruct the tomogram again"
                )
            yield section


def find_tomograms(
    arguments: Sequence[str],
    *,
    voxel_size_ang: float | None = None,
    unbinned_ang: float | None = None,
) -> list[Tomogram]:
    """Find the tomograms that command-line arguments name.

    An argument is an MRC volume, a quoted pattern, a folder, or RELION's `tomograms.star`, which
    also states names, pixel sizes and sizes of the tilt series.

    Args:
        arguments: What the user names.
        voxel_size_ang: Voxel size; None reads it from the list or the header.
        unbinned_ang: Pixel size of the tilt series; None reads it from the list.

    Raises:
        NotFoundError: An argument matches no file.
        MissingPixelSizeError: A voxel size is not known.
        MicrographError: A file is no usable volume.
        UnmatchedError: Two tomograms have the same name.
    """
    tomograms: dict[Path, Tomogram] = {}
    for argument in arguments:
        for entry in _expand(argument):
            tomogram = _open(entry, voxel_size_ang)
            if unbinned_ang is not None:
                tomogram = replace(tomogram, unbinned_ang=unbinned_ang)
            tomograms.setdefault(entry.path, tomogram)
    by_name: dict[str, Path] = {}
    for path, tomogram in tomograms.items():
        other = by_name.setdefault(tomogram.name, path)
        if other != path:
            raise UnmatchedError(
                f"{other} and {path} are both named {tomogram.name!r} in tables; rename one, or "
                "process them separately"
            )
    return list(tomograms.values())


def _expand(argument: str) -> list[ListedTomogram]:
    path = Path(argument)
    if path.is_dir():
        files = sorted(
            one
            for one in path.iterdir()
            if one.name.lower().endswith(_SUFFIXES) and not one.name.startswith(".")
        )
        if not files:
            raise InputError(f"{path}: this folder contains no tomograms ({' '.join(_SUFFIXES)})")
        return [ListedTomogram.from_file(file) for file in files]
    if path.suffix.lower() == ".star" and path.is_file():
        folders = (path.parent, Path(), *path.resolve().parent.parents)
        return [
            replace(one, path=find_listed_file(str(one.path), folders, path))
            for one in read_tomogram_list(path)
        ]
    if path.is_file():
        return [ListedTomogram.from_file(path)]
    matches = sorted(glob.glob(argument))  # noqa: PTH207  # the pattern may be absolute
    if not matches:
        raise NotFoundError(
            f"{argument}: no such file or folder; expected an MRC volume, a folder, a pattern or "
            "RELION's tomograms.star"
        )
    return [one for match in matches for one in _expand(match)]


def _open(entry: ListedTomogram, voxel_size_ang: float | None) -> Tomogram:
    voxels, header_ang = open_mrc_volume(entry.path)
    size_ang = voxel_size_ang or entry.voxel_size_ang or header_ang
    if not size_ang:
        raise MissingPixelSizeError(
            f"{entry.path}: the header gives no voxel size; add --voxel-size-ang"
        )
    return Tomogram(
        path=entry.path,
        name=entry.name,
        voxels=voxels,
        voxel_size_ang=size_ang,
        unbinned_ang=entry.unbinned_ang,
        unbinned_size=entry.unbinned_size,
    )


def match_table(picks: Picks, tomograms: Sequence[Tomogram], source: object) -> Picks:
    """Rename the tomograms of a table to the names of the files; others are dropped.

    A table may name a tomogram by its name in RELION's list, by its file or by its stem, with or
    without `rec_` before it and EMAN2's `__bin4` after it. A number, as in Dynamo's tables, is that
    of the tomogram in the order in which they are given, from 1.

    Raises:
        UnmatchedError: No tomogram of the table matches, or two names match the same one.
    """
    by_name = {key: one.name for one in reversed(tomograms) for key in _list_names(one)}
    new_names: dict[str, str] = {}
    for name in picks.micrographs:
        stem = micrograph_stem(name)
        match = by_name.get(stem) or by_name.get(_shorten(stem))
        if match is None and stem.isdecimal() and 1 <= int(stem) <= len(tomograms):
            match = tomograms[int(stem) - 1].name
        if match is None:
            continue
        if match in new_names.values():
            raise UnmatchedError(f"{source}: two names match the tomogram {match!r}; rename one")
        new_names[name] = match
    if not new_names:
        expected = ", ".join(one.name for one in tomograms[:3])
        raise UnmatchedError(
            f"{source}: none of its tomograms ({', '.join(picks.micrographs[:3])}) is among the "
            f"given ones ({expected}); check the names"
        )
    return picks.restrict(list(new_names)).rename(new_names)


def _list_names(tomogram: Tomogram) -> list[str]:
    stem = micrograph_stem(tomogram.path.as_posix())
    return [tomogram.name, stem, _shorten(stem)]


def _shorten(stem: str) -> str:
    """Remove what programs add to the name of a tilt series.

    >>> _shorten("rec_TS_01"), _shorten("ts_001__bin4")
    ('TS_01', 'ts_001')
    """
    return stem.removeprefix("rec_").split("__")[0] or stem


def write_volume(
    path: Path,
    volume: Float32[np.ndarray, "depth height width"],
    *,
    voxel_size_ang: float,
    overwrite: bool = False,
) -> None:
    """Write an MRC volume, mode 2 (float32); equal volumes give equal bytes.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    import mrcfile  # type: ignore[import-untyped]  # has no types

    with atomic_write(path, overwrite=overwrite) as temporary, mrcfile.new(temporary) as mrc:
        mrc.set_data(np.ascontiguousarray(volume, dtype=np.float32))
        mrc.set_volume()
        mrc.voxel_size = voxel_size_ang
        mrc.header.label[:] = b""
        mrc.header.label[0] = b"cryopick"
        mrc.header.nlabl = 1
