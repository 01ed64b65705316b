"""Particles for other programs: what the page shows, written.

- `export`: say what would be written, or write it.
- `Export`: what the page asks for.
- `near_px`: how near a pick is to what it is.
- `final_picks`: picks of a run with the user's corrections.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.evaluate.matching import is_near
from cryopick.io.tables.codec import Layout
from cryopick.io.tables.formats import CODECS
from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph
from cryopick.picks import Picks, concatenate
from cryopick.web.project.project import NEAR_DIAMETERS, Desk

__all__ = ["Export", "export", "final_picks", "near_px"]

_BOX_DIAMETERS = 1.5
_USUAL_ANG = 150.0
_FORMATS = tuple(f".{name}" for name in CODECS)


class Export(BaseModel):
    """What to write, and how."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    what: Literal["picks", "labels"] = "picks"
    run: str | None = Field(None, max_length=64)
    formats: list[Annotated[str, Field(max_length=16)]] = Field([".star"], max_length=16)
    name: Annotated[str, Field(pattern=r"^[^/\\\x00]{1,100}$")] = "particles"
    replace: bool = False
    dry_run: bool = True


def export(desk: Desk, wanted: Export) -> dict[str, Any]:
    """Write the tables into the project's folder `exports`, or only say what would be.

    Raises:
        InputError: A format is unknown, there is nothing to write, or a file exists.
    """
    unknown = [name for name in wanted.formats if name not in _FORMATS]
    if unknown or wanted.name in (".", ".."):
        raise InputError(f"there is no format {unknown[0]!r}" if unknown else "choose another name")
    table, parts = final_picks(desk, wanted.run) if wanted.what == "picks" else _labels(desk)
    folder = desk.folder / "exports"
    files = {name: folder / f"{wanted.name}{name}" for name in wanted.formats}
    for name in files:
        if CODECS[name[1:]].holds_one:
            files[name] = folder / f"{wanted.name}-{name[1:]}"
    listed = [{"path": str(path), "exists": path.exists()} for path in files.values()]
    counts = [n for n in np.bincount(table.index, minlength=1).tolist() if n]
    problem = None if len(table) else "there is nothing to write yet"
    said = {
        "n": len(table),
        "n_micrographs": len(counts),
        "parts": parts,
        "files": listed,
        "problem": problem,
        "command": _command(desk, wanted),
    }
    if wanted.dry_run:
        return said
    taken = [one["path"] for one in listed if one["exists"]]
    if problem or (taken and not wanted.replace):
        raise InputError(problem or f"{taken[0]} exists; tick Replace, or choose another name")
    folder.mkdir(exist_ok=True)
    for name, path in files.items():
        _write(desk, table, name[1:], path)
    return said


def final_picks(desk: Desk, run: str | None) -> tuple[Picks, list[tuple[str, int]]]:
    """The kept picks, without those marked as none or in outlines, with what was added by hand.

    Returns:
        The table, particles added by hand without a score, and what it is made of in words.
    """
    if run is None:
        raise InputError("choose a run")
    kept = desk.runs.table(run, desk.runs.kept(run))
    outside = desk.marks.regions().outside(kept)
    wrong = dict(desk.marks.table("neg").by_micrograph())
    added = dict(desk.marks.table("pos").by_micrograph())
    tables, removed, more = [], 0, 0
    for name, own in outside.by_micrograph():
        reach_px = near_px(desk, name)
        if name in wrong:
            bad = is_near(own.xy_px, wrong[name].xy_px, reach_px)
            removed += int(bad.sum())
            own = own.select(~bad)
        if name in added:
            new = added[name].select(~is_near(added[name].xy_px, own.xy_px, reach_px))
            more += len(new)
            own = concatenate([own, new])
        tables.append(own)
    parts = [("picks at or above the threshold", len(kept))]
    parts += [("in regions left out", len(outside) - len(kept))] if len(outside) < len(kept) else []
    parts += [("marked as no particle", -removed)] if removed else []
    parts += [("marked by hand, not picked", more)] if more else []
    return concatenate(tables), parts


def _labels(desk: Desk) -> tuple[Picks, list[tuple[str, int]]]:
    table = desk.marks.table("pos")
    return table, [("marked by hand", len(table))]


def near_px(desk: Desk, path: str) -> float:
    """How near to a mark a pick is what was marked."""
    return NEAR_DIAMETERS * _diameter_ang(desk) / _size_ang(desk, path)


def _diameter_ang(desk: Desk) -> float:
    return float(desk.store.meta("diameter_ang") or _USUAL_ANG)


def _size_ang(desk: Desk, path: str) -> float:
    row = desk.store.row("SELECT id FROM micrograph WHERE path = ?", path)
    return (desk.micrographs.one(row["id"])["pixel_size_ang"] if row else None) or 1.0


def _write(desk: Desk, table: Picks, kind: str, path: Path) -> None:
    rows = desk.store.rows("SELECT path, height_px, width_px FROM micrograph")
    shapes = {row["path"]: (row["height_px"], row["width_px"]) for row in rows}
    layout = replace(Layout(), shapes_px={name: shapes[name] for name in table.micrographs})
    size_ang = _size_ang(desk, table.micrographs[0])
    box_px = max(2, 2 * round(_BOX_DIAMETERS * _diameter_ang(desk) / size_ang / 2))
    if CODECS[kind].holds_one:
        path.mkdir(exist_ok=True)
        write_picks_per_micrograph(
            table, path, format=kind, overwrite=True, box_px=box_px, layout=layout
        )
    else:
        write_picks(table, path, format=kind, overwrite=True, box_px=box_px, layout=layout)


def _command(desk: Desk, wanted: Export) -> str:
    """What makes the picks again on the command line, before corrections by hand."""
    if wanted.what == "labels" or wanted.run is None:
        return ""
    import shlex

    lines = [shlex.join(["cryopick", *words]) for words in desk.jobs.commands(wanted.run)]
    cut = desk.runs.cut(wanted.run)
    picks = str(desk.runs.folder(wanted.run) / "picks.json")
    at = shlex.join(["cryopick", "threshold", picks, "--at", repr(cut.threshold)])
    return "\n".join([*lines, f"{at} -o {shlex.quote(wanted.name)}.star"])
