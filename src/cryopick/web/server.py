"""The complete server: routes, files of the page, and one-line errors.

- `create_application`: the ASGI application.
- `serve`: listens until it is interrupted.
"""

import json
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType, MappingProxyType
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cryopick.errors import CryopickError, NotFoundError
from cryopick.io.inputs import find_micrographs
from cryopick.web.api.access_control import AccessControl, App, Credentials
from cryopick.web.api.annotations import create_annotation_routes
from cryopick.web.api.data import (
    create_image_routes,
    create_micrograph_routes,
    create_project_routes,
)
from cryopick.web.api.gallery import create_gallery_routes
from cryopick.web.api.people import create_people_routes
from cryopick.web.api.runs import create_pick_routes, create_run_routes
from cryopick.web.api.session import create_session_routes
from cryopick.web.api.tables import create_table_routes
from cryopick.web.assets import Assets
from cryopick.web.event_stream import EventStream
from cryopick.web.idle_protocol import IdleProtocol
from cryopick.web.listener import (
    bind_unix_socket,
    bind_usual_port,
    host_names,
    open_private_file,
)
from cryopick.web.project.project import AnnotationProject
from cryopick.web.project_access import ProjectAccess, load_access

__all__ = ["create_application", "serve"]

_LOGGER = logging.getLogger(__name__)


def create_application(
    project: AnnotationProject, credentials: Credentials, prefix: str = ""
) -> App:
    """Create the server of a project.

    Args:
        project: The project.
        credentials: Token, session and hosts of requests with access.
        prefix: Path before all addresses, such as "/node/a/8000"; "" for none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        project.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(CryopickError, _answer_user_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(sqlite3.Error, _answer_write_error)
    api = APIRouter(prefix="/api")
    api.include_router(create_session_routes(project.event_stream, credentials, prefix))
    dependencies = [Depends(_require_reading)] if project.read_only else []
    for create_routes in (
        create_project_routes,
        create_micrograph_routes,
        create_image_routes,
        create_annotation_routes,
        create_run_routes,
        create_pick_routes,
        create_gallery_routes,
        create_people_routes,
        create_table_routes,
    ):
        api.include_router(create_routes(project), dependencies=dependencies)
    app.include_router(api)
    app.mount("/", Assets())
    return AccessControl(app, credentials, prefix)


def _require_reading(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise HTTPException(403, "this project is open read-only")


def _answer_user_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotFoundError) else 422)


def _answer_write_error(_: Request, error: Exception) -> Response:
    """Report a failed access, for example on a full disk; the page repeats the request."""
    return JSONResponse({"error": f"the project cannot be read or written: {error}"}, 507)


def _answer_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


def _answer_invalid_request(_: Request, error: Exception) -> Response:
    """Name the invalid field, without its value, which may not be valid JSON (NaN)."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse({"error": f"{field}: {first['msg']}"[:300]}, 422)


def serve(  # noqa: PLR0913  # one parameter for each option of the command
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    socket_file: Path | None = None,
    base_url: str = "",
    micrographs: tuple[str, ...] = (),
    lengths_ang: Mapping[str, float | None] = MappingProxyType({}),
    read_only: bool = False,
    roots: tuple[Path, ...] = (),
    ready: Callable[[str, Path | None], None] = lambda *_: None,
) -> None:
    """Serve the page of a project until interrupted.

    Args:
        folder: Folder of the project; created if it does not exist.
        host: Address to listen on.
        port: Port to listen on; 0 takes the project's last port, or a free one.
        socket_file: Unix socket to listen on instead.
        base_url: Public address of the page behind a reverse proxy.
        micrographs: Micrographs to add.
        lengths_ang: Initial `diameter_ang` and `pixel_size_ang` of the project.
        read_only: Open the project without write access.
        roots: Folders that the page may add micrographs from; empty for all folders.
        ready: Called with the link once the server listens, and the socket if there is one.

    Raises:
        InputError: The port is in use, or the project cannot be opened.
    """
    if micrographs:
        find_micrographs(micrographs)  # a missing file must not create a project
    access = ProjectAccess() if read_only else load_access(folder)
    if socket_file:
        listener = bind_unix_socket(socket_file)
    else:
        listener = bind_usual_port(host, port, access.port)
    bound_port = 0 if socket_file else int(listener.getsockname()[1])
    project = AnnotationProject.open(folder, read_only=read_only, roots=roots)
    if micrographs:
        project.micrographs.add(micrographs)
    for name, value in lengths_ang.items():
        if value is not None:
            project.database.set_meta(name, repr(value))
    doubt = project.find_pixel_size_doubt(lengths_ang.get("pixel_size_ang"))
    if doubt:
        _LOGGER.warning("%s; check it under Micrographs", doubt)
    public = urlsplit(base_url)
    prefix = public.path.rstrip("/")
    hosts = frozenset() if socket_file else host_names(host, bound_port, public.netloc)
    access = replace(access, port=bound_port or access.port)
    secrets = {name: value for name, value in asdict(access).items() if name != "port"}
    credentials = Credentials(hosts, f"cryopick_{bound_port or 'socket'}", **secrets)
    local = f"http://localhost{prefix}/" if socket_file else f"http://{host}:{bound_port}{prefix}/"
    address = f"{base_url.rstrip('/')}/" if public.netloc else local
    link = f"{address}#t={credentials.token}"
    note = None if read_only else project.folder / "server.json"
    if note:
        access.store(project.folder)
        view_link = f"{address}#t={credentials.view_token}"
        with open_private_file(note) as file:
            file.write(json.dumps({"pid": os.getpid(), "link": link, "view_link": view_link}))
    # uvicorn sends itself the signal again after it has stopped; the default handler would end
    # this process before the cleanup below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ready(link, socket_file)
    try:
        _listen(create_application(project, credentials, prefix), project.event_stream, listener)
    finally:
        for path in (note, socket_file):
            if path:
                path.unlink(missing_ok=True)


def _listen(app: App, event_stream: EventStream, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http=IdleProtocol,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        ws="none",
        server_header=False,
    )
    _Server(config, event_stream).run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that ends the event streams before it waits for open responses."""

    def __init__(self, config: uvicorn.Config, event_stream: EventStream) -> None:
        super().__init__(config)
        self._event_stream = event_stream

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._event_stream.close()
        super().handle_exit(sig, frame)
