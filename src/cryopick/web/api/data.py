"""Addresses of the project, its micrographs and their pictures.

- `data_routes`: `/api/state`, `/api/fs`, `/api/micrographs…`.
"""

from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.io.inputs import MICROGRAPH_SUFFIXES
from cryopick.web.project.micrographs import Wanted
from cryopick.web.project.project import Desk

__all__ = ["data_routes"]

Angstrom = Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=2**62)]
State = Literal["todo", "doing", "all", "skip"]
_MOST_LISTED = 2000


class Side(IntEnum):
    """Longest side of a picture."""

    SMALL, MIDDLE, LARGE = 512, 1024, 2048


class ProjectChange(BaseModel):
    """What the user says about the whole project."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    pixel_size_ang: Angstrom | None = None
    diameter_ang: Angstrom | None = None


class Import(BaseModel):
    """Micrographs to bring in."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    glob: str | None = Field(None, max_length=4096)
    paths: list[Annotated[str, Field(max_length=4096)]] = Field([], max_length=20_000)


class MicrographChange(BaseModel):
    """What the user says about a micrograph."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    state: State | None = None
    note: str | None = Field(None, max_length=2000)


def data_routes(desk: Desk) -> APIRouter:
    """The addresses, for one project."""
    routes = APIRouter()

    @routes.get("/state")
    def state() -> dict[str, Any]:
        return desk.state()

    @routes.patch("/state")
    def change_project(change: ProjectChange) -> dict[str, Any]:
        for name, value in change.model_dump(exclude_none=True).items():
            desk.store.set_meta(name, repr(float(value)))
        desk.news.tell("micrographs", {})
        return desk.state()

    @routes.get("/fs")
    def folder(dir: str = "") -> dict[str, Any]:
        first = desk.roots[0] if desk.roots else Path.cwd()
        wanted = Path(dir).expanduser() if dir else first
        desk.require_allowed([wanted])
        told = _listing(wanted)
        return {**told, "parent": None} if Path(told["dir"]) in desk.roots else told

    @routes.post("/micrographs:import")
    def bring(wanted: Import) -> dict[str, Any]:
        words = [wanted.glob] if wanted.glob else wanted.paths
        if not words:
            raise InputError("name a file, a folder, a pattern or a list")
        return desk.bring(words)

    @routes.get("/micrographs")
    def listed(
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        sort: Literal["name", "labels", "picks", "picks-least", "score", "suggested"] = "name",
        filter: Annotated[str, Query(max_length=200)] = "",
        state: Literal["", "todo", "doing", "all", "skip", "problem"] = "",
        run: Annotated[str, Query(max_length=64)] = "",
    ) -> dict[str, Any]:
        return desk.micrographs.listed(Wanted(offset, limit, sort, filter, state, run))

    @routes.get("/micrographs/{mid}")
    def one(mid: Number, run: str = "") -> dict[str, Any]:
        return desk.micrographs.one(mid, run)

    @routes.patch("/micrographs/{mid}")
    def change(mid: Number, what: MicrographChange) -> dict[str, Any]:
        return desk.micrographs.change(mid, state=what.state, note=what.note)

    @routes.get("/micrographs/{mid}/display")
    def display(  # as many as a picture has aspects
        mid: Number,
        n: Side = Side.MIDDLE,
        variant: Literal["raw", "filtered", "scores"] = "raw",
        lp: Annotated[Angstrom | None, Query()] = None,
        hp: Annotated[Angstrom | None, Query()] = None,
        run: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        row = desk.micrographs.one(mid)
        if variant == "scores":
            view = desk.views.scores((run, mid), lambda: desk.runs.score_map(run, mid))
        else:
            filtered = variant == "filtered"
            view = desk.views.plane(
                Path(row["path"]),
                int(n),
                row["pixel_size_ang"],
                low_pass_ang=lp if filtered else None,
                high_pass_ang=hp if filtered else None,
            )
        headers = {"X-Scale": repr(view.scale)}
        headers |= {name: repr(view.origin) for name in ("X-Origin-X", "X-Origin-Y")}
        return Response(view.jpeg, media_type="image/jpeg", headers=headers)

    @routes.get("/micrographs/{mid}/crop")
    def crop(  # as many as a crop has sides
        mid: Number,
        x: Annotated[int, Query(ge=-(10**6), le=10**6)],
        y: Annotated[int, Query(ge=-(10**6), le=10**6)],
        w: Annotated[int, Query(ge=1, le=4096)],
        h: Annotated[int, Query(ge=1, le=4096)],
        lp: Annotated[Angstrom | None, Query()] = None,
    ) -> Response:
        row = desk.micrographs.one(mid)
        size_ang = row["pixel_size_ang"]
        jpeg = desk.views.crop(Path(row["path"]), (x, y), (w, h), size_ang, lp)
        return Response(jpeg, media_type="image/jpeg")

    @routes.get("/micrographs/{mid}/picks")
    def picks(mid: Number, run: str) -> Response:
        return Response(desk.runs.packed(run, mid), media_type="application/octet-stream")

    return routes


def _listing(folder: Path) -> dict[str, Any]:
    """What a folder holds that the user may want: folders, micrographs, lists."""
    try:
        folder = folder.resolve(strict=True)
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be opened: {error.strerror}") from error
    seen = [path for path in entries if not path.name.startswith(".")]
    folders = [path for path in seen if path.is_dir()]
    pictures = [p for p in seen if p.name.lower().endswith(MICROGRAPH_SUFFIXES) and p.is_file()]
    lists = [p for p in seen if p.suffix.lower() in (".star", ".cs") and p.is_file()]
    shown = [*lists, *pictures][:_MOST_LISTED]
    return {
        "dir": str(folder),
        "parent": str(folder.parent) if folder.parent != folder else None,
        "folders": [{"name": p.name, "path": str(p)} for p in folders[:_MOST_LISTED]],
        "files": [{"name": p.name, "path": str(p), "star": p in lists} for p in shown],
        "n_micrographs": len(pictures),
    }
