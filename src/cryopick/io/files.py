"""Files as the user names them, and outputs that appear whole or not at all.

- `whole`: write beside the final name, then rename.
- `micrograph_paths`: files, globs, folders, `@list.txt`, STAR and .cs files as one list.
- `look_up`: the file that a list means by a name.
- `name_list`: the names in a plain list.
- `read_text`: a text file, or an error that says what is wrong with it.
- `head_of`, `first_line`: the beginning of a file, to tell what it is.
"""

import glob
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryopick.errors import FormatError, InputError, OutputExistsError, UnmatchedError

__all__ = [
    "MICROGRAPH_SUFFIXES",
    "first_line",
    "head_of",
    "look_up",
    "micrograph_paths",
    "name_list",
    "read_text",
    "whole",
]

MICROGRAPH_SUFFIXES = (".mrc", ".mrc.gz", ".mrc.bz2", ".tif", ".tiff", ".png", ".jpg", ".jpeg")
MAX_TEXT_BYTES = 1 << 30  # some five million picks; read whole, text takes several times that
_HEAD_BYTES = 1 << 16


@contextmanager
def whole(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary name to write to, and rename it to `path` once all went well.

    Missing parent folders are made. The temporary file lies in the same folder and has the
    same suffixes; after any failure it is removed and `path` is as it was.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false, `path` is a folder, or a
            file stands where one of its folders should be.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.is_dir():
        raise OutputExistsError(f"{path}: is a folder; name a file inside it")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; replace it with --force or name another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputExistsError(
            f"{path}: a file stands where its folder should be; name another place"
        ) from None
    suffix = "".join(path.suffixes[-2:])
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}{suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system lets folders be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: The file is missing, is a folder, or may not be read.
        FormatError: The file is not text, or is longer than any list of picks.
    """
    try:
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise FormatError(
                f"{path}: expected a text file of at most {MAX_TEXT_BYTES >> 20} MiB, found "
                f"{size >> 20} MiB; is it the right file? If so, part it"
            )
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name") from None
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: expected text in UTF-8, found byte 0x{error.object[error.start]:02x} at "
            f"position {error.start}; is it the right file?"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def head_of(path: Path) -> str:
    """Read the beginning of a file as text; bytes that are no text come out as U+FFFD.

    Raises:
        InputError: The file is missing, is a folder, or may not be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def first_line(head: str) -> str:
    """The first line that counts: neither blank nor a comment; "" if there is none."""
    lines = (line.strip() for line in head.split("\n"))
    return next((line for line in lines if line and not line.startswith("#")), "")


def name_list(path: Path) -> list[str]:
    """Read a list of names, one a line; blank lines and lines that begin with # do not count.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not text.
    """
    lines = (line.strip() for line in read_text(path).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


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
    from cryopick.io import cs, star

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
