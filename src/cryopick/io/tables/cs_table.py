"""NumPy tables in files, opened without loading or running their content.

The header is checked against the length of the file before memory is allocated, and Python objects
are rejected. Columns are read when they are requested, in blocks of rows, as the rows of refined
particles take gigabytes.

- `NumpyTable`: fields, columns and rows of a table.
- `open_table`: open a file as such a table.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from cryopick.array_types import Integer, Shaped
from cryopick.errors import FormatError, InputError, NotFoundError

__all__ = ["NumpyTable", "open_table"]

_MAX_HEADER = 1 << 16  # characters; the hundred fields of cryoSPARC take 4,000
_MAX_ROWS = 20_000_000
_MAX_ROW_BYTES = 1 << 18  # refined particles take 600
_BLOCK_BYTES = 1 << 24  # of rows that are read at a time
_COMPRESSED = b"\x95CSDAT"
_HEADER_ERRORS = (  # of evaluating the text of a header
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RecursionError),
    *(SyntaxError, TokenError, TypeError, ValueError),
)
_EXPECTED = "expected a cryoSPARC table (NumPy)"


@dataclass(frozen=True, eq=False, kw_only=True)
class NumpyTable:
    """A table on disk.

    Attributes:
        path: The file.
        dtype: Type of a row.
        start: Position of the first row in the file.
        stored_count: Rows in the file.
        rows: Indices of the selected rows, in order; None selects all.
    """

    path: Path
    dtype: np.dtype[Any]
    start: int
    stored_count: int
    rows: Integer[np.ndarray, " rows"] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.dtype.names or ()

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "rows ..."]:
        """Read one column."""
        return self.read_columns([name])[name]

    def read_columns(self, names: Sequence[str]) -> dict[str, Shaped[np.ndarray, "rows ..."]]:
        """Read columns into memory, in native byte order.

        Raises:
            InputError: The file cannot be read.
            FormatError: The file has become shorter.
        """
        kinds = {name: self.dtype[name] for name in names}
        columns = {
            name: np.empty((self.stored_count, *kind.shape), kind.base.newbyteorder("="))
            for name, kind in kinds.items()
        }
        first = 0
        for block in self.iterate_blocks():
            for name, column in columns.items():
                column[first : first + len(block)] = block[name]
            first += len(block)
        if self.rows is None:
            return columns
        return {name: column[self.rows] for name, column in columns.items()}

    def iterate_blocks(self) -> Iterator[Shaped[np.ndarray, " block"]]:
        """Yield blocks of all stored rows.

        Raises:
            InputError: The file cannot be read.
            FormatError: The file has become shorter.
        """
        size = max(1, _BLOCK_BYTES // self.dtype.itemsize)
        try:
            with self.path.open("rb") as file:  # a map of a truncated file would kill the process
                file.seek(self.start)
                for first in range(0, self.stored_count, size):
                    count = min(size, self.stored_count - first)
                    block = np.fromfile(file, self.dtype, count)
                    if len(block) < count:
                        raise FormatError(
                            f"{self.path}: has become shorter while it was read; copy it again"
                        )
                    yield block
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from None

    def is_plain_number(self, name: str) -> bool:
        """Check whether a column has one number per row."""
        return self.has_type(name, "iuf")

    def has_type(self, name: str, kinds: str, shape: tuple[int, ...] = ()) -> bool:
        """Check whether a column has one of the given NumPy kinds and that shape per row."""
        dtype = self.dtype[name]
        return dtype.shape == shape and dtype.base.kind in kinds

    def find_rows(
        self, uids: Shaped[np.ndarray, " wanted"]
    ) -> Integer[np.ndarray, " wanted"] | None:
        """Find the rows with the given uids; None if one is missing."""
        stored_uids = self["uid"]
        order = np.argsort(stored_uids, kind="stable")
        positions = np.searchsorted(stored_uids[order], uids)
        if (positions == len(stored_uids)).any():
            return None
        rows = order[positions]
        return rows if np.array_equal(stored_uids[rows], uids) else None

    def select(self, rows: Integer[np.ndarray, " rows"]) -> "NumpyTable":
        """Return the table with the given rows only."""
        return replace(self, rows=rows)


def open_table(path: Path) -> NumpyTable:
    """Open a NumPy file with a structured data type.

    Raises:
        NotFoundError: The file is missing.
        InputError: The file cannot be read.
        FormatError: The file is of another type, contains Python objects, or is truncated.
    """
    try:
        with path.open("rb") as file:
            shape, dtype = _read_header(file, path)
            start = file.tell()
            size = path.stat().st_size
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if dtype.hasobject:
        raise FormatError(
            f"{path}: {_EXPECTED} of plain fields, found Python objects, which may run code when "
            "loaded; save the file without them"
        )
    if dtype.names is None or len(shape) != 1 or not dtype.itemsize:
        raise FormatError(
            f"{path}: {_EXPECTED}, found an array of {dtype} {shape}; "
            "check that it is the right file"
        )
    expected = start + shape[0] * dtype.itemsize
    if size < expected:
        raise FormatError(
            f"{path}: expected {expected} bytes for {shape[0]} rows, found {size}: the file is "
            "truncated; copy it again"
        )
    if shape[0] > _MAX_ROWS or dtype.itemsize > _MAX_ROW_BYTES:
        raise FormatError(
            f"{path}: {_EXPECTED} of at most {_MAX_ROWS} rows of {_MAX_ROW_BYTES >> 10} KiB, found "
            f"{shape[0]} of {dtype.itemsize} bytes; check that it is the right file, or split it"
        )
    return NumpyTable(path=path, dtype=dtype, start=start, stored_count=shape[0])


def _read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
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
            warnings.simplefilter("ignore")  # about headers written by Python 2
            shape, _, dtype = readers[npy.read_magic(file)](file, max_header_size=_MAX_HEADER)
        if any(type(length) is not int or length < 0 for length in shape):
            raise ValueError("the shape is not of counts")
    except _HEADER_ERRORS:
        raise FormatError(
            f"{path}: {_EXPECTED}, found a header that cannot be read; export the job again"
        ) from None
    return shape, dtype
