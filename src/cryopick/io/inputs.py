"""Find the input files that the user names.

- `micrograph_paths`: files, globs, folders, `@list.txt`, STAR and .cs files as one list.
- `look_up`: the file that a list means by a name.
"""

import glob
from collections.abc import Sequence
from pathlib import Path

from cryopick.errors import InputError, UnmatchedError
from cryopick.runs.text_files import first_line, head_of, name_list

__all__ = [
    "MICROGRAPH_SUFFIXES",
    "look_up",
    "micrograph_paths",
]

MICROGRAPH_SUFFIXES = (".mrc", ".mrc.gz", ".mrc.bz2", ".tif", ".tiff", ".png", ".jpg", ".jpeg")


def micrograph_paths(arguments: Sequence[str]) -> list[Path]:
    """Find the micrographs that the user means.

    An argument is a file, a glob, a folder (every micrograph in it, sorted, no subfolders),
    `@list.txt`, a STAR file with `rlnMicrographName`, or a cryoSPARC `.cs` file with paths of
    micrographs. Names in a list are looked up beside the list, then from the current folder; a
    stem without a suffix finds its file there. STAR and .cs names are also looked up from the
    folders above, as both programs write them from the top of their project.

    Returns:
        Paths in the order given; a file named twice comes once.

    Raises:
        InputError: An argument or a listed name leads to no file.
        UnmatchedError: A listed stem leads to several files.
        FormatError: A STAR or .cs file names no micrographs.
    """
    found = [path for argument in arguments for path in _expand(argument)]
    first = {path.resolve(): path for path in reversed(found)}
    return [path for path in dict.fromkeys(found) if first[path.resolve()] is path]


def _expand(argument: str) -> list[Path]:
    if argument.startswith("@") and not Path(argument).exists():
        return _from_list(Path(argument[1:]))
    path = Path(argument)
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return _from_table(path) if _may_list(path) else [path]
    if any(sign in argument for sign in "*?["):
        matches = sorted(glob.glob(argument))  # noqa: PTH207 -- the pattern may be absolute
        if not matches:
            raise InputError(f"{argument}: no file matches this pattern; check folder and suffix")
        return [file for match in matches for file in _expand(match)]
    raise InputError(
        f"{argument}: no such file or folder; "
        "expected a micrograph, a folder, a pattern, @list.txt, a .star or a .cs file"
    )


def _in_folder(folder: Path) -> list[Path]:
    files = [p for p in folder.iterdir() if p.name.lower().endswith(MICROGRAPH_SUFFIXES)]
    files = sorted(p for p in files if p.is_file() and not p.name.startswith("."))
    if not files:
        raise InputError(
            f"{folder}: no micrograph in this folder ({' '.join(MICROGRAPH_SUFFIXES)})"
        )
    return files


def _from_list(list_file: Path) -> list[Path]:
    names = name_list(list_file)
    if not names:
        raise InputError(f"{list_file}: the list names no micrograph; write one name a line")
    places = (list_file.parent, Path())
    return [look_up(name, places, list_file) for name in names]


def _may_list(path: Path) -> bool:
    """Whether a file is a table that names micrographs, and not an image."""
    if path.name.lower().endswith(MICROGRAPH_SUFFIXES):
        return False
    head = head_of(path)
    is_star = first_line(head).startswith(("data_", "loop_"))
    return is_star or head[1:].startswith("NUMPY") or path.suffix.lower() in (".star", ".cs")


def _from_table(table: Path) -> list[Path]:
    from cryopick.io.tables import cs, star

    is_star = first_line(head_of(table)).startswith(("data_", "loop_"))
    is_star = is_star or table.suffix.lower() == ".star"
    names = (star if is_star else cs).micrograph_names(table)
    places = (table.parent, Path(), *table.resolve().parent.parents)
    return [look_up(name, places, table) for name in names]


def look_up(name: str, places: Sequence[Path], source: Path) -> Path:
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
    raise InputError(
        f"{source}: no file {name[:200]!r} beside the list or from the current folder; "
        "write paths relative to one of them, or in full"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False
