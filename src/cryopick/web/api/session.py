"""Routes of the session: health, login and the event stream.

- `create_session_routes`: `/api/healthz`, `/api/login`, `/api/session`, `/api/events`.
"""

import asyncio
from typing import Annotated, ClassVar

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from cryopick.web.api.access_control import Credentials
from cryopick.web.event_stream import EventStream

__all__ = ["create_session_routes"]

_WRONG_TOKEN_DELAY_S = 0.2


class LoginRequest(BaseModel):
    """The token of the printed link."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    token: Annotated[str, Field(max_length=200)]


def create_session_routes(
    event_stream: EventStream, credentials: Credentials, prefix: str
) -> APIRouter:
    """Create the routes that exchange the token for a cookie and open the event stream."""
    routes = APIRouter()

    @routes.get("/healthz")
    def health() -> dict[str, bool]:
        return {"ok": True}

    @routes.post("/login")
    async def login(request: LoginRequest, response: Response) -> dict[str, bool]:
        session = credentials.session_of(request.token)
        if session is None:
            await asyncio.sleep(_WRONG_TOKEN_DELAY_S)
            raise HTTPException(401, "this link has expired; open the link printed last")
        response.set_cookie(
            credentials.cookie,
            session,
            path=f"{prefix}/",
            httponly=True,
            samesite="strict",
        )
        return {"ok": True}

    @routes.get("/session")
    def session() -> dict[str, bool]:
        """Answer requests that are logged in; the others get status 401."""
        return {"ok": True}

    @routes.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(event_stream.listen(), media_type="text/event-stream")

    return routes
