"""cryoSPARC .cs files: NumPy tables, read without running any code in them.

A centre is a fraction (`center_x_frac`, `center_y_frac`) of `micrograph_shape` = [height, width]:
x = fraction * width, without a half-pixel term and without a flip within the same micrograph.
RELION and others flip TIFF movies and cryoSPARC does not, so picks that move between them need
`--invert-y` if the movies are TIFF. `pick_stats/ncc_score` is the score; it is also written to
`pick_stats/power`, which Inspect Picks reads. Fractions are float32, accurate to 0.001 pixels up
to 16,000 pixels.

A file without locations is completed from a passthrough file in the same folder, joined by
`uid`. Only the fields of locations are loaded into memory. Plain numbers in `uid`, `location/*`
and `pick_stats/*` are carried under their names.

- `CODEC`: tables of picks.
- `read_micrograph_names`, `read_micrograph_list`: micrographs that a .cs file lists, the latter
  with their pixel sizes.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import FormatError, InputError, NotATableError
from cryopick.io.images.sizes import HEIGHT, WIDTH, find_micrograph_shapes
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.codec import Codec, TableLayout, convert_to_floats
from cryopick.io.tables.cs_table import NumpyTable, open_table
from cryopick.picks import Picks

__all__ = ["CODEC", "read_micrograph_list", "read_micrograph_names"]

_PATH, _SHAPE = "location/micrograph_path", "location/micrograph_shape"
_FRACTIONS = ("location/center_x_frac", "location/center_y_frac")
_REQUIRED = (_PATH, _SHAPE, *_FRACTIONS)
_SCORE, _POWER = "pick_stats/ncc_score", "pick_stats/power"
_LISTS = {  # paths and pixel sizes in exposures and in particles
    "micrograph_blob/path": "micrograph_blob/psize_A",
    "micrograph_blob_non_dw/path": "micrograph_blob_non_dw/psize_A",
    _PATH: "location/micrograph_psize_A",
}
_OPTIONAL = ("location/min_dist_A", "location/micrograph_psize_A")
_UID = re.compile(r"\d{15,21}(?=_)")  # start of the names of files that cryoSPARC imported


def _read(path: Path) -> Picks:
    table = open_table(path)
    locations = table
    if not _has(table, _REQUIRED):
        locations = _find_passthrough(table)
    _check_types(locations, path)
    names, index = _distinct_names(locations, _PATH)
    columns = locations.read_columns([*_list_carried(locations), _SHAPE])
    if locations is not table:
        columns |= table.read_columns(_list_carried(table))
    shape = columns.pop(_SHAPE).astype(np.int64).reshape(-1, 2)
    xy_px = np.column_stack([columns.pop(name).astype(np.float64) for name in _FRACTIONS])
    xy_px *= shape[:, ::-1]
    usable = np.isfinite(xy_px).all(axis=1) & (shape > 0).all(axis=1)
    if not usable.all():
        row = int(np.argmin(usable))
        raise FormatError(
            f"{path}: expected finite fractions of a micrograph with pixels, found "
            f"{xy_px[row].tolist()} on {shape[row].tolist()} in row {row}; "
            "check the file for damage"
        )
    missing_scores = np.full(len(xy_px), np.nan)
    score = columns.pop(_SCORE, missing_scores).astype(np.float64)
    if np.array_equal(columns.get(_POWER, missing_scores), score, equal_nan=True):
        columns.pop(_POWER, None)
    return Picks(
        micrographs=names,
        index=index,
        xy_px=xy_px,
        score=score,
        extra={**columns, HEIGHT: shape[:, 0], WIDTH: shape[:, 1]},
    )


def _check_types(locations: NumpyTable, path: Path) -> None:
    if not (
        locations.has_type(_PATH, "S")
        and locations.has_type(_SHAPE, "iu", (2,))
        and all(locations.is_plain_number(name) for name in _FRACTIONS)
    ):
        raise FormatError(
            f"{path}: expected a path, two integers and two fractions a row for {_PATH}, "
            f"{_SHAPE} and {', '.join(_FRACTIONS)}, found other types; export the job again"
        )


def _has(table: NumpyTable, names: tuple[str, ...]) -> bool:
    return all(name in table.fields for name in names)


def _list_carried(table: NumpyTable) -> list[str]:
    """List the columns that are carried, and the fractions."""
    wanted = (n for n in table.fields if n == "uid" or n.startswith(("location/", "pick_stats/")))
    return [name for name in wanted if table.is_plain_number(name)]


def _find_passthrough(table: NumpyTable) -> NumpyTable:
    """Find the passthrough file beside a table that has the locations of all its rows."""
    for other in _passthroughs(table, _REQUIRED):
        return other
    raise NotATableError(
        f"{table.path}: expected {', '.join(_REQUIRED)}, found neither these nor a passthrough "
        "file beside it with the same uids; use the file of the picking job, or copy it there"
    )


def _passthroughs(table: NumpyTable, fields: tuple[str, ...]) -> Iterator[NumpyTable]:
    """Yield the passthrough files beside a table that have fields of all its rows, in its order."""
    if "uid" not in table.fields or not table.is_plain_number("uid"):
        return
    for candidate in sorted(table.path.parent.glob("*passthrough*.cs")):
        if candidate.resolve() == table.path.resolve():
            continue
        try:
            other = open_table(candidate)
        except (FormatError, InputError):
            continue
        is_complete = _has(other, (*fields, "uid")) and other.is_plain_number("uid")
        rows = other.find_rows(table["uid"]) if is_complete else None
        if rows is not None:
            yield other.select(rows)


def _distinct_names(
    table: NumpyTable, field: str
) -> tuple[tuple[str, ...], Shaped[np.ndarray, " rows"]]:
    """Return distinct paths in order of first use, and each row's index among them."""
    number_of: dict[bytes, int] = {}
    parts = [np.zeros(0, np.int64)]
    for block in table.iterate_blocks():
        values = block[field].tolist()
        numbers = (number_of.setdefault(value, len(number_of)) for value in values)
        parts.append(np.fromiter(numbers, np.int64, len(values)))
        if not number_of.keys().isdisjoint((b"", b">")):  # at once, as a file may be all zeros
            raise _missing_path_error(table)
    index = np.concatenate(parts)
    used, first, index = np.unique(
        index if table.rows is None else index[table.rows], return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    paths = list(number_of)
    try:
        texts = [paths[i].decode("utf-8") for i in used[order].tolist()]
    except UnicodeDecodeError:
        raise FormatError(f"{table.path}: expected paths in UTF-8, found other bytes") from None
    names = [text.removeprefix(">") for text in texts]  # ">" marks a path inside the project
    if len(set(names)) < len(names):
        raise _missing_path_error(table)
    return tuple(names), rank[index.reshape(-1)]


def _missing_path_error(table: NumpyTable) -> FormatError:
    return FormatError(f"{table.path}: expected a path for each micrograph, found an empty one")


def read_micrograph_names(path: Path) -> list[str]:
    """List the micrographs that a .cs file of exposures or particles names, each once.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is not a .cs file, or names no micrographs.
    """
    return list(read_micrograph_list(path))


def read_micrograph_list(path: Path) -> dict[str, float | None]:
    """Map the micrographs that a .cs file names to their pixel sizes in Å, None if not stated.

    Paths or pixel sizes that the file lacks are taken from a passthrough file beside it.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is not a .cs file, names no micrographs, or states two pixel sizes for one.
    """
    table = open_table(path)
    for name, size in _LISTS.items():
        names_table = _find_table_with(table, name, "S")
        if names_table is None:
            continue
        sizes_table = _find_table_with(table, size, "iuf")
        names, index = _distinct_names(names_table, name)
        return dict(zip(names, _sizes_by_name(sizes_table, size, names, index, path), strict=True))
    raise FormatError(
        f"{path}: expected paths in {' or '.join(_LISTS)}, found none; choose another file"
    )


def _sizes_by_name(
    table: NumpyTable | None,
    field: str,
    names: tuple[str, ...],
    index: Shaped[np.ndarray, " rows"],
    path: Path,
) -> list[float | None]:
    if table is None:
        return [None] * len(names)
    sizes = table[field].astype(np.float64)
    first_rows = np.unique(index, return_index=True)[1]
    differs = ~np.isclose(sizes, sizes[first_rows][index], rtol=1e-4, equal_nan=True)
    if differs.any():
        row = int(np.argmax(differs))
        raise FormatError(
            f"{path}: expected one pixel size for {names[index[row]]}, found "
            f"{sizes[first_rows[index[row]]]:g} and {sizes[row]:g} Å; export the job again"
        )
    distinct = sizes[first_rows].tolist()
    return [size if np.isfinite(size) and size > 0 else None for size in distinct]


def _find_table_with(table: NumpyTable, field: str, kinds: str) -> NumpyTable | None:
    """Return the table itself, or a passthrough file with the same rows, that has a field."""
    if field in table.fields and table.has_type(field, kinds):
        return table
    for other in _passthroughs(table, (field,)):
        if other.has_type(field, kinds):
            return other
    return None


def _write(picks: Picks, layout: TableLayout, path: Path) -> None:
    from numpy.lib.format import write_array

    shape = find_micrograph_shapes(picks, layout.shapes_px, "a .cs file stores fractions")
    row_shape = shape[picks.index].reshape(-1, 2)
    names = np.array([name.encode() for name in picks.micrographs] or [b""])
    names = names.astype(f"S{names.dtype.itemsize + 1}")  # zero-terminated, as cryoSPARC writes it
    score = picks.score.astype(np.float32)
    columns: dict[str, Shaped[np.ndarray, ...]] = {
        "uid": _carried_column(picks, "uid", np.uint64, _pick_uids(picks)),
        "location/micrograph_uid": _carried_column(
            picks, "location/micrograph_uid", np.uint64, _micrograph_uids(picks)[picks.index]
        ),
        "location/exp_group_id": _carried_column(picks, "location/exp_group_id", np.uint32, 0),
        _PATH: names[picks.index],
        _SHAPE: row_shape.astype(np.uint32),
        _FRACTIONS[0]: (picks.xy_px[:, 0] / row_shape[:, 1]).astype(np.float32),
        _FRACTIONS[1]: (picks.xy_px[:, 1] / row_shape[:, 0]).astype(np.float32),
    }
    for name in _OPTIONAL:
        if name in picks.extra:
            columns[name] = _carried_column(picks, name, np.float32, 0)
    columns[_SCORE] = score
    columns[_POWER] = _carried_column(picks, _POWER, np.float32, score)
    columns["pick_stats/template_idx"] = _carried_column(
        picks, "pick_stats/template_idx", np.uint32, 0
    )
    columns["pick_stats/angle_rad"] = _carried_column(picks, "pick_stats/angle_rad", np.float32, 0)
    kinds = [(name, column.dtype.str, column.shape[1:]) for name, column in columns.items()]
    table = np.empty(len(picks), dtype=kinds)
    for name, column in columns.items():
        table[name] = column
    with path.open("wb") as file:
        write_array(file, table, allow_pickle=False)


def _carried_column(
    picks: Picks,
    name: str,
    kind: type[np.generic],
    default: Shaped[np.ndarray, " picks"] | int,
) -> Shaped[np.ndarray, " picks"]:
    """Return a carried column, or the default; text columns such as "" contain no numbers."""
    column = picks.extra.get(name)
    if column is not None and column.dtype.kind not in "iuf":
        column = convert_to_floats(column)
    if column is None:
        return np.broadcast_to(np.asarray(default, dtype=kind), len(picks))
    return column.astype(kind)


def _pick_uids(picks: Picks) -> Shaped[np.ndarray, " picks"]:
    """Compute a reproducible unique number for each pick."""
    texts = (
        f"{picks.micrographs[i]}\0{x:.3f}\0{y:.3f}\0{row}"
        for row, (i, (x, y)) in enumerate(
            zip(picks.index.tolist(), picks.xy_px.tolist(), strict=True)
        )
    )
    return np.array([_hash_text(text) for text in texts], dtype=np.uint64)


def _micrograph_uids(picks: Picks) -> Shaped[np.ndarray, " micrographs"]:
    """Return the uid at the start of cryoSPARC's file names, else a hash of the name."""
    uids = []
    for name in picks.micrographs:
        match = _UID.match(micrograph_stem(name))
        number = int(match[0]) if match else 0
        uids.append(number if 0 < number < 1 << 64 else _hash_text(name))
    return np.array(uids, dtype=np.uint64)


def _hash_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") or 1


CODEC = Codec(
    name="cs",
    suffixes=(".cs",),
    matches_head=lambda head: head[1:].startswith("NUMPY"),
    read=_read,
    write=_write,
    ending=".cs",
)
