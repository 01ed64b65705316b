"""The whole server: addresses, the page's files, errors in one line, and listening.

- `application`: all of it as an ASGI application.
- `serve`: listen until told to stop.
"""

import errno
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Annotated, ClassVar, TextIO
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from cryopick.errors import CryopickError, InputError
from cryopick.io.inputs import micrograph_paths
from cryopick.web.api.access_control import App, Door, Shell
from cryopick.web.api.annotations import marks_routes
from cryopick.web.api.data import data_routes
from cryopick.web.api.events import News
from cryopick.web.api.runs import runs_routes
from cryopick.web.assets import Assets
from cryopick.web.project.project import Desk

__all__ = ["application", "serve"]

_WRONG_TOKEN_S = 0.2


class Login(BaseModel):
    """The token of the printed link."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    token: Annotated[str, Field(max_length=200)]


def application(desk: Desk, door: Door, prefix: str = "") -> App:
    """The server of a project.

    Args:
        desk: The project.
        door: Who may ask.
        prefix: Path before all addresses, such as "/node/a/8000"; "" for none.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(CryopickError, _told)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(sqlite3.OperationalError, _not_stored)
    api = APIRouter(prefix="/api")
    api.include_router(_session_routes(desk, door, prefix))
    allowed = [Depends(_reading)] if desk.read_only else []
    for routes in (data_routes, marks_routes, runs_routes):
        api.include_router(routes(desk), dependencies=allowed)
    app.include_router(api)
    app.mount("/", Assets())
    return Shell(app, door, prefix)


def _session_routes(desk: Desk, door: Door, prefix: str) -> APIRouter:
    """Coming in, and the stream of news."""
    routes = APIRouter()

    @routes.get("/healthz")
    def health() -> dict[str, bool]:
        return {"ok": True}

    @routes.post("/login")
    async def login(said: Login, response: Response) -> dict[str, bool]:
        if not door.opens(said.token):
            import asyncio

            await asyncio.sleep(_WRONG_TOKEN_S)
            raise HTTPException(401, "this link is no longer good; open the one printed last")
        response.set_cookie(
            door.cookie, door.session, path=f"{prefix}/", httponly=True, samesite="strict"
        )
        return {"ok": True}

    @routes.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(desk.news.listen(), media_type="text/event-stream")

    return routes


def _reading(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise HTTPException(403, "this project is open for looking only")


def _told(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404 if "there is no such" in str(error) else 422)


def _not_stored(_: Request, error: Exception) -> Response:
    """A full disk, for one: nothing was changed, and the page goes on trying."""
    return JSONResponse({"error": f"the project cannot be written: {error}"}, 507)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


def _not_understood(_: Request, error: Exception) -> Response:
    """Say which part is wrong, but not what it held: NaN, for one, cannot be sent back."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse({"error": f"{place}: {first['msg']}"[:300]}, 422)


def serve(  # noqa: PLR0913  # as the command has options
    project: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    socket_file: Path | None = None,
    base_url: str = "",
    bring: tuple[str, ...] = (),
    known_ang: Mapping[str, float | None] = MappingProxyType({}),
    read_only: bool = False,
    roots: tuple[Path, ...] = (),
    ready: Callable[[str, Path | None], None] = lambda *_: None,
) -> None:
    """Serve a project's page until interrupted.

    Args:
        project: The project's folder; made if it is missing.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        socket_file: Unix socket to listen at instead.
        base_url: Address at which a proxy in front shows the page.
        bring: Micrographs to add.
        known_ang: What is known of the project, as `diameter_ang` and `pixel_size_ang`.
        read_only: Only show the project, as where it cannot be written.
        roots: The page brings micrographs from these folders alone; none for all.
        ready: Called with the link once it listens, and the socket if there is one.

    Raises:
        InputError: The port is taken, or the project cannot be opened.
    """
    if bring:
        micrograph_paths(bring)  # a mistake there begins no project
    listener = _bound_socket(socket_file) if socket_file else _bound(host, port)
    own_port = 0 if socket_file else int(listener.getsockname()[1])
    desk = Desk.open(project, read_only=read_only, roots=roots)
    if bring:
        desk.micrographs.add(bring)
    for name, value in known_ang.items():
        if value is not None:
            desk.store.set_meta(name, repr(value))
    outside = urlsplit(base_url)
    prefix = outside.path.rstrip("/")
    hosts = frozenset() if socket_file else _names(host, own_port, outside.netloc)
    door = Door(hosts, f"cryopick_{own_port or 'socket'}")
    here = f"http://localhost{prefix}/" if socket_file else f"http://{host}:{own_port}{prefix}/"
    link = f"{base_url.rstrip('/')}/" if outside.netloc else here
    note = None if read_only else desk.folder / "server.json"
    if note:
        with _private(note) as file:
            file.write(json.dumps({"pid": os.getpid(), "link": f"{link}#t={door.token}"}))
    # uvicorn sends itself the signal again when it has ended: by default that would be the end of
    # us before anything is tidied up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ready(f"{link}#t={door.token}", socket_file)
    try:
        _listen(application(desk, door, prefix), desk.news, listener)
    finally:
        for left in (note, socket_file):
            if left:
                left.unlink(missing_ok=True)


def _listen(app: App, news: News, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        ws="none",
        server_header=False,
    )
    _Server(config, news).run(sockets=[listener])


def _names(host: str, port: int, outside: str) -> frozenset[str]:
    """What the Host header of a request for us may say."""
    known = {"127.0.0.1", "localhost", "[::1]"}
    if host not in known:  # others come by this machine's own name
        known |= {host, socket.gethostname(), socket.getfqdn()}
    return frozenset({f"{name}:{port}".lower() for name in known} | {outside.lower()} - {""})


class _Server(uvicorn.Server):
    """Ends the streams of news first: it waits for every answer to be complete."""

    def __init__(self, config: uvicorn.Config, news: News) -> None:
        super().__init__(config)
        self._news = news

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._news.close()
        super().handle_exit(sig, frame)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only on sockets that say they are TCP; on others every answer would wait
    # 40 ms for the acknowledgement of its headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise InputError(f"{host}:{port} {why}; choose another with --port") from error
    listener.listen(128)
    return listener


def _bound_socket(file: Path) -> socket.socket:
    """A socket that its owner alone can reach: uvicorn would open its own to everybody."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.parent.stat().st_mode & 0o077:
        raise InputError(f"{file.parent}: others can enter it; choose a folder of your own (0700)")
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(file))
    except OSError as error:
        raise InputError(
            f"{file}: cannot be used: {error.strerror}; remove it or choose another"
        ) from error
    file.chmod(0o600)
    listener.listen(128)
    return listener


def _private(file: Path) -> TextIO:
    """A new file that its owner alone can read."""
    try:
        file.unlink(missing_ok=True)
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
