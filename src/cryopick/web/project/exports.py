"""Export particles and labels for other programs.

- `export_particles`: reports the files that an export writes, or writes them.
- `ExportRequest`: content, formats and name of an export.
- `final_picks`: picks of a run with the user's corrections.
- `match_radius_px`: distance within which a pick matches a label.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cryopick.array_types import Bool
from cryopick.errors import InputError
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.formats import CODECS
from cryopick.io.tables.pick_tables import write_picks, write_picks_per_micrograph
from cryopick.picks import Picks, concatenate
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.corrections import (
    DEFAULT_DIAMETER_ANG,
    MATCH_DIAMETERS,
    CorrectedPicks,
)
from cryopick.web.storage.file_names import escape_name, require_plain_outputs

__all__ = ["ExportRequest", "export_particles", "final_picks", "match_radius_px"]

_FORMATS = tuple(f".{name}" for name in CODECS)


class ExportRequest(BaseModel):
    """Content, formats and name of an export."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    what: Literal["picks", "labels"] = "picks"
    run: str | None = Field(None, max_length=64)
    formats: list[Annotated[str, Field(max_length=16)]] = Field([".star"], max_length=16)
    name: Annotated[str, Field(min_length=1, max_length=100)] = "particles"
    box_px: Annotated[int, Field(ge=0, le=10_000)] = 0  # 0 for that of the project
    replace: bool = False
    dry_run: bool = True

    @field_validator("name")
    @classmethod
    def _require_file_name(cls, name: str) -> str:
        if name.startswith("-") or name in (".", "..") or escape_name(name) != name:
            raise ValueError("choose a name without line breaks that does not begin with a dash")
        if "/" in name or "\\" in name:
            raise ValueError("choose a name without slashes")
        return name


def export_particles(project: AnnotationProject, request: ExportRequest) -> dict[str, Any]:
    """Write the tables into the project's folder `exports`, or only report what would be written.

    Raises:
        InputError: A format is unknown, there is nothing to write, or a file exists.
    """
    unknown = [name for name in request.formats if name not in _FORMATS]
    if unknown:
        raise InputError(f"unknown format {unknown[0]!r}; choose one of {', '.join(_FORMATS)}")
    if request.what == "picks":
        table, parts = final_picks(project, request.run)
    else:
        table = project.annotations.table("pos")
        parts = [("labels", len(table))]
    files = _output_files(project, request)
    file_states = [{"path": str(path), "exists": path.exists()} for path in files.values()]
    problem = None if len(table) else "there is nothing to export yet"
    if not request.dry_run:
        existing = [state["path"] for state in file_states if state["exists"]]
        if problem:
            raise InputError(problem)
        if existing and not request.replace:
            raise InputError(f"{existing[0]} exists; select Replace or choose another name")
        require_plain_outputs(project.folder / "exports", files.values())
        _write_tables(project, table, files, request)
    return {
        "n": len(table),
        "n_micrographs": int(np.count_nonzero(np.bincount(table.index, minlength=1))),
        "parts": parts,
        "files": file_states,
        "problem": problem,
        "box_px": request.box_px or project.box_px,
        "command": _format_commands(project, request, files),
    }


def final_picks(project: AnnotationProject, run: str | None) -> tuple[Picks, list[tuple[str, int]]]:
    """Return the selected picks with the user's corrections.

    Picks on negative labels and in exclusion regions are removed. Positive labels without a pick
    are added; they get the highest score, so that no threshold of another program drops them.

    Returns:
        The table, and a description and number for each step.
    """
    if run is None:
        raise InputError("choose a run")
    corrected = project.corrections.correct(run)
    threshold = project.runs.pick_filter(run).threshold
    selected = corrected.candidates & (corrected.picks.score >= threshold)
    accepted = corrected.is_accepted & selected
    is_added = corrected.is_added(threshold)
    table = project.runs.table(run, accepted)
    tables = [table, *_tables_of_labels(project, corrected, is_added)]
    in_region = selected & corrected.in_region & ~corrected.on_excluded
    on_negative = selected & ~accepted & ~in_region & ~corrected.on_excluded
    parts = [
        ("picks at or above the threshold", int(selected.sum())),
        ("on excluded micrographs", -int((selected & corrected.on_excluded).sum())),
        ("in exclusion regions", -int(in_region.sum())),
        ("on negative labels", -int(on_negative.sum())),
        ("labelled by hand but not picked", int(is_added.sum())),
    ]
    order = {name: number for number, name in enumerate(table.micrographs)}
    final = _score_labels(_group(concatenate(tables), order))
    return final, [parts[0], *(part for part in parts[1:] if part[1])]


def _tables_of_labels(
    project: AnnotationProject, corrected: CorrectedPicks, is_added: Bool[np.ndarray, " labels"]
) -> list[Picks]:
    """Return the added labels, one table for each micrograph."""
    mids, xy_px = corrected.label_mids[is_added], corrected.label_xy_px[is_added]
    return [
        Picks.for_micrograph(str(project.micrographs.path(mid)), xy_px[mids == mid])
        for mid in np.unique(mids).tolist()
    ]


def _score_labels(table: Picks) -> Picks:
    """Give particles without a score the highest one; RELION reads a missing score as -999."""
    is_scored = np.isfinite(table.score)
    if is_scored.all() or not is_scored.any():
        return table
    return replace(table, score=np.where(is_scored, table.score, table.score[is_scored].max()))


def _group(table: Picks, order: dict[str, int]) -> Picks:
    """Order a table by micrograph; those that were not picked are last."""
    names = sorted(table.micrographs, key=lambda name: (order.get(name, len(order)), name))
    by_name = dict(table.split_by_micrograph())
    return concatenate([by_name[name] for name in names])


def match_radius_px(project: AnnotationProject, path: str) -> float:
    """Return the distance in pixels within which a pick matches a label."""
    return MATCH_DIAMETERS * _diameter_ang(project) / _pixel_size_ang(project, path)


def _diameter_ang(project: AnnotationProject) -> float:
    return float(project.database.meta("diameter_ang") or DEFAULT_DIAMETER_ANG)


def _pixel_size_ang(project: AnnotationProject, path: str) -> float:
    row = project.database.row("SELECT id FROM micrograph WHERE path = ?", path)
    return (project.micrographs.find(row["id"])["pixel_size_ang"] if row else None) or 1.0


def _output_files(project: AnnotationProject, request: ExportRequest) -> dict[str, Path]:
    """Return the output of each format: a table, or a folder with one table per micrograph."""
    folder = project.folder / "exports"
    return {
        name: folder / f"{request.name}-{name[1:]}"
        if CODECS[name[1:]].is_single
        else folder / f"{request.name}{name}"
        for name in request.formats
    }


def _write_tables(
    project: AnnotationProject, table: Picks, files: Mapping[str, Path], request: ExportRequest
) -> None:
    project.micrographs.finish_reading()
    rows = project.database.rows("SELECT path, height_px, width_px FROM micrograph")
    shapes = {row["path"]: (row["height_px"], row["width_px"]) for row in rows}
    layout = replace(TableLayout(), shapes_px={name: shapes[name] for name in table.micrographs})
    box_px = request.box_px or project.box_px
    source, names = _source_files(project, request)
    require_plain_outputs(source.parent, [source, names])
    source.parent.mkdir(parents=True, exist_ok=True)
    write_picks(table, source, format="json", overwrite=True)
    names.write_text("".join(f"{name}\n" for name in table.micrographs), encoding="utf-8")
    for name, path in files.items():
        kind = name[1:]
        if CODECS[kind].is_single:
            path.mkdir(exist_ok=True)
            write_picks_per_micrograph(
                table, path, format=kind, overwrite=True, box_px=box_px, layout=layout
            )
        else:
            write_picks(table, path, format=kind, overwrite=True, box_px=box_px, layout=layout)


def _source_files(project: AnnotationProject, request: ExportRequest) -> tuple[Path, Path]:
    """Return the files that contain the exported particles and micrographs for commands."""
    folder = project.folder / "exports" / "source"
    return folder / f"{request.name}.json", folder / f"{request.name}.lst"


def _format_commands(
    project: AnnotationProject, request: ExportRequest, files: Mapping[str, Path]
) -> str:
    """Return the commands that made the picks, and those that write the same files again."""
    words = (
        [] if request.what == "labels" or request.run is None else _picking_words(project, request)
    )
    source, names = _source_files(project, request)
    for name, path in files.items():
        kind = name[1:]
        out = f"{path}/" if CODECS[kind].is_single else str(path)
        convert = ["convert", str(source), "-o", out, "--to", kind, "-m", f"@{names}"]
        words.append([*convert, "--box-px", str(request.box_px or project.box_px), "--force"])
    return "\n".join(shlex.join(["cryopick", *line]) for line in words)


def _picking_words(project: AnnotationProject, request: ExportRequest) -> list[list[str]]:
    commands = project.jobs.commands(request.run or "")
    # The other commands of a picking run only show some micrographs early.
    return commands[-1:] if commands and commands[0][0] == "pick" else commands
