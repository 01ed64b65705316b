"""Write files atomically: they appear complete or not at all.

- `whole`: write beside the final name, then rename.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryopick.errors import OutputExistsError

__all__ = ["whole"]


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
