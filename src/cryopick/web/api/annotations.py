"""Addresses of labels: the journal, tables in and tables out.

- `author_of`: who asks.
- `marks_routes`: `/api/labels`, `/api/ops`, `/api/import/labels`, `/api/exports`.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.web.project.annotations import Operation
from cryopick.web.project.exports import Export, export
from cryopick.web.project.imports import import_labels
from cryopick.web.project.project import Desk

__all__ = ["author_of", "marks_routes"]


class Operations(BaseModel):
    """Edits, in order."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    ops: list[Operation] = Field(max_length=5000)


def author_of(request: Request) -> str:
    """Who asks: each browser has a name of its own."""
    return request.headers.get("x-cryopick", "")[:64]


def marks_routes(desk: Desk) -> APIRouter:
    """The addresses, for one project."""
    routes = APIRouter()

    @routes.get("/labels")
    def labels(mid: Annotated[int, Query(ge=0, le=2**62)]) -> dict[str, Any]:
        return desk.marks.on(mid)

    @routes.get("/ops")
    def journal(since: Annotated[int, Query(ge=0, le=2**62)] = 0) -> dict[str, Any]:
        return {"ops": desk.marks.since(since), "seq": desk.marks.seq}

    @routes.post("/ops")
    def edit(edits: Operations, request: Request) -> dict[str, Any]:
        done = desk.marks.apply(edits.ops, author_of(request))
        n_labels = desk.marks.count()
        for operation in done:
            desk.news.tell("op", {**operation, "n_labels": n_labels})
        return {"done": len(done), "seq": desk.marks.seq, "n_labels": n_labels}

    @routes.post("/import/labels")
    async def bring(
        request: Request, dry_run: bool = True, kind: Literal["pos", "neg"] = "pos"
    ) -> dict[str, Any]:
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get("file")
            if file is None or isinstance(file, str):
                raise InputError("send a table as the part `file`")
            name, content = Path(file.filename or "labels").name, await file.read()
        said = await run_in_threadpool(import_labels, desk, name, content, kind, dry_run=dry_run)
        if not dry_run:
            desk.news.tell("micrographs", {})
        return said

    @routes.post("/exports")
    def write(wanted: Export) -> dict[str, Any]:
        return export(desk, wanted)

    return routes
