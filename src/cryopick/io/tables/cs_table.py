"""A NumPy table in a file: opened without its content being loaded or run.

The header is checked against the length of the file before anything is allocated, Python
objects are refused, and a column is copied only when it is asked for.

- `Table`: its fields, its columns, and rows of it.
- `open_table`: a file as such a table.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from cryopick.array_types import Integer, Shaped
from cryopick.errors import FormatError, InputError

__all__ = ["Table", "open_table"]

_MAX_HEADER = 1 << 16  # characters; cryoSPARC's hundred fields take 4,000
_COMPRESSED = b"\x95CSDAT"
_EXPECTED = "expected a cryoSPARC table (NumPy)"


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """A table on disk.

    Attributes:
        path: The file.
        data: Its rows, memory-mapped.
        rows: Which of them count, in order; None is all.
    """

    path: Path
    data: Shaped[np.ndarray, " stored"]
    rows: Integer[np.ndarray, " rows"] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.data.dtype.names or ()

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "rows ..."]:
        """Copy one column into memory, in the machine's byte order."""
        column = self.data[name]
        column = np.array(column if self.rows is None else column[self.rows])
        return column.astype(column.dtype.newbyteorder("="), copy=False)

    def is_plain_number(self, name: str) -> bool:
        """Whether a column holds one number a row."""
        return self.holds(name, "iuf")

    def holds(self, name: str, kinds: str, shape: tuple[int, ...] = ()) -> bool:
        """Whether a row of a column is of one of NumPy's kinds and of that shape."""
        dtype = self.data.dtype[name]
        return dtype.shape == shape and dtype.base.kind in kinds

    def rows_of(self, uids: Shaped[np.ndarray, " wanted"]) -> Integer[np.ndarray, " wanted"] | None:
        """Find the rows of given uids; None where one is missing."""
        own = self["uid"]
        order = np.argsort(own, kind="stable")
        at = np.searchsorted(own[order], uids)
        if (at == len(own)).any():
            return None
        rows = order[at]
        return rows if np.array_equal(own[rows], uids) else None

    def select(self, rows: Integer[np.ndarray, " rows"]) -> "Table":
        """The same table with given rows alone."""
        return Table(path=self.path, data=self.data, rows=rows)


def open_table(path: Path) -> Table:
    """Open a NumPy file of a structured type.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is something else, holds Python objects, or is cut off.
    """
    try:
        with path.open("rb") as file:
            shape, dtype = _header(file, path)
            start = file.tell()
            size = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if dtype.hasobject:
        raise FormatError(
            f"{path}: {_EXPECTED} of plain fields, found Python objects, which may run code when "
            "they are loaded; save it again without them"
        )
    if dtype.names is None or len(shape) != 1 or not dtype.itemsize:
        raise FormatError(f"{path}: {_EXPECTED}, found an array of {dtype} {shape}; is it right?")
    promised = start + shape[0] * dtype.itemsize
    if size < promised:
        raise FormatError(
            f"{path}: expected {promised} bytes for {shape[0]} rows, found {size}: the file is "
            "cut off; copy it again"
        )
    if not shape[0]:
        return Table(path=path, data=np.empty(0, dtype))
    return Table(path=path, data=np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape))


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    from numpy.lib import format as npy

    start = file.read(len(_COMPRESSED))
    if start == _COMPRESSED:
        raise FormatError(
            f"{path}: {_EXPECTED}, found cryoSPARC's compressed stream (CSDAT); export it as a "
            "plain .cs file"
        )
    if start != npy.MAGIC_PREFIX:
        raise FormatError(
            f"{path}: {_EXPECTED}, found bytes without its header; export the job again"
        )
    file.seek(0)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, _, dtype = readers[npy.read_magic(file)](file, max_header_size=_MAX_HEADER)
    except (ValueError, LookupError, SyntaxError, TypeError, TokenError, RecursionError):
        raise FormatError(
            f"{path}: {_EXPECTED}, found a header that cannot be read; export the job again"
        ) from None
    return shape, dtype
