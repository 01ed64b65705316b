"""Checksums of input files, by which they are recognized after they were moved or renamed.

- `checksum_path`: checksum of a file, or of the files in a folder.
- `checksum_micrographs`: checksum of a list of micrographs.
- `checksum_text`: checksum of a text, such as settings.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["checksum_micrographs", "checksum_path", "checksum_text"]


def checksum_path(path: Path) -> str | None:
    """Return the SHA-256 checksum of a file; of a folder, that of its files without their names.

    Returns:
        64 hexadecimal digits; None if it cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.is_file())
            return checksum_text("\n".join(sorted(_checksum_file(file) for file in files)))
        return _checksum_file(path)
    except OSError:
        return None


def checksum_micrographs(paths: Iterable[Path]) -> str:
    """Return the checksum of a list of micrographs: of their file names and sizes, in order.

    The pixels are not read, so that the list of a large session costs no time. It is the same after
    the micrographs were moved.
    """
    return checksum_text("".join(f"{path.name}\t{_size(path)}\n" for path in paths))


def checksum_text(text: str) -> str:
    """Return the SHA-256 checksum of a text."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def _checksum_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> str:
    try:
        return str(path.stat().st_size)
    except OSError:
        return "missing"
