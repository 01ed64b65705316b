"""Routes of tables of particles: import of several files, export, download.

- `create_table_routes`: `/api/import/tables`, `/api/exports`, `/api/exports/download`.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from cryopick.web.api.annotations import author_of
from cryopick.web.project.export_download import pack_export
from cryopick.web.project.exports import ExportRequest, export_particles
from cryopick.web.project.project import AnnotationProject
from cryopick.web.project.table_import import TableImport, import_tables

__all__ = ["create_table_routes"]

_MAX_FILES = 5000


def create_table_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes that import and export tables of particles."""
    routes = APIRouter()

    @routes.post("/import/tables")
    async def import_files(
        request: Request, plan: Annotated[TableImport, Query()]
    ) -> dict[str, Any]:
        async with request.form(max_files=_MAX_FILES, max_fields=4) as form:
            files = [file for file in form.getlist("file") if not isinstance(file, str)]
            uploads = [(Path(file.filename or "table").name, await file.read()) for file in files]
        author = author_of(request) or "import"
        summary = await run_in_threadpool(partial(import_tables, project, uploads, plan, author))
        if not plan.dry_run:
            project.event_stream.send("micrographs", {})
        return summary

    @routes.post("/exports")
    def export(request: ExportRequest) -> dict[str, Any]:
        return export_particles(project, request)

    @routes.get("/exports/download")
    def download(name: Annotated[str, Query(max_length=200)]) -> Response:
        packed = pack_export(project.folder / "exports", name)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{packed.quoted_name}"}
        return Response(packed.content, media_type=packed.media_type, headers=headers)

    return routes
