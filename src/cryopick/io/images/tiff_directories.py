"""Sizes that the directories of TIFF files claim, checked before any value is read.

tifffile reads some values of any length; a file of gigabytes that is mostly a hole would fill the
memory.

- `find_directory_fault`: check the directories of a file.
"""

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["MAX_DIRECTORIES", "find_directory_fault"]

MAX_DIRECTORIES = 5_000  # longer than any movie; reading more takes seconds
_MAX_VALUE_BYTES = 1 << 26  # of all directories
_ORDERS = {b"II": "<", b"MM": ">"}
# Formats of an offset, of the number of entries, and of the type and count in an entry
_LAYOUTS = {42: ("I", "H", "2xHI4x"), 43: ("Q", "Q", "2xHQ8x")}
_TYPE_BYTES = (1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 1, 1, 8, 8, 8)  # by number of the type
_MAX_ENTRIES = 4_096


def find_directory_fault(path: Path) -> str | None:
    """Return the fault of a file whose directories claim values of more than 64 MiB.

    Raises:
        OSError: The file cannot be read.
    """
    claimed_bytes = 0
    with path.open("rb") as file:
        head = file.read(16)
        order = _ORDERS.get(head[:2])
        layout = _LAYOUTS.get(struct.unpack(f"{order}H", head[2:4])[0]) if order else None
        if order is None or layout is None or len(head) < 16:
            return None  # left to the decoder
        offset_format, *formats = (f"{order}{part}" for part in layout)
        position = 4 if offset_format[-1] == "I" else 8
        (offset,) = struct.unpack_from(offset_format, head, position)
        for _ in range(MAX_DIRECTORIES):
            counts = _read_directory(file, offset, formats[0], formats[1])
            claimed_bytes += sum(counts)
            if claimed_bytes > _MAX_VALUE_BYTES:
                return f"its directories claim {claimed_bytes} bytes of values; copy it again"
            link = file.read(struct.calcsize(offset_format))
            if not counts or len(link) < struct.calcsize(offset_format):
                break
            (offset,) = struct.unpack(offset_format, link)
    return None


def _read_directory(
    file: BinaryIO, offset: int, number_format: str, entry_format: str
) -> list[int]:
    """Return the bytes of each value of a directory; an empty list if it cannot be read."""
    if not 0 < offset < 1 << 62:
        return []
    file.seek(offset)
    number_bytes = file.read(struct.calcsize(number_format))
    if len(number_bytes) < struct.calcsize(number_format):
        return []
    (number,) = struct.unpack(number_format, number_bytes)
    size = struct.calcsize(entry_format)
    entries = file.read(number * size) if number <= _MAX_ENTRIES else b""
    entries = entries[: len(entries) // size * size]
    return [
        count * _TYPE_BYTES[kind] if kind < len(_TYPE_BYTES) else 0
        for kind, count in struct.iter_unpack(entry_format, entries)
    ]
