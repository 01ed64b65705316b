"""Match the micrograph names of tables and lists to files.

A table may name a micrograph by its full path, a part of it, its file name or its stem. Files
with the same stem are distinguished by the rest of the name; ambiguous names are rejected.

- `micrograph_stem`: name without folders and image suffix.
- `remove_source_mark`: stem of a coordinate file without `_autopick` and the like.
- `match_names`: replace the micrograph names of a table by the paths of the given files.
- `find_listed_file`: find the file that a name in a list refers to.
- `is_file_or_link`: check for a file or a broken link.
- `MICROGRAPH_SUFFIXES`: file suffixes of micrographs.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from cryopick.errors import NotFoundError, UnmatchedError, format_count
from cryopick.picks import Picks

__all__ = [
    "MICROGRAPH_SUFFIXES",
    "MatchedPicks",
    "find_listed_file",
    "is_file_or_link",
    "match_names",
    "micrograph_stem",
    "remove_source_mark",
]

MICROGRAPH_SUFFIXES = (".mrc", ".mrc.gz", ".mrc.bz2", ".tif", ".tiff", ".png", ".jpg", ".jpeg")

# Suffixes of image formats; any other dot belongs to the name ("grid1.5um").
_IMAGE_SUFFIX = re.compile(
    r"\.(?:(?:mrcs?|map|rec|st)(?:\.gz|\.bz2)?|tiff?|png|jpe?g|eer|dm[34]|ser|hdf5?)$",
    re.IGNORECASE,
)
# Prefixes and suffixes that programs add: cryoSPARC's number of imported files; movies; motion
# correction, with and without dose weighting; filters; and picks in names of tables.
_PREFIX = re.compile(r"^\d{15,21}_(?=.)")
_SUFFIX = re.compile(
    r"(?<=.)(?:_fractions|_frames|_movie|_eer"
    r"|(?:_(?:patch|rigid|full|local))?_aligned(?:_mic)?|_doseweighted|_noDW|_DW[SU]?"
    r"|_sum|_avg|_corrected|_cor2?|_SumCorr|[_.]denoised"
    r"|_topazpicks|_autopick|_manualpick|_automatch|_topaz|_cryolo|_picks|_particles|_coords?"
    r"|_boxes|_info)$",
    re.IGNORECASE,
)
_SOURCE_MARK = re.compile(r"_(autopick|manualpick|topaz|automatch)$")
_LOGGER = logging.getLogger(__name__)
_STACK_INDEX = re.compile(r"^\d+@")  # "000123@stack.mrcs" in RELION: image 123 of a stack


@dataclass(frozen=True, kw_only=True)
class MatchedPicks:
    """A table whose micrographs are named by the paths of their files.

    Attributes:
        picks: Picks on micrographs that match a file, named by `str(path)`.
        unmatched: Names in the table that match no file; their picks are dropped.
    """

    picks: Picks
    unmatched: tuple[str, ...]


def micrograph_stem(name: str) -> str:
    """Strip folders, a RELION stack index and the image suffix from a name.

    Other dots are kept, as many micrograph names contain them.

    >>> micrograph_stem("Movies/grid1.5um_0001.mrc.gz"), micrograph_stem("grid1.5um_0001")
    ('grid1.5um_0001', 'grid1.5um_0001')
    """
    base = PurePosixPath(_STACK_INDEX.sub("", name)).name
    return _IMAGE_SUFFIX.sub("", base) or base


def remove_source_mark(stem: str) -> str:
    """Remove the name of the picking program from the stem of a coordinate file.

    >>> remove_source_mark("a_autopick")
    'a'
    """
    return _SOURCE_MARK.sub("", stem)


def match_names(picks: Picks, paths: Sequence[Path]) -> MatchedPicks:
    """Replace the micrograph names of a table by the paths of matching files.

    The best match wins: the same path, then the same file name with the most trailing folders in
    common, then the same file name, then the same stem. Names without a match are compared without
    the prefixes and suffixes that programs add, and such matches are logged.

    Args:
        picks: Table that names micrographs by path, file name or stem.
        paths: Available files; duplicates are ignored.

    Raises:
        UnmatchedError: Two files match a name equally well, or names in different folders match
            the same file.
    """
    by_stem: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        by_stem.setdefault(micrograph_stem(path.as_posix()), []).append(path)
    files = {}
    for name in picks.micrographs:
        match = _find_best_match(name, by_stem.get(micrograph_stem(name), ()))
        if match is not None:
            files[name] = match
    _reject_shared_files(files)
    unmatched = [name for name in picks.micrographs if name not in files]
    files |= _match_decorated_names(unmatched, [p for p in paths if p not in set(files.values())])
    return MatchedPicks(
        picks=_rename_matched(picks, files),
        unmatched=tuple(name for name in picks.micrographs if name not in files),
    )


def _find_best_match(name: str, candidates: Sequence[Path]) -> Path | None:
    if not candidates:
        return None
    ranked = sorted(((_match_quality(name, path), path) for path in candidates), reverse=True)
    best, path = ranked[0]
    rivals = [other for rank, other in ranked if rank == best]
    if len(rivals) > 1:
        raise UnmatchedError(
            f"the table's micrograph {name!r} matches both {rivals[1]} and {rivals[0]}: "
            "give only one of them, or a table that names micrographs by their paths"
        )
    return path


def _match_quality(name: str, path: Path) -> tuple[bool, bool, int]:
    """Rank a candidate: same path, same file name, number of trailing folders in common."""
    named_path = PurePosixPath(_STACK_INDEX.sub("", name))
    file_path = PurePosixPath(path.as_posix())
    shared = 0
    for a, b in zip(reversed(named_path.parts[:-1]), reversed(file_path.parts[:-1]), strict=False):
        if a != b:
            break
        shared += 1
    return named_path == file_path, named_path.name == file_path.name, shared


def _match_decorated_names(names: Sequence[str], paths: Sequence[Path]) -> dict[str, Path]:
    """Match names to files after removing what programs add to either.

    Raises:
        UnmatchedError: A name matches several files, or several names match a file.
    """
    by_core: dict[str, dict[Path, None]] = {}
    for path in paths:
        by_core.setdefault(_core_name(path.as_posix()), {})[path] = None
    files: dict[str, Path] = {}
    name_of: dict[Path, str] = {}
    for name in names:
        candidates = list(by_core.get(_core_name(name), ()))
        if len(candidates) > 1:
            raise UnmatchedError(
                f"the table's micrograph {name!r} matches both {candidates[0]} and "
                f"{candidates[1]}: give only one of them, or a table that names micrographs by "
                "their paths"
            )
        for path in candidates:
            other = name_of.setdefault(path, name)
            if micrograph_stem(other) != micrograph_stem(name):
                raise UnmatchedError(
                    f"the table's micrographs {other!r} and {name!r} both match {path}: "
                    "give the files of both, or a table of one of them"
                )
            files[name] = path
    if files:
        name, path = next(iter(files.items()))
        _LOGGER.warning(
            "matched %s by name without the prefixes and suffixes that programs add, "
            "such as %s with %s",
            *(format_count(len(files), "micrograph"), name, path),
        )
    return files


def _core_name(name: str) -> str:
    """Remove image suffixes, cryoSPARC's number, and the suffixes of other programs.

    >>> _core_name("J1/imported/017646539750839992624_a_patch_aligned_doseweighted.mrc")
    'a'
    """
    core, before = micrograph_stem(name), ""
    while core != before:
        before = core
        core = _SUFFIX.sub("", _PREFIX.sub("", micrograph_stem(core)))
    return core


def _reject_shared_files(files: Mapping[str, Path]) -> None:
    """Reject two names with different folders that match the same file."""
    with_folder: dict[Path, str] = {}
    for name, path in files.items():
        if PurePosixPath(_STACK_INDEX.sub("", name)).parent.parts:
            other = with_folder.setdefault(path, name)
            if other != name and _STACK_INDEX.sub("", other) != _STACK_INDEX.sub("", name):
                raise UnmatchedError(
                    f"the table's micrographs {other!r} and {name!r} both match {path}: "
                    "give the files of both, or a table of one of them"
                )


def _rename_matched(picks: Picks, files: Mapping[str, Path]) -> Picks:
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


def find_listed_file(name: str, folders: Sequence[Path], source: Path) -> Path:
    """Find the file that a name in a list refers to.

    Args:
        name: Absolute path, path relative to one of `folders`, or stem of a micrograph.
        folders: Folders to search; an exact match in any of them takes precedence over a stem.
        source: The list, for the message.

    Raises:
        NotFoundError: No file matches.
        UnmatchedError: A folder has several micrographs with that stem.
    """
    for folder in folders:
        if _is_listed_file(folder / name):
            return folder / name
    for folder in folders:
        matches = [folder / (name + suffix) for suffix in MICROGRAPH_SUFFIXES]
        matches = [path for path in matches if _is_listed_file(path)]
        if len(matches) > 1:
            raise UnmatchedError(
                f"{source}: {name!r} matches both {matches[0]} and {matches[1]}; "
                "write the name with its suffix"
            )
        if matches:
            return matches[0]
    raise NotFoundError(
        f"{source}: no file {name[:200]!r} beside the list or in the current folder; "
        "write paths relative to one of them, or absolute paths"
    )


def is_file_or_link(path: Path) -> bool:
    """Check for a file or a broken link, which is reported when it is read.

    Raises:
        OSError: The path cannot be examined, as it lies in a closed folder.
    """
    return path.is_file() or (path.is_symlink() and not path.exists())


def _is_listed_file(path: Path) -> bool:
    try:
        return is_file_or_link(path)
    except OSError:  # a name longer than any file's
        return False
