"""Read text files with bounded size and clear errors.

- `read_text`: a text file, or an error that says what is wrong with it.
- `head_of`, `first_line`: the beginning of a file, to recognise its format.
- `name_list`: the names in a plain list.
"""

from pathlib import Path

from cryopick.errors import FormatError, InputError

__all__ = ["first_line", "head_of", "name_list", "read_text"]

MAX_TEXT_BYTES = 1 << 30  # some five million picks; read whole, text takes several times that
_HEAD_BYTES = 1 << 16


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
