"""Names of micrographs: what a table calls them, and which file is meant.

A table may know a micrograph by its full path, by part of it, by its file name, or by its
stem alone. Files that share a stem are told apart by what else the table knows, or refused.

- `micrograph_stem`: the name without folders and without a micrograph's suffix.
- `match_names`: name a table's micrographs by the files at hand.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from cryopick.errors import NotFoundError, UnmatchedError
from cryopick.picks import Picks

__all__ = [
    "MICROGRAPH_SUFFIXES",
    "MatchedPicks",
    "find_listed_file",
    "match_names",
    "micrograph_stem",
]

MICROGRAPH_SUFFIXES = (".mrc", ".mrc.gz", ".mrc.bz2", ".tif", ".tiff", ".png", ".jpg", ".jpeg")

# Suffixes that name an image format; any other dot belongs to the name ("grid1.5um").
_IMAGE_SUFFIX = re.compile(
    r"\.(?:(?:mrcs?|map|rec|st)(?:\.gz|\.bz2)?|tiff?|png|jpe?g|eer|dm[34]|ser|hdf5?)$",
    re.IGNORECASE,
)
_STACK_INDEX = re.compile(r"^\d+@")  # "000123@stack.mrcs" in RELION: image 123 of a stack


@dataclass(frozen=True, kw_only=True)
class MatchedPicks:
    """A table whose micrographs carry the paths of their files.

    Attributes:
        picks: The picks on micrographs that match a file, named by `str(path)`.
        unmatched: Names in the table that match no file; their picks are left out.
    """

    picks: Picks
    unmatched: tuple[str, ...]


def micrograph_stem(name: str) -> str:
    """Strip folders, a RELION stack index and the suffix of an image format.

    Other dots stay: they are part of many micrographs' names.

    >>> stem_of("Movies/grid1.5um_0001.mrc.gz"), stem_of("grid1.5um_0001")
    ('grid1.5um_0001', 'grid1.5um_0001')
    """
    base = PurePosixPath(_STACK_INDEX.sub("", name)).name
    return _IMAGE_SUFFIX.sub("", base) or base


def match_names(picks: Picks, paths: Sequence[Path]) -> MatchedPicks:
    """Name the micrographs of a table by the files at hand.

    The file that agrees best is meant: same path, then most trailing folders in common with
    the same file name, then the same file name, then the same stem.

    Args:
        picks: A table that knows its micrographs by path, file name or stem.
        paths: The files at hand; one file given twice counts once.

    Raises:
        UnmatchedError: Two files agree equally well with a name, or names in different
            folders agree with one file.
    """
    by_stem: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        by_stem.setdefault(micrograph_stem(path.as_posix()), []).append(path)
    files = {}
    for name in picks.micrographs:
        match = _best(name, by_stem.get(micrograph_stem(name), ()))
        if match is not None:
            files[name] = match
    _refuse_shared_files(files)
    return MatchedPicks(
        picks=_merged(picks, files),
        unmatched=tuple(name for name in picks.micrographs if name not in files),
    )


def _best(name: str, candidates: Sequence[Path]) -> Path | None:
    if not candidates:
        return None
    ranked = sorted(((_agreement(name, path), path) for path in candidates), reverse=True)
    best, path = ranked[0]
    rivals = [other for rank, other in ranked if rank == best]
    if len(rivals) > 1:
        raise UnmatchedError(
            f"the table's micrograph {name!r} may be {rivals[1]} or {rivals[0]}: "
            "give only one of them, or a table that names micrographs by their paths"
        )
    return path


def _agreement(name: str, path: Path) -> tuple[bool, bool, int]:
    """Rank a candidate: same path, same file name, count of trailing folders in common."""
    mine = PurePosixPath(_STACK_INDEX.sub("", name))
    theirs = PurePosixPath(path.as_posix())
    shared = 0
    for a, b in zip(reversed(mine.parts[:-1]), reversed(theirs.parts[:-1]), strict=False):
        if a != b:
            break
        shared += 1
    return mine == theirs, mine.name == theirs.name, shared


def _refuse_shared_files(files: Mapping[str, Path]) -> None:
    """Two names for one file are one micrograph only if no more than one of them has folders."""
    with_folder: dict[Path, str] = {}
    for name, path in files.items():
        if PurePosixPath(_STACK_INDEX.sub("", name)).parent.parts:
            other = with_folder.setdefault(path, name)
            if other != name and _STACK_INDEX.sub("", other) != _STACK_INDEX.sub("", name):
                raise UnmatchedError(
                    f"the table's micrographs {other!r} and {name!r} both match {path}: "
                    "give the files of both, or a table of one of them"
                )


def _merged(picks: Picks, files: Mapping[str, Path]) -> Picks:
    """Rename the matched micrographs; several names of one file become one micrograph."""
    matched = picks.restrict([name for name in picks.micrographs if name in files])
    names = [str(files[name]) for name in matched.micrographs]
    positions = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return Picks(
        micrographs=tuple(positions),
        index=np.array([positions[name] for name in names], np.int64)[matched.index],
        xy_px=matched.xy_px,
        score=matched.score,
        extra=matched.extra,
    )


def find_listed_file(name: str, places: Sequence[Path], source: Path) -> Path:
    """Find the file that a list means by a name.

    Args:
        name: A path relative to one of `places`, absolute, or the stem of a micrograph.
        places: Folders to look in; the first that has the name as it is wins, then the first
            that has it as a stem.
        source: The list, for the message.

    Raises:
        InputError: There is no such file.
        UnmatchedError: A folder has several micrographs of that stem.
    """
    for place in places:
        if _is_file(place / name):
            return place / name
    for place in places:
        matches = [place / (name + suffix) for suffix in MICROGRAPH_SUFFIXES]
        matches = [path for path in matches if _is_file(path)]
        if len(matches) > 1:
            raise UnmatchedError(
                f"{source}: {name!r} may be {matches[0]} or {matches[1]}; "
                "write the name with its suffix"
            )
        if matches:
            return matches[0]
    raise NotFoundError(
        f"{source}: no file {name[:200]!r} beside the list or from the current folder; "
        "write paths relative to one of them, or in full"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False
