"""Tables of particles as the clients read them: whole numbers, tabs, a header in any case.

Clients read coordinates with an integer parser and wait for a file that is not empty, so the
tab-separated table has whole numbers and always its header. A STAR file keeps fractions.

- `FORMATS`: what Topaz calls a format, and what we do.
- `format_of`: which of them a file name asks for.
- `rounded`, `rescaled`: coordinates for other pixels.
- `named`, `with_columns`: what STAR files have besides.
- `write_one`, `write_each`: one table, or one for each micrograph.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryopick.array_types import Shaped
from cryopick.errors import SettingsError
from cryopick.io.names import stem_of
from cryopick.io.tables.codec import Layout, StarFrame
from cryopick.io.tables.pick_tables import write_picks
from cryopick.picks import Picks

__all__ = [
    "FORMATS",
    "format_of",
    "named",
    "rescaled",
    "rounded",
    "with_columns",
    "write_each",
    "write_one",
]

FORMATS = {"coord": "tsv", "csv": "via", "star": "star", "box": "box", "json": "eman"}
_ENDINGS = {"tsv": ".txt", "via": ".csv", "star": ".star", "box": ".box", "eman": "_info.json"}
_BY_SUFFIX = {".star": "star", ".csv": "via", ".box": "box", ".json": "eman"}


def format_of(path: str) -> str:
    """The format that a name asks for; a table with tabs where it says nothing."""
    return _BY_SUFFIX.get(Path(path).suffix.lower(), "tsv")


def rescaled(picks: Picks, up: float, down: float) -> Picks:
    """Coordinates in pixels of images that are `up` times larger and `down` times smaller.

    Raises:
        SettingsError: One of them is not above 0.
    """
    if not (up > 0 and down > 0):
        raise SettingsError(f"scales must be above 0; got up {up:g} and down {down:g}")
    return picks.scaled(up / down)


def rounded(picks: Picks) -> Picks:
    """Coordinates as whole numbers, halves to the even one."""
    return replace(picks, xy_px=np.rint(picks.xy_px))


def write_one(picks: Picks, output: str | None, kind: str = "tsv", box_px: int = 0) -> None:
    """Write a table to one file, in place of what is there, or to stdout.

    Args:
        picks: The table.
        output: The file; None or "-" is stdout.
        kind: Format, as we call it.
        box_px: Side of boxes, for `box`.
    """
    if kind != "star":  # clients know four columns, by their numbers
        picks = replace(rounded(picks), extra={})
    layout = Layout(star=StarFrame(block="images", version=None))
    if output in (None, "-"):
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "table"
            write_one(picks, str(table), kind, box_px)
            sys.stdout.write(table.read_text(encoding="utf-8"))
        return
    side = box_px if kind == "box" else None
    write_picks(picks, Path(str(output)), format=kind, overwrite=True, box_px=side, layout=layout)


def write_each(picks: Picks, places: Mapping[str, Path], kind: str, box_px: int = 0) -> None:
    """Write one table for each micrograph, also for those without particles.

    Args:
        picks: The table.
        places: For each micrograph, folder and beginning of the name of its file.
        kind: Format, as we call it.
        box_px: Side of boxes, for `box`.

    Raises:
        SettingsError: Two micrographs would share a file.
    """
    owners: dict[Path, str] = {}
    for name, own in picks.by_micrograph():
        place = places[name]
        path = place.with_name(place.name + _ENDINGS[kind])
        other = owners.setdefault(path, name)
        if other != name:
            raise SettingsError(f"{other} and {name} would both be written to {path}")
        write_one(own, str(path), kind, box_px)


def named(picks: Picks, ending: str) -> Picks:
    """The same with micrographs named by stem and ending, as STAR files need them."""
    return picks.rename({name: f"{stem_of(name)}{ending}" for name in picks.micrographs})


def with_columns(picks: Picks, columns: Mapping[str, float]) -> Picks:
    """The same with constant columns of a STAR file, without those below 0, which mean none."""
    extra: dict[str, Shaped[np.ndarray, " picks"]] = dict(picks.extra)
    extra |= {tag: np.full(len(picks), value) for tag, value in columns.items() if value >= 0}
    return replace(picks, extra=extra)
