"""cryoSPARC's .cs files: NumPy tables, read without ever running what they hold.

A centre is the fraction (`center_x_frac`, `center_y_frac`) of `micrograph_shape` = [height,
width], so x = fraction * width, with no half-pixel term and no flip within one and the same
micrograph; RELION and others turn TIFF movies over, and cryoSPARC does not, so picks that go
from one to the other need `--invert-y` where the movies are TIFF. `pick_stats/ncc_score` is
the score; we write it to `pick_stats/power` as well, where Inspect Picks looks. Fractions are
float32: good to 0.001 pixels up to 16,000.

A file without locations is completed from a passthrough file beside it, row by row by `uid`.
Only the fields of locations are ever brought into memory. Plain numbers among `uid`,
`location/*` and `pick_stats/*` are carried under their names.

- `CODEC`: tables of picks.
- `micrograph_names`: the micrographs that a .cs file lists.
"""

import hashlib
import re
from pathlib import Path

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import FormatError, InputError
from cryopick.io.images.sizes import HEIGHT, WIDTH, known_shapes
from cryopick.io.names import stem_of
from cryopick.io.tables.codec import Codec, Layout
from cryopick.io.tables.cs_table import Table, open_table
from cryopick.picks import Picks

__all__ = ["CODEC", "micrograph_names"]

_PATH, _SHAPE = "location/micrograph_path", "location/micrograph_shape"
_FRACTIONS = ("location/center_x_frac", "location/center_y_frac")
_NEEDED = (_PATH, _SHAPE, *_FRACTIONS)
_SCORE, _POWER = "pick_stats/ncc_score", "pick_stats/power"
_LISTS = ("micrograph_blob/path", _PATH)  # of exposures, and of particles
_OPTIONAL = ("location/min_dist_A", "location/micrograph_psize_A")
_UID = re.compile(r"\d{15,21}(?=_)")  # begins the names of files that cryoSPARC imported


def _read(path: Path) -> Picks:
    table = open_table(path)
    places = table
    if not _has(table, _NEEDED):
        places = _passthrough(table)
    _refuse_other_types(places, path)
    columns = {name: places[name] for name in places.fields if _is_carried(places, name)}
    columns |= {name: table[name] for name in table.fields if _is_carried(table, name)}
    names, index = _names(places[_PATH], path)
    shape = places[_SHAPE].astype(np.int64).reshape(-1, 2)
    xy_px = np.column_stack([places[name].astype(np.float64) for name in _FRACTIONS])
    columns = {name: values for name, values in columns.items() if name not in _FRACTIONS}
    xy_px *= shape[:, ::-1]
    usable = np.isfinite(xy_px).all(axis=1) & (shape > 0).all(axis=1)
    if not usable.all():
        row = int(np.argmin(usable))
        raise FormatError(
            f"{path}: expected finite fractions of a micrograph with pixels, found "
            f"{xy_px[row].tolist()} on {shape[row].tolist()} in row {row}; is it damaged?"
        )
    nothing = np.full(len(xy_px), np.nan)
    score = columns.pop(_SCORE, nothing).astype(np.float64)
    if np.array_equal(columns.get(_POWER, nothing), score, equal_nan=True):
        columns.pop(_POWER, None)
    return Picks(
        micrographs=names,
        index=index,
        xy_px=xy_px,
        score=score,
        extra={**columns, HEIGHT: shape[:, 0], WIDTH: shape[:, 1]},
    )


def _refuse_other_types(places: Table, path: Path) -> None:
    if not (
        places.holds(_PATH, "S")
        and places.holds(_SHAPE, "iu", (2,))
        and all(places.is_plain_number(name) for name in _FRACTIONS)
    ):
        raise FormatError(
            f"{path}: expected a path, two whole numbers and two fractions a row for {_PATH}, "
            f"{_SHAPE} and {', '.join(_FRACTIONS)}, found other types; export the job again"
        )


def _has(table: Table, names: tuple[str, ...]) -> bool:
    return all(name in table.fields for name in names)


def _is_carried(table: Table, name: str) -> bool:
    wanted = name == "uid" or name.startswith(("location/", "pick_stats/"))
    return wanted and table.is_plain_number(name)


def _passthrough(table: Table) -> Table:
    """Find the passthrough file beside a table that has the locations of all its rows."""
    path = table.path
    if "uid" in table.fields and table.is_plain_number("uid"):
        for beside in sorted(path.parent.glob("*passthrough*.cs")):
            if beside.resolve() == path.resolve():
                continue
            try:
                other = open_table(beside)
            except (FormatError, InputError):
                continue
            is_whole = _has(other, (*_NEEDED, "uid")) and other.is_plain_number("uid")
            rows = other.rows_of(table["uid"]) if is_whole else None
            if rows is not None:
                return other.select(rows)
    raise FormatError(
        f"{path}: expected {', '.join(_NEEDED)}, found none, nor a passthrough file beside it "
        "that has them for the same uids; give the file of the picking job, or put it there"
    )


def _names(
    paths: Shaped[np.ndarray, " rows"], table: Path
) -> tuple[tuple[str, ...], Shaped[np.ndarray, " rows"]]:
    """Distinct paths in order of first mention, and for each row which is its own."""
    found, first, inverse = np.unique(paths, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    try:
        texts = [bytes(value).decode("utf-8") for value in found[order].tolist()]
    except UnicodeDecodeError:
        raise FormatError(f"{table}: expected paths in UTF-8, found other bytes") from None
    names = [text.removeprefix(">") for text in texts]  # marks a path inside the project
    if not all(names) or len(set(names)) < len(names):
        raise FormatError(f"{table}: expected a path for each micrograph, found an empty one")
    return tuple(names), rank[inverse.reshape(-1)]


def micrograph_names(path: Path) -> list[str]:
    """List the micrographs that a .cs file of exposures or of particles names, each once.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is no .cs file or names no micrographs.
    """
    table = open_table(path)
    for name in _LISTS:
        if name in table.fields and table.holds(name, "S"):
            return list(_names(table[name], path)[0])
    raise FormatError(
        f"{path}: expected paths in {' or '.join(_LISTS)}, found none; name another file"
    )


def _write(picks: Picks, layout: Layout, path: Path) -> None:
    from numpy.lib.format import write_array

    shape = known_shapes(picks, layout.shapes_px, "a .cs file stores fractions")
    row_shape = shape[picks.index].reshape(-1, 2)
    names = np.array([name.encode() for name in picks.micrographs] or [b""])
    names = names.astype(f"S{names.dtype.itemsize + 1}")  # ends in a zero, as cryoSPARC writes it
    score = picks.score.astype(np.float32)
    columns: dict[str, Shaped[np.ndarray, ...]] = {
        "uid": _column(picks, "uid", np.uint64, _uids(picks)),
        "location/micrograph_uid": _column(
            picks, "location/micrograph_uid", np.uint64, _micrograph_uids(picks)[picks.index]
        ),
        "location/exp_group_id": _column(picks, "location/exp_group_id", np.uint32, 0),
        _PATH: names[picks.index],
        _SHAPE: row_shape.astype(np.uint32),
        _FRACTIONS[0]: (picks.xy_px[:, 0] / row_shape[:, 1]).astype(np.float32),
        _FRACTIONS[1]: (picks.xy_px[:, 1] / row_shape[:, 0]).astype(np.float32),
    }
    for name in _OPTIONAL:
        if name in picks.extra:
            columns[name] = _column(picks, name, np.float32, 0)
    columns[_SCORE] = score
    columns[_POWER] = _column(picks, _POWER, np.float32, score)
    columns["pick_stats/template_idx"] = _column(picks, "pick_stats/template_idx", np.uint32, 0)
    columns["pick_stats/angle_rad"] = _column(picks, "pick_stats/angle_rad", np.float32, 0)
    kinds = [(name, column.dtype.str, column.shape[1:]) for name, column in columns.items()]
    table = np.empty(len(picks), dtype=kinds)
    for name, column in columns.items():
        table[name] = column
    with path.open("wb") as file:
        write_array(file, table, allow_pickle=False)


def _column(
    picks: Picks,
    name: str,
    kind: type[np.generic],
    default: Shaped[np.ndarray, " picks"] | int,
) -> Shaped[np.ndarray, " picks"]:
    """A carried column, or what stands for it; text such as "" carries no number."""
    column = picks.extra.get(name)
    if column is None or column.dtype.kind not in "iuf":
        return np.broadcast_to(np.asarray(default, dtype=kind), len(picks))
    return column.astype(kind)


def _uids(picks: Picks) -> Shaped[np.ndarray, " picks"]:
    """A number for each pick that tells it from all others, the same in every run."""
    texts = (
        f"{picks.micrographs[i]}\0{x:.3f}\0{y:.3f}\0{row}"
        for row, (i, (x, y)) in enumerate(
            zip(picks.index.tolist(), picks.xy_px.tolist(), strict=True)
        )
    )
    return np.array([_hashed(text) for text in texts], dtype=np.uint64)


def _micrograph_uids(picks: Picks) -> Shaped[np.ndarray, " micrographs"]:
    """The uid with which cryoSPARC begins a file's name, else one made of the name."""
    found = []
    for name in picks.micrographs:
        own = _UID.match(stem_of(name))
        number = int(own[0]) if own else 0
        found.append(number if 0 < number < 1 << 64 else _hashed(name))
    return np.array(found, dtype=np.uint64)


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") or 1


CODEC = Codec(
    name="cs",
    suffixes=(".cs",),
    recognises=lambda head: head[1:].startswith("NUMPY"),
    read=_read,
    write=_write,
    ending=".cs",
)
