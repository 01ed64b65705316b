"""Names of files that could be mistaken for something else.

A name with a line break would be two names in a list of micrographs, and other control characters
can change what a terminal shows. Such micrographs are listed with an escaped name and not used.

- `escape_name`: show control characters and bytes that are not text.
- `find_name_problem`: reason why a file cannot be used.
- `stored_path`: the path in the database.
- `require_plain_outputs`: check that writing to files follows no symbolic links.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from cryopick.errors import InputError

__all__ = ["escape_name", "find_name_problem", "require_plain_outputs", "stored_path"]


def escape_name(name: str) -> str:
    r"""Escape control characters and bytes that are not text.

    >>> escape_name("a\nb.mrc")
    'a\\nb.mrc'
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def find_name_problem(path: Path) -> str | None:
    """Return why a path cannot be stored in lists of micrographs, or None."""
    target = os.path.realpath(path)
    if escape_name(target) == target:
        return None
    return (
        "its name or folder contains a line break, another control character or bytes that are "
        "not text; rename it"
    )


def stored_path(path: Path) -> str:
    """Return the absolute path as it is stored; one that cannot be used is escaped."""
    target = os.path.realpath(path)  # unlike `resolve`, it accepts links in a circle
    return escape_name(target)


def require_plain_outputs(folder: Path, files: Iterable[Path]) -> None:
    """Check that files can be replaced without writing anywhere else.

    Args:
        folder: Folder of all outputs, which must not be a link itself.
        files: Files, or folders whose files are replaced.

    Raises:
        InputError: One of them is a symbolic link.
    """
    for file in files:
        inside = sorted(file.iterdir()) if file.is_dir() and not file.is_symlink() else []
        for path in (folder, file, *inside):
            if path.is_symlink():
                raise InputError(
                    f"{path}: is a symbolic link, and is not written through; remove it or choose "
                    "another name"
                )
