"""Find the micrographs that the user names.

- `find_micrographs`: expand files, globs, folders, `@list.txt`, STAR and .cs files.
"""

import glob
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from cryopick.errors import InputError, NotFoundError
from cryopick.io.names import MICROGRAPH_SUFFIXES, find_listed_file, is_file_or_link
from cryopick.io.tables import cs, star
from cryopick.runs.listed_path import ListedPath, listed_pixel_size
from cryopick.runs.text_files import first_line, read_head, read_name_list

__all__ = ["find_micrographs"]


def find_micrographs(arguments: Sequence[str]) -> list[Path]:
    """Find the micrographs that command-line arguments name.

    An argument is a file, a glob, a folder (all micrographs in it, sorted, without subfolders),
    `@list.txt`, a STAR file with `rlnMicrographName`, or a cryoSPARC `.cs` file with micrograph
    paths. Names in a list are searched beside the list, then in the current folder; a name without
    a suffix matches the micrograph with that stem. Names in STAR and .cs files are also searched
    in the parent folders, as both programs write paths relative to the project folder.

    Returns:
        Paths in the given order, without duplicates. Those from STAR and .cs files are
        `ListedPath`s, with the pixel size that the list states. A path may lead nowhere, if it is a
        broken link or one of several names in a list; reading it raises an error.

    Raises:
        NotFoundError: An argument matches no file, or none of the names in a list does.
        InputError: A folder or list is empty, or two lists state different pixel sizes.
        UnmatchedError: A listed stem matches several files.
        FormatError: A STAR or .cs file lists no micrographs.
    """
    paths = [path for argument in arguments for path in _expand(argument)]
    distinct: dict[str, Path] = {}
    for path in paths:
        key = os.path.realpath(path)  # unlike `resolve`, it accepts links in a circle
        first = distinct.setdefault(key, path)
        size_ang, first_ang = listed_pixel_size(path), listed_pixel_size(first)
        if first_ang is None and size_ang is not None:
            distinct[key] = path
        elif size_ang is not None and size_ang != first_ang:
            raise InputError(
                f"{path}: is listed with {first_ang:g} and with {size_ang:g} Å per pixel; "
                "give only one of the lists, or --pixel-size-ang"
            )
    return list(distinct.values())


def _expand(argument: str) -> list[Path]:
    if argument.startswith("@") and not Path(argument).exists():
        return _from_list(Path(argument[1:]))
    path = Path(argument)
    if path.is_dir():
        files = _in_folder(path)
        if not files and not path.name.lower().endswith(MICROGRAPH_SUFFIXES):
            raise InputError(
                f"{path}: this folder contains no micrographs ({' '.join(MICROGRAPH_SUFFIXES)})"
            )
        return files or [path]  # a folder named like a micrograph is one unusable micrograph
    if path.exists():
        return _from_table(path) if _is_table(path) else [path]
    if path.is_symlink():  # a broken link is one unusable micrograph
        return [path]
    if any(sign in argument for sign in "*?["):
        matches = sorted(glob.glob(argument))  # noqa: PTH207 -- the pattern may be absolute
        if not matches:
            raise NotFoundError(
                f"{argument}: no file matches this pattern; check the folder and suffix"
            )
        return [file for match in matches for file in _expand(match)]
    raise NotFoundError(
        f"{argument}: no such file or folder; "
        "expected a micrograph, a folder, a pattern, @list.txt, a .star or a .cs file"
    )


def _in_folder(folder: Path) -> list[Path]:
    files = [p for p in folder.iterdir() if p.name.lower().endswith(MICROGRAPH_SUFFIXES)]
    return sorted(p for p in files if _may_be_file(p) and not p.name.startswith("."))


def _may_be_file(path: Path) -> bool:
    """Return true for a file, and for a link that cannot be followed, which is skipped later."""
    try:
        return is_file_or_link(path)
    except OSError:
        return True


def _from_list(list_file: Path) -> list[Path]:
    names = read_name_list(list_file)
    if not names:
        raise InputError(f"{list_file}: the list is empty; write one name per line")
    return _find_listed_files(names, (list_file.parent, Path()), list_file)


def _find_listed_files(names: Collection[str], folders: Sequence[Path], source: Path) -> list[Path]:
    """Find the files of a list; those that are missing are reported when they are read.

    Raises:
        NotFoundError: All are missing.
    """
    paths, errors = [], []
    for name in names:
        try:
            paths.append(find_listed_file(name, folders, source))
        except NotFoundError as error:
            paths.append(source.parent / name)
            errors.append(error)
    if errors and len(errors) == len(names):
        raise errors[0]
    return paths


def _is_table(path: Path) -> bool:
    """Check whether a file is a table that lists micrographs rather than an image."""
    if path.name.lower().endswith(MICROGRAPH_SUFFIXES):
        return False
    head = read_head(path)
    is_star = first_line(head).startswith(("data_", "loop_"))
    return is_star or head[1:].startswith("NUMPY") or path.suffix.lower() in (".star", ".cs")


def _from_table(table: Path) -> list[Path]:
    is_star = first_line(read_head(table)).startswith(("data_", "loop_"))
    is_star = is_star or table.suffix.lower() == ".star"
    sizes = (star if is_star else cs).read_micrograph_list(table)
    folders = (table.parent, Path(), *table.resolve().parent.parents)
    paths = _find_listed_files(sizes, folders, table)
    return [
        ListedPath.create(path, size_ang, table, name)
        for path, (name, size_ang) in zip(paths, sizes.items(), strict=True)
    ]
