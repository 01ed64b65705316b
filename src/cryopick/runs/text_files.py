"""Read text files with a size limit and clear errors.

- `read_text`: read a whole text file.
- `read_head`, `first_line`: the beginning of a file, to detect its format.
- `read_name_list`: the names in a plain list.
"""

import stat
from pathlib import Path

from cryopick.errors import FormatError, InputError, NotFoundError

__all__ = ["first_line", "read_head", "read_name_list", "read_text"]

MAX_TEXT_BYTES = 1 << 30  # about five million picks; parsing takes several times that much memory
_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 1 << 16


def read_text(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

    Args:
        path: The file.
        max_bytes: Size limit.

    Raises:
        NotFoundError: The file is missing.
        InputError: The path is a folder, a pipe or a device, or cannot be read.
        FormatError: The file is not text, or exceeds the size limit.
    """
    try:
        _require_regular(path)
        size = path.stat().st_size
        if size > max_bytes:
            raise FormatError(
                f"{path}: expected a text file of at most {max_bytes >> 20} MiB, found "
                f"{size >> 20} MiB; check that it is the right file, or split it"
            )
        _require_no_zeros(path)
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file; check the name") from None
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: expected text in UTF-8, found byte 0x{error.object[error.start]:02x} at "
            f"position {error.start}; check that it is the right file"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _require_no_zeros(path: Path) -> None:
    """Refuse a file with zero bytes before it is decoded; a sparse file may have gigabytes of them.

    Raises:
        FormatError: It has some.
        OSError: It cannot be read.
    """
    position = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if (index := block.find(0)) >= 0:
                raise FormatError(
                    f"{path}: expected text in UTF-8, found byte 0x00 at position "
                    f"{position + index}; check that it is the right file"
                )
            position += len(block)


def read_head(path: Path) -> str:
    """Read the beginning of a file as text; undecodable bytes become U+FFFD.

    Raises:
        NotFoundError: The file is missing.
        InputError: The path is a folder, a pipe or a device, or cannot be read.
    """
    try:
        _require_regular(path)
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _require_regular(path: Path) -> None:
    """Refuse pipes, whose beginning can be read only once, and devices, which never end.

    Raises:
        InputError: The path is one of them.
        OSError: The path cannot be examined.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(
            f"{path}: is a pipe or a device, which cannot be read; save it to a file first"
        )


def first_line(head: str) -> str:
    """Return the first line that is neither blank nor a comment; "" if there is none."""
    lines = (line.strip() for line in head.split("\n"))
    return next((line for line in lines if line and not line.startswith("#")), "")


def read_name_list(path: Path) -> list[str]:
    """Read a list of names, one per line; blank lines and lines starting with # are ignored.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: The file is not text.
    """
    lines = (line.strip() for line in read_text(path).splitlines())
    return [line for line in lines if line and not line.startswith("#")]
