"""Routes of annotations: edits, import of a table.

- `author_of`: the browser that sends a request.
- `create_annotation_routes`: `/api/labels`, `/api/ops`, `/api/import/labels`.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.web.project.imports import import_labels
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.annotations import Operation
from cryopick.web.storage.label_batches import list_batches

__all__ = ["author_of", "create_annotation_routes"]


class OperationBatch(BaseModel):
    """Edits of annotations, in order."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    ops: list[Operation] = Field(max_length=5000)


def author_of(request: Request) -> str:
    """Return the random name of the browser that sent a request."""
    return request.headers.get("x-cryopick", "")[:64]


def create_annotation_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes of annotations for one project."""
    routes = APIRouter()

    @routes.get("/labels")
    def labels(mid: Annotated[int, Query(ge=0, le=2**62)]) -> dict[str, Any]:
        return project.annotations.list_on(mid)

    @routes.get("/ops")
    def journal(since: Annotated[int, Query(ge=0, le=2**62)] = 0) -> dict[str, Any]:
        return {"ops": project.annotations.list_since(since), "seq": project.annotations.seq}

    @routes.post("/ops")
    def edit(batch: OperationBatch, request: Request) -> dict[str, Any]:
        applied = project.annotations.apply(batch.ops, author_of(request))
        n_labels = project.annotations.count()
        for operation in applied:
            project.event_stream.send("op", {**operation, "n_labels": n_labels})
        return {"done": len(applied), "seq": project.annotations.seq, "n_labels": n_labels}

    @routes.post("/import/labels")
    async def import_table(
        request: Request, dry_run: bool = True, kind: Literal["pos", "neg"] = "pos"
    ) -> dict[str, Any]:
        async with request.form(max_files=1, max_fields=4) as form:
            file, author = form.get("file"), author_of(request) or "import"
            if file is None or isinstance(file, str):
                raise InputError("the form has no table; send it as the part `file`")
            name, content = Path(file.filename or "labels").name, await file.read()
        summary = await run_in_threadpool(
            partial(import_labels, project, name, content, kind, dry_run=dry_run, author=author)
        )
        if not dry_run:
            project.event_stream.send("micrographs", {})
        return summary

    @routes.get("/imports")
    def imports() -> dict[str, Any]:
        return {"imports": list_batches(project.database)}

    return routes
