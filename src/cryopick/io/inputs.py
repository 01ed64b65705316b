"""Find the input files that the user names.

- `find_micrographs`: files, globs, folders, `@list.txt`, STAR and .cs files as one list.
"""

import glob
from collections.abc import Sequence
from pathlib import Path

from cryopick.errors import InputError, NotFoundError
from cryopick.io.names import MICROGRAPH_SUFFIXES, find_listed_file
from cryopick.io.tables import cs, star
from cryopick.runs.text_files import first_line, read_head, read_name_list

__all__ = ["find_micrographs"]


def find_micrographs(arguments: Sequence[str]) -> list[Path]:
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
            raise NotFoundError(
                f"{argument}: no file matches this pattern; check folder and suffix"
            )
        return [file for match in matches for file in _expand(match)]
    raise NotFoundError(
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
    names = read_name_list(list_file)
    if not names:
        raise InputError(f"{list_file}: the list names no micrograph; write one name a line")
    places = (list_file.parent, Path())
    return [find_listed_file(name, places, list_file) for name in names]


def _may_list(path: Path) -> bool:
    """Whether a file is a table that names micrographs, and not an image."""
    if path.name.lower().endswith(MICROGRAPH_SUFFIXES):
        return False
    head = read_head(path)
    is_star = first_line(head).startswith(("data_", "loop_"))
    return is_star or head[1:].startswith("NUMPY") or path.suffix.lower() in (".star", ".cs")


def _from_table(table: Path) -> list[Path]:
    is_star = first_line(read_head(table)).startswith(("data_", "loop_"))
    is_star = is_star or table.suffix.lower() == ".star"
    names = (star if is_star else cs).read_micrograph_names(table)
    places = (table.parent, Path(), *table.resolve().parent.parents)
    return [find_listed_file(name, places, table) for name in names]
