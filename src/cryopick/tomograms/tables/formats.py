"""Formats of tables of particles in tomograms, by the suffix of the file.

| suffix | format | read | written |
|---|---|---|---|
| .tsv, .csv | columns image_name, x_coord, y_coord, z_coord, score | yes | yes |
| .star | RELION 4 and 5 | yes | yes |
| .json | EMAN2's info files | yes | yes, one tomogram |
| .mod | IMOD models | yes | no |
| .txt, .pts | IMOD point lists | yes | yes, one tomogram |
| .tbl | Dynamo tables | yes | no |
| .cbox | crYOLO | yes | no |

- `read_points_table`: read a table in voxels of the given tomograms.
- `write_points_table`: write a table, or a folder with a file for each tomogram.
- `check_output`: reject an output that cannot be written, before the work.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cryopick.errors import SettingsError
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks
from cryopick.runs.atomic_write import atomic_write
from cryopick.tomograms.coordinates import get_xyz, replace_xyz
from cryopick.tomograms.tables.eman import read_eman, write_eman
from cryopick.tomograms.tables.imod import read_dynamo, read_model, read_points, write_points
from cryopick.tomograms.tables.star import read_cbox, read_star, write_star
from cryopick.tomograms.tables.stored_points import StoredPoints, convert_to_voxels
from cryopick.tomograms.volumes import Tomogram, match_table

__all__ = ["FORMATS", "check_output", "read_points_table", "write_points_table"]

_TEXT_SUFFIXES = (".tsv", ".csv")
_READERS: Mapping[str, Callable[[Path], StoredPoints]] = {
    ".star": read_star,
    ".json": read_eman,
    ".mod": read_model,
    ".txt": read_points,
    ".pts": read_points,
    ".tbl": read_dynamo,
    ".cbox": read_cbox,
}
# Endings of the files of a folder, by the name of the format.
FORMATS = {"tsv": ".tsv", "csv": ".csv", "star": ".star", "eman": "_info.json", "imod": ".txt"}
_SINGLE = (".json", ".txt", ".pts")


def read_points_table(path: Path, tomograms: Sequence[Tomogram]) -> Picks:
    """Read a table; particles in other tomograms than the given ones are dropped.

    Returns:
        The table in voxels of the files.

    Raises:
        InputError: The file is missing or malformed, its format is unknown, or no tomogram matches.
        MissingPixelSizeError: A pixel size is needed and unknown.
    """
    suffix = path.suffix.lower()
    if suffix in _TEXT_SUFFIXES:
        picks = read_picks(path)
        picks = replace_xyz(picks, get_xyz(picks, path))
        return match_table(picks, tomograms, path) if len(picks) else picks
    if suffix not in _READERS:
        raise SettingsError(
            f"{path}: expected a suffix of {' '.join((*_TEXT_SUFFIXES, *_READERS))}, found "
            f"{suffix!r}; convert the table or rename it"
        )
    return convert_to_voxels(_READERS[suffix](path), tomograms, path)


def check_output(out: str, table_format: str, tomograms: Sequence[Tomogram]) -> None:
    """Reject an output that cannot be written.

    Raises:
        SettingsError: The suffix is unknown, or the format holds one tomogram and there are more.
    """
    if out.endswith("/"):
        if table_format not in FORMATS:
            raise SettingsError(f"expected a format of {', '.join(FORMATS)}; got {table_format!r}")
        return
    suffix = Path(out).suffix.lower()
    if suffix not in (*_TEXT_SUFFIXES, ".star", *_SINGLE):
        raise SettingsError(
            f"{out}: expected a suffix of .tsv .csv .star .json .txt .pts, found {suffix!r}"
        )
    if suffix in _SINGLE and len(tomograms) > 1:
        raise SettingsError(
            f"{out}: this format holds one tomogram; write to a folder (a name that ends in /), "
            "one file per tomogram"
        )


def write_points_table(
    picks: Picks,
    out: str,
    tomograms: Sequence[Tomogram],
    *,
    table_format: str = "star",
    overwrite: bool = False,
) -> list[Path]:
    """Write a table, or a folder with a file for each tomogram.

    Args:
        picks: Picks in voxels, with the names of the tomograms.
        out: File, or a folder that ends in "/".
        tomograms: The tomograms.
        table_format: Format of the files of a folder, one of `FORMATS`.
        overwrite: Overwrite existing files.

    Raises:
        OutputExistsError: A file exists and `overwrite` is false.
        SettingsError: The format cannot hold the table.
    """
    check_output(out, table_format, tomograms)
    if not out.endswith("/"):
        _write(picks, Path(out), tomograms, overwrite=overwrite)
        return [Path(out)]
    paths = []
    for name, table in picks.split_by_micrograph():
        path = Path(out) / f"{name}{FORMATS[table_format]}"
        _write(table, path, tomograms, overwrite=overwrite)
        paths.append(path)
    return paths


def _write(picks: Picks, path: Path, tomograms: Sequence[Tomogram], *, overwrite: bool) -> None:
    suffix = path.suffix.lower()
    if suffix in _TEXT_SUFFIXES:
        xyz = np.round(get_xyz(picks), 3)
        write_picks(replace_xyz(picks, xyz), path, overwrite=overwrite)
        return
    with atomic_write(path, overwrite=overwrite) as temporary:
        if suffix == ".star":
            write_star(picks, tomograms, temporary)
        elif suffix == ".json":
            write_eman(picks, tomograms, temporary)
        else:
            write_points(picks, temporary)
