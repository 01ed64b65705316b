"""Read what STAR and .cs files state about micrographs: CTF fit, defocus, ice and motion.

- `read_micrograph_values`: values of each micrograph that a list names.
- `MICROGRAPH_VALUES`: names and units of the values.
"""

from pathlib import Path

import numpy as np

from cryopick.array_types import Float
from cryopick.io.tables.cs_table import NumpyTable, open_table
from cryopick.io.tables.star_text import find_columns, parse_star, unquote_values
from cryopick.runs.text_files import first_line, read_head, read_text

__all__ = ["MICROGRAPH_VALUES", "read_micrograph_values"]

# Each name and its unit, as the page shows them.
MICROGRAPH_VALUES = {
    "ctf_resolution_ang": ("CTF resolution", "Å"),
    "defocus_um": ("Defocus", "µm"),
    "ice": ("Ice", ""),
    "motion_ang": ("Motion", "Å"),
}
_ANG_PER_UM = 1e4
_NAME = "_rlnMicrographName"
# Columns that are averaged for a value, and their unit in units of the value.
_STAR = {
    "ctf_resolution_ang": (("_rlnCtfMaxResolution",), 1.0),
    "defocus_um": (("_rlnDefocusU", "_rlnDefocusV"), 1 / _ANG_PER_UM),
    "ice": (("_rlnCtfIceRingDensity",), 1.0),
    "motion_ang": (("_rlnAccumMotionTotal",), 1.0),
}
_CS = {
    "ctf_resolution_ang": (("ctf/ctf_fit_to_A",), 1.0),
    "defocus_um": (("ctf/df1_A", "ctf/df2_A"), 1 / _ANG_PER_UM),
    "ice": (("ctf_stats/ice_thickness_rel",), 1.0),
}
_CS_NAMES = ("micrograph_blob/path", "location/micrograph_path")

Values = dict[str, dict[str, float]]


def read_micrograph_values(path: Path) -> Values:
    """Read the values of each micrograph, by the name in the list.

    Columns that the file lacks, and values that are not finite numbers, are skipped. The first
    row of a micrograph counts. Values of a .cs file are also read from passthrough files beside
    it that have the same micrographs.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is neither a STAR nor a .cs file.
    """
    is_star = first_line(read_head(path)).startswith(("data_", "loop_"))
    return _read_star(path) if is_star or path.suffix.lower() == ".star" else _read_cs(path)


def _read_star(path: Path) -> Values:
    for block in parse_star(read_text(path), path):
        columns = find_columns(block, _NAME)
        if _NAME in columns:
            break
    else:
        return {}
    values: Values = {}
    names = unquote_values(columns[_NAME])
    for value, (tags, factor) in _STAR.items():
        if all(tag in columns for tag in tags):
            numbers = np.array([[_parse(text) for text in columns[tag]] for tag in tags])
            _add(values, names, value, numbers.mean(axis=0) * factor)
    return values


def _read_cs(path: Path) -> Values:
    table = open_table(path)
    others = [
        open_table(other)
        for other in sorted(path.parent.glob("*passthrough*.cs"))
        if other.resolve() != path.resolve()
    ]
    values: Values = {}
    for current in (table, *others):
        names = _names(current, (table, *others))
        for value, (fields, factor) in _CS.items():
            if names and all(_has_numbers(current, field) for field in fields):
                numbers = np.array([current[field] for field in fields], np.float64)
                _add(values, names, value, numbers.mean(axis=0) * factor)
    return values


def _names(table: NumpyTable, tables: tuple[NumpyTable, ...]) -> list[str]:
    """Return the micrograph of each row, from a table with the same uids if it is not stated."""
    for other in (table, *tables):
        field = next((f for f in _CS_NAMES if f in other.fields and other.has_type(f, "S")), None)
        if field is None:
            continue
        source: NumpyTable | None = other
        if other is not table:
            if not (_has_numbers(table, "uid") and _has_numbers(other, "uid")):
                continue
            rows = other.find_rows(table["uid"])
            source = None if rows is None else other.select(rows)
        if source is not None:
            texts = [bytes(name).decode("utf-8", "replace") for name in source[field].tolist()]
            return [text.removeprefix(">") for text in texts]
    return []


def _has_numbers(table: NumpyTable, field: str) -> bool:
    return field in table.fields and table.is_plain_number(field)


def _add(values: Values, names: list[str], value: str, numbers: Float[np.ndarray, " rows"]) -> None:
    for name, number in zip(names, numbers.tolist(), strict=True):
        if np.isfinite(number):
            values.setdefault(name, {}).setdefault(value, number)


def _parse(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
