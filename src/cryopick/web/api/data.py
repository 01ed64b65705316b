"""Routes of the project, its micrographs and their images.

- `create_project_routes`: `/api/state`, `/api/fs`.
- `create_micrograph_routes`: `/api/micrographs…`.
- `create_image_routes`: display images, crops and picks of a micrograph.
"""

import stat
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from cryopick.errors import InputError
from cryopick.io.names import MICROGRAPH_SUFFIXES
from cryopick.web.api.access_control import VIEW_ONLY
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.file_names import escape_name
from cryopick.web.storage.micrographs import MicrographQuery, parse_ranges

__all__ = ["create_image_routes", "create_micrograph_routes", "create_project_routes"]

Angstrom = Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=2**62)]
State = Literal["todo", "doing", "all", "skip"]
_MAX_LISTED = 2000


class ImageSize(IntEnum):
    """Longest side of a display image in pixels."""

    THUMBNAIL, SMALL, MEDIUM, LARGE = 256, 512, 1024, 2048


class ProjectChange(BaseModel):
    """Settings of the whole project."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    pixel_size_ang: Angstrom | None = None
    diameter_ang: Angstrom | None = None
    box_px: Annotated[int, Field(ge=0, le=10_000)] | None = None  # 0 follows the diameter
    confirmed: bool = False  # use a pixel size that is probably wrong


class ImportRequest(BaseModel):
    """Micrographs to add to the project."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    glob: str | None = Field(None, max_length=4096)
    paths: list[Annotated[str, Field(max_length=4096)]] = Field([], max_length=20_000)


class MicrographChange(BaseModel):
    """State and note of a micrograph."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    state: State | None = None
    note: str | None = Field(None, max_length=2000)


class ListQuery(BaseModel):
    """Part of the list of micrographs: order and filters."""

    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    sort: str = Field("name", max_length=40)
    filter: str = Field("", max_length=200)
    state: Literal["", "todo", "doing", "all", "skip", "problem"] = ""
    run: str = Field("", max_length=64)
    ranges: str = Field("", max_length=400)
    verdict: str = Field("", max_length=100)


def create_project_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes of the project's state and of folders to add micrographs from."""
    routes = APIRouter()

    @routes.get("/state")
    def state(request: Request) -> dict[str, Any]:
        state = project.state()
        return {**state, "read_only": project.read_only or bool(request.scope.get(VIEW_ONLY))}

    @routes.patch("/state")
    def change_project(change: ProjectChange) -> dict[str, Any]:
        doubt = None if change.confirmed else project.find_pixel_size_doubt(change.pixel_size_ang)
        if doubt:
            raise HTTPException(409, doubt)
        for name, value in change.model_dump(exclude_none=True, exclude={"confirmed"}).items():
            project.database.set_meta(name, repr(float(value)))
        project.event_stream.send("micrographs", {})
        return project.state()

    @routes.get("/fs")
    def folder(dir: str = "") -> dict[str, Any]:
        default = project.roots[0] if project.roots else Path.cwd()
        path = Path(dir).expanduser() if dir else default
        project.require_allowed([path])
        contents = _list_folder(path, project.is_allowed)
        is_root = Path(contents["dir"]) in project.roots
        return {**contents, "parent": None} if is_root else contents

    return routes


def create_micrograph_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes that add, list and change micrographs."""
    routes = APIRouter()

    @routes.post("/micrographs:import")
    def add(request: ImportRequest) -> dict[str, Any]:
        arguments = [request.glob] if request.glob else request.paths
        if not arguments:
            raise InputError("enter a file, a folder, a pattern or a list")
        return project.add_micrographs(arguments)

    @routes.get("/micrographs")
    def list_micrographs(query: Annotated[ListQuery, Query()]) -> dict[str, Any]:
        values = query.model_dump()
        if query.run and not project.read_only:
            project.corrections.store_counts(query.run)
        ranges = parse_ranges(values.pop("ranges"))
        return project.micrographs.list_rows(
            MicrographQuery(text=values.pop("filter"), ranges=ranges, **values)
        )

    @routes.get("/micrographs/{mid}")
    def show(mid: Number, run: str = "") -> dict[str, Any]:
        return project.micrographs.find(mid, run)

    @routes.patch("/micrographs/{mid}")
    def change(mid: Number, change: MicrographChange) -> dict[str, Any]:
        return project.micrographs.change(mid, state=change.state, note=change.note)

    return routes


def create_image_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes of images and picks of a micrograph."""
    routes = APIRouter()

    @routes.get("/micrographs/{mid}/display")
    def display(
        mid: Number,
        n: ImageSize = ImageSize.MEDIUM,
        variant: Literal["raw", "filtered", "denoised", "scores"] = "raw",
        lp: Annotated[Angstrom | None, Query()] = None,
        hp: Annotated[Angstrom | None, Query()] = None,
        run: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        row = project.micrographs.find(mid)
        if variant == "scores":
            is_done = project.runs.find(run)["state"] != "running"  # else without its settings
            image = project.images.render_scores(
                (run, mid, is_done), lambda: project.runs.score_map(run, mid)
            )
        elif variant == "denoised":
            image = project.images.render_denoised(Path(row["path"]), int(n), row["pixel_size_ang"])
        else:
            is_filtered = variant == "filtered"
            image = project.images.render_micrograph(
                Path(row["path"]),
                int(n),
                row["pixel_size_ang"],
                low_pass_ang=lp if is_filtered else None,
                high_pass_ang=hp if is_filtered else None,
            )
        headers = {"X-Scale": repr(image.scale)}
        headers |= {name: repr(image.origin) for name in ("X-Origin-X", "X-Origin-Y")}
        return Response(image.jpeg, media_type="image/jpeg", headers=headers)

    @routes.get("/micrographs/{mid}/crop")
    def crop(
        mid: Number,
        x: Annotated[int, Query(ge=-(10**6), le=10**6)],
        y: Annotated[int, Query(ge=-(10**6), le=10**6)],
        w: Annotated[int, Query(ge=1, le=4096)],
        h: Annotated[int, Query(ge=1, le=4096)],
        lp: Annotated[Angstrom | None, Query()] = None,
    ) -> Response:
        row = project.micrographs.find(mid)
        pixel_size_ang = row["pixel_size_ang"]
        jpeg = project.images.render_crop(Path(row["path"]), (x, y), (w, h), pixel_size_ang, lp)
        return Response(jpeg, media_type="image/jpeg")

    @routes.get("/micrographs/{mid}/picks")
    def picks(mid: Number, run: str, corrected: bool = False) -> Response:
        pack = project.corrections.pack_picks if corrected else project.runs.pack_picks
        return Response(pack(run, mid), media_type="application/octet-stream")

    return routes


def _list_folder(folder: Path, is_allowed: Callable[[Path], bool]) -> dict[str, Any]:
    """List the allowed folders, micrographs and lists of a folder; hidden files are skipped."""
    try:
        folder = folder.resolve(strict=True)
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be opened: {error.strerror}") from error
    visible = [path for path in entries if not path.name.startswith(".") and is_allowed(path)]
    folders = [path for path in visible if _has_type(path, stat.S_ISDIR)]
    plain = [path for path in visible if _has_type(path, stat.S_ISREG)]
    images = [path for path in plain if path.name.lower().endswith(MICROGRAPH_SUFFIXES)]
    lists = [path for path in plain if path.suffix.lower() in (".star", ".cs")]
    files = [*lists, *images][:_MAX_LISTED]
    return {
        "dir": str(folder),
        "parent": str(folder.parent) if folder.parent != folder else None,
        "folders": [_describe_entry(path) for path in folders[:_MAX_LISTED]],
        "files": [{**_describe_entry(path), "star": path in lists} for path in files],
        "n_micrographs": len(images),
    }


def _has_type(path: Path, test: Callable[[int], bool]) -> bool:
    """Check the type of a file; a link that cannot be followed has none."""
    try:
        return test(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _describe_entry(path: Path) -> dict[str, Any]:
    return {"name": escape_name(path.name), "path": escape_name(str(path))}
