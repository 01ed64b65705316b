"""Particle tables in the form that clients read.

Clients parse coordinates as integers and wait for a file that is not empty, so tab-separated
tables have integer coordinates and always a header. STAR files keep fractions.

- `FORMATS`: our format for each format name of Topaz.
- `PICKED_ENDINGS`: endings of the tables that `extract` writes for each micrograph.
- `choose_format`: format for a file name.
- `round_coordinates`, `rescale_coordinates`: coordinates in other pixels.
- `add_image_suffix`, `add_columns`: names and columns of STAR files.
- `write_table`, `write_table_per_micrograph`: write one table, or one per micrograph.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import SettingsError
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.codec import StarContext, TableLayout
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks

__all__ = [
    "FORMATS",
    "PICKED_ENDINGS",
    "add_columns",
    "add_image_suffix",
    "choose_format",
    "rescale_coordinates",
    "round_coordinates",
    "write_table",
    "write_table_per_micrograph",
]

FORMATS = {"coord": "tsv", "csv": "via", "star": "star", "box": "box", "json": "eman"}
_ENDINGS = {"tsv": ".txt", "via": ".csv", "star": ".star", "box": ".box", "eman": "_info.json"}
# Tables that `extract` writes beside micrographs have these instead.
PICKED_ENDINGS = {**_ENDINGS, "tsv": ".coord", "eman": ".json"}
_BY_SUFFIX = {".star": "star", ".csv": "via", ".box": "box", ".json": "eman"}


def choose_format(path: str) -> str:
    """Choose the format by the suffix; by default tab-separated."""
    return _BY_SUFFIX.get(Path(path).suffix.lower(), "tsv")


def rescale_coordinates(picks: Picks, up: float, down: float) -> Picks:
    """Scale coordinates to images that are `up` times larger and `down` times smaller.

    Raises:
        SettingsError: A scale is not above 0.
    """
    if not (up > 0 and down > 0):
        raise SettingsError(f"scales must be above 0; got up {up:g} and down {down:g}")
    return picks.scale(up / down)


def round_coordinates(picks: Picks) -> Picks:
    """Round coordinates to integers, halves to the even one."""
    return replace(picks, xy_px=np.rint(picks.xy_px))


def write_table(picks: Picks, output: str | None, kind: str = "tsv", box_px: int = 0) -> None:
    """Write a table to a file, overwriting it, or to stdout.

    Args:
        picks: The table.
        output: The file; None or "-" is stdout.
        kind: Name of the format in cryopick.
        box_px: Box size in pixels, for `box`.
    """
    if kind != "star":  # clients read four columns by position
        picks = replace(round_coordinates(picks), extra={})
    layout = TableLayout(star=StarContext(block="images", version=None))
    if output in (None, "-"):
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "table"
            write_table(picks, str(table), kind, box_px)
            sys.stdout.write(table.read_text(encoding="utf-8"))
        return
    side = box_px if kind == "box" else None
    write_picks(picks, Path(str(output)), format=kind, overwrite=True, box_px=side, layout=layout)


def write_table_per_micrograph(
    picks: Picks,
    paths: Mapping[str, Path],
    kind: str,
    box_px: int = 0,
    *,
    endings: Mapping[str, str] = _ENDINGS,
) -> None:
    """Write one table per micrograph, also for those without particles.

    Args:
        picks: The table.
        paths: Path of the table of each micrograph, without suffix.
        kind: Name of the format in cryopick.
        box_px: Box size in pixels, for `box`.
        endings: Ending of the file names for each format.

    Raises:
        SettingsError: Two micrographs have the same file.
    """
    owners: dict[Path, str] = {}
    for name, picks_of_one in picks.split_by_micrograph():
        base = paths[name]
        path = base.with_name(base.name + endings[kind])
        other = owners.setdefault(path, name)
        if other != name:
            raise SettingsError(f"{other} and {name} would both be written to {path}")
        write_table(picks_of_one, str(path), kind, box_px)


def add_image_suffix(picks: Picks, ending: str) -> Picks:
    """Name micrographs by stem and suffix, as in STAR files."""
    return picks.rename({name: f"{micrograph_stem(name)}{ending}" for name in picks.micrographs})


def add_columns(picks: Picks, columns: Mapping[str, float]) -> Picks:
    """Add constant columns of a STAR file; negative values are skipped."""
    extra: dict[str, Shaped[np.ndarray, " picks"]] = dict(picks.extra)
    extra |= {tag: np.full(len(picks), value) for tag, value in columns.items() if value >= 0}
    return replace(picks, extra=extra)
