"""Find the tables that a folder or a pattern stands for.

- `match_pattern`: the files that a pattern such as `x/*.box` stands for.
- `find_coordinate_files`: the files that RELION's lists of coordinate files refer to.
- `check_bounds`: check what a table contains.
- `list_tables`: the files in a folder that may be tables.
- `drop_lists_of_others`: tables without the lists of the others among them.
"""

import glob
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath

import numpy as np

from cryopick.errors import FormatError, NotFoundError
from cryopick.io.names import find_listed_file
from cryopick.io.tables import star
from cryopick.io.tables.formats import CODECS
from cryopick.picks import Picks
from cryopick.runs.file_errors import is_decodable
from cryopick.runs.text_files import read_name_list

__all__ = [
    "check_bounds",
    "drop_lists_of_others",
    "find_coordinate_files",
    "list_tables",
    "match_pattern",
]

_MAX_COORDINATE_PX = 1e9  # beyond the largest images by far
_COORDS_SUFFIX = re.compile(r"coords_suffix(_\w+\.\w+)$")  # of RELION 3.1 and earlier
_JOB_FOLDER = re.compile(r"^[A-Za-z]+/job\d+/")


def find_coordinate_files(path: Path) -> dict[str, str]:
    """Map micrographs to their coordinate files, if a file is one of RELION's lists of them.

    `autopick.star` of RELION 4 and 5 lists the files. `coords_suffix_autopick.star` of RELION 3.1
    and earlier holds the path of the list of micrographs; the picks of each are in the same folder,
    in `<stem>_autopick.star`, without the job folder of the micrograph.

    Returns:
        An empty mapping for any other file.
    """
    match = _COORDS_SUFFIX.match(path.name)
    if match is None:
        return star.read_coordinate_files(path)
    folders = (path.parent, Path(), *path.resolve().parent.parents)
    (name, *_) = read_name_list(path) or [""]
    source = find_listed_file(name, folders, path)
    files = {}
    for micrograph in star.read_micrograph_names(source):
        relative = PurePosixPath(_JOB_FOLDER.sub("", micrograph))
        file = path.parent / relative.with_name(relative.stem + match[1])
        if file.is_file():
            files[micrograph] = str(file.resolve())
    if not files:
        raise NotFoundError(f"{path}: no coordinate file *{match[1]} beside it; copy the whole job")
    return files


def check_bounds(picks: Picks, path: Path) -> Picks:
    """Check that coordinates can be pixels and that names can be written to other tables.

    Raises:
        FormatError: A coordinate is beyond any image, or a name is not valid text.
    """
    is_beyond = (np.abs(picks.xy_px) > _MAX_COORDINATE_PX).any(axis=1)
    if is_beyond.any():
        x, y = picks.xy_px[np.argmax(is_beyond)].tolist()
        raise FormatError(
            f"{path}: expected coordinates in pixels, found ({x:g}, {y:g}); correct the table"
        )
    name = next((name for name in picks.micrographs if not is_decodable(name)), None)
    if name is not None:
        raise FormatError(
            f"{path}: expected names of micrographs in UTF-8, found {name[:80]!a}; rename it"
        )
    return picks


def match_pattern(path: Path) -> list[Path]:
    """List the files that a pattern such as `x/*.box` stands for, sorted by name.

    Returns:
        An empty list if the path exists or is no pattern.

    Raises:
        NotFoundError: No file matches.
    """
    if path.exists() or not any(sign in str(path) for sign in "*?["):
        return []
    matches = sorted(glob.glob(str(path)))  # noqa: PTH207 -- the pattern may be absolute
    if not matches:
        raise NotFoundError(f"{path}: no file matches this pattern; check the folder and suffix")
    return drop_lists_of_others([Path(match) for match in matches])


def list_tables(folder: Path) -> list[Path]:
    """List the files in a folder that may be tables, without RELION's list of the others."""
    suffixes = {suffix for codec in CODECS.values() for suffix in codec.suffixes} - {".txt"}
    inside = sorted(p for p in folder.iterdir() if p.name.lower().endswith(tuple(suffixes)))
    return drop_lists_of_others([p for p in inside if p.is_file() and not p.name.startswith(".")])


def drop_lists_of_others(paths: Sequence[Path]) -> list[Path]:
    """Drop RELION's lists of coordinate files, if those are among the tables themselves."""
    given = {path.resolve() for path in paths}
    return [path for path in paths if not _lists_others(path, given)]


def _lists_others(path: Path, given: AbstractSet[Path]) -> bool:
    if path.suffix.lower() != ".star" or not path.is_file():
        return False
    this = path.resolve()
    listed = {this.with_name(Path(name).name) for name in star.read_coordinate_files(path).values()}
    return bool(listed) and this not in listed and listed <= given
