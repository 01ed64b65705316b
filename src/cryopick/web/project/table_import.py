"""Import coordinate tables of other programs, several at once, as labels or as a run to compare.

Programs disagree about the origin, the order of the axes and the binning of coordinates. An import
can therefore mirror, swap, scale and shift them, and shows the result on a micrograph first.

- `import_tables`: reads tables, reports what would be imported, and imports it.
- `TableImport`: purpose and conversion of the coordinates.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cryopick.array_types import Float
from cryopick.errors import CryopickError, InputError
from cryopick.io.names import match_names
from cryopick.picks import Picks, concatenate
from cryopick.web.project.imports import create_operations, read_table, select_new
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.database import current_time
from cryopick.web.storage.label_batches import create_batch
from cryopick.web.storage.run_picks import PickFilter

__all__ = ["TableImport", "import_tables"]

_MAX_ROWS = 5_000_000
_MAX_LABELS = 1_000_000
_MAX_PREVIEW = 3000
_MAX_LISTED = 20
_NO_SCORE = 0.0  # score of imported particles without one, so that a threshold of 0 keeps them

Upload = tuple[str, bytes]


class TableImport(BaseModel):
    """Purpose and conversion of coordinates.

    Attributes:
        purpose: Positive or negative labels, or a run to compare with others.
        swap: Exchange x and y.
        flip_x: Mirror along x, after the other conversions.
        flip_y: Mirror along y, for programs that count rows from the bottom.
        binning: Raw pixels per pixel of the table.
        corner_box: The coordinates are corners of boxes of this side; 0 if they are centres.
        dry_run: Report only.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    purpose: Literal["pos", "neg", "compare"] = "pos"
    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False
    binning: Annotated[float, Field(ge=0.05, le=64, allow_inf_nan=False)] = 1.0
    corner_box: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = 0.0
    dry_run: bool = True

    def convert(
        self, xy: Float[np.ndarray, "picks 2"], shape: tuple[int, int]
    ) -> Float[np.ndarray, "picks 2"]:
        """Convert coordinates of a table to pixels of a raw micrograph of a height and width."""
        xy = xy + self.corner_box / 2
        if self.swap:
            xy = xy[:, ::-1]
        # The centre of pixel i of a binned micrograph lies between those of its raw pixels.
        xy = xy * self.binning + (self.binning - 1) / 2
        height, width = shape
        mirrored = np.array([width - 1, height - 1]) - xy
        return np.where([self.flip_x, self.flip_y], mirrored, xy)


def import_tables(
    project: AnnotationProject, uploads: Sequence[Upload], plan: TableImport, author: str
) -> dict[str, Any]:
    """Read tables, and import their rows on micrographs of the project.

    Args:
        project: The project.
        uploads: Names and contents of the files; a name may contain that of its micrograph.
        plan: Purpose and conversion.
        author: Browser that imports the files.

    Returns:
        Summary for the page, with positions on one micrograph for a preview.

    Raises:
        InputError: No file is a table with particles.
    """
    matched, report = _read_all(project, uploads)
    table = _convert(project, matched, plan)
    new_labels = select_new(project, table, keep_labelled=plan.purpose == "compare")
    if plan.purpose != "compare" and len(new_labels.rows) > _MAX_LABELS:
        raise InputError(f"{len(new_labels.rows)} labels are too many; import them to compare")
    title = uploads[0][0] if len(uploads) == 1 else f"{len(uploads)} files"
    created: dict[str, Any] = {"batch": None, "run": None}
    if not plan.dry_run and new_labels.rows:
        if plan.purpose == "compare":
            created["run"] = _create_run(project, table, title)
        else:
            created["batch"] = create_batch(project.database, title, author)
            operations = create_operations(new_labels.rows, plan.purpose, created["batch"])
            project.annotations.apply(operations, author)
    return {
        **report,
        **created,
        "matched": len(new_labels.rows),
        "n_micrographs": len({mid for mid, _, _ in new_labels.rows}),
        "outside": new_labels.outside,
        "duplicates": new_labels.duplicates,
        "preview": _preview(project, table),
        "warnings": _warn(new_labels.outside, len(table)),
    }


def _read_all(
    project: AnnotationProject, uploads: Sequence[Upload]
) -> tuple[Picks, dict[str, Any]]:
    """Read all files; those that are not tables are listed with the reason."""
    tables: list[Picks] = []
    formats, faults = set(), []
    unmatched: list[str] = []
    usable = list(project.micrographs.usable().values())
    for name, content in uploads:
        try:
            table, format_name = read_table(name, content)
            matched = match_names(table, usable)
        except CryopickError as error:
            faults.append({"name": name, "reason": str(error)})
            continue
        formats.add(format_name)
        tables.append(matched.picks)
        unmatched += matched.unmatched
        if sum(map(len, tables)) > _MAX_ROWS:
            raise InputError(f"the files have more than {_MAX_ROWS} rows; import fewer at once")
    if not tables:
        raise InputError(faults[0]["reason"] if faults else "choose at least one file")
    report = {
        "format": ", ".join(sorted(formats)),
        "files": len(tables),
        "faults": faults[:_MAX_LISTED],
        "n_faults": len(faults),
        "unmatched": unmatched[:_MAX_LISTED],
        "n_unmatched": len(unmatched),
    }
    return _merge(tables), report


def _merge(tables: Sequence[Picks]) -> Picks:
    """Join tables; rows of several files on one micrograph are kept together."""
    by_name: dict[str, list[Picks]] = {}
    for table in tables:
        for name, picks in table.split_by_micrograph():
            by_name.setdefault(name, []).append(picks)
    merged = [
        Picks.for_micrograph(
            name,
            np.concatenate([picks.xy_px for picks in parts]),
            np.concatenate([picks.score for picks in parts]),
        )
        for name, parts in by_name.items()
    ]
    return concatenate(merged)


def _convert(project: AnnotationProject, table: Picks, plan: TableImport) -> Picks:
    numbers = {str(path): mid for mid, path in project.micrographs.usable().items()}
    converted = []
    for name, picks in table.split_by_micrograph():
        row = project.micrographs.find(numbers[name])
        xy_px = plan.convert(picks.xy_px, (row["height_px"], row["width_px"]))
        converted.append(Picks.for_micrograph(name, xy_px, picks.score))
    return concatenate(converted)


def _create_run(project: AnnotationProject, table: Picks, title: str) -> str:
    """Store the particles as a run, whose picks can be shown, compared and exported."""
    config = {"diameter_ang": float(project.database.meta("diameter_ang") or 0), "file": title}
    run = project.runs.create("import", "Imported", config)
    score = np.where(np.isnan(table.score), _NO_SCORE, table.score)
    project.runs.store_picks(run, replace(table, score=score))
    lowest = float(score.min()) if len(score) else 0.0
    project.runs.set_pick_filter(run, PickFilter(lowest))
    timestamp = current_time()
    project.runs.change(run, state="done", message=title, started=timestamp, ended=timestamp)
    project.event_stream.send("run", project.jobs.describe(project.runs.find(run)))
    return run


def _preview(project: AnnotationProject, table: Picks) -> dict[str, Any] | None:
    """Return the positions on the micrograph with the most particles."""
    if not len(table):
        return None
    name, picks = max(table.split_by_micrograph(), key=lambda entry: len(entry[1]))
    mid = next(mid for mid, path in project.micrographs.usable().items() if str(path) == name)
    row = project.micrographs.find(mid)
    return {
        "mid": mid,
        "name": row["name"],
        "width_px": row["width_px"],
        "height_px": row["height_px"],
        "xy": picks.xy_px[:_MAX_PREVIEW].round(1).tolist(),
    }


def _warn(outside: int, total: int) -> list[str]:
    if not outside:
        return []
    hint = "set the binning" if outside > total / 4 else "check the conversion"
    return [f"{outside} coordinates lie outside their micrographs; {hint}"]
