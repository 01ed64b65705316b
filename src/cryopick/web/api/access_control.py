"""Who may ask, and how: the outermost layer of the server.

Any program on this machine can reach a loopback port, and any web page that the user visits can
send requests to it. So a request needs a known host, no foreign origin, the session's cookie or
the token, and, to change anything, a header that no foreign form can send.

- `Shell`: the layer.
- `Door`: the token, the cookie and the hosts that are known.
"""

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

__all__ = ["App", "Door", "Receive", "Scope", "Send", "Shell"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST", "PUT", "PATCH", "DELETE")
_JSON_BYTES, _FILE_BYTES = 1 << 20, 32 << 20
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


@dataclass(frozen=True)
class Door:
    """What lets a request in.

    Attributes:
        hosts: Values of the Host header that are this server's; none for a Unix socket, whose
            folder only its owner can enter.
        token: Given out once, in the link.
        cookie: Name of the session's cookie; cookies are not kept apart by port.
        session: The cookie's value.
    """

    hosts: frozenset[str]
    cookie: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def opens(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries the cookie or the token."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.opens(bearer):
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(
            found.value.encode(), self.session.encode()
        )


class Shell:
    """An ASGI application around another, which refuses what it should never see.

    Args:
        app: The application.
        door: Who may come in.
        prefix: Path before all addresses, where a proxy does not take it off.
    """

    def __init__(self, app: App, door: Door, prefix: str = "") -> None:
        self._app, self._door, self._prefix = app, door, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        named = [
            (key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]
        ]
        headers = dict(named)
        refusal = self._refusal(scope, headers, [v for k, v in named if k == "host"])
        if refusal:
            await _answer(send, *refusal)
            return
        scope = dict(scope)
        if self._prefix and scope["path"] == self._prefix:
            await _redirect(send, f"{self._prefix}/")
            return
        scope["path"] = self._own(scope["path"])
        scope["raw_path"] = scope["path"].encode()
        await self._app(scope, _limited(receive, scope["path"]), _guarded(send, scope["path"]))

    def _refusal(
        self, scope: Scope, headers: Mapping[str, str], hosts: list[str]
    ) -> tuple[int, str] | None:
        """Status and reason, unless the request may come in."""
        method, path = scope["method"], self._own(scope["path"])
        if method not in _METHODS:
            return 405, "this server knows no such method"
        if len(hosts) != 1 or (self._door.hosts and hosts[0].lower() not in self._door.hosts):
            return 421, "this server does not go by that name; open the printed link"
        if _is_foreign(method, path, headers):
            return 403, "requests from other pages are refused"
        # A proxy may put its own name of this server for the one that the browser knows.
        ours = {hosts[0].lower(), *self._door.hosts}
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() not in ours:
            return 403, "requests from other pages are refused"
        return self._unknown(method, path, headers)

    def _own(self, path: str) -> str:
        """A path without the prefix; some proxies have taken it off already."""
        return path.removeprefix(self._prefix) if path.startswith(f"{self._prefix}/") else path

    def _unknown(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> tuple[int, str] | None:
        """Refuse what only a session may ask: everything under /api/ but two addresses."""
        if not path.startswith("/api/") or path == "/api/healthz":
            return None
        is_ours = "x-cryopick" in headers or "authorization" in headers
        if method not in _READING and not is_ours:
            return 403, "the header X-Cryopick is missing"
        if path != "/api/login" and not self._door.knows(headers):
            return 401, "open the link that `cryopick label` printed"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _most_bytes(path):
            return 413, "that is too much at once"
        return None


def _is_foreign(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether another page asks: one on another port, "same-site", would come with our cookie.

    Following a link to the page is no such thing: it may have been printed in a terminal that is
    a web page itself.
    """
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    opens = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
    whole = headers.get("sec-fetch-dest", "document") == "document"
    return not (opens and whole and not path.startswith("/api/"))


def _most_bytes(path: str) -> int:
    return _FILE_BYTES if path.startswith("/api/import/") else _JSON_BYTES


def _limited(receive: Receive, path: str) -> Receive:
    """Cut off a body that grows beyond what it may be, whatever its header said."""
    seen = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > _most_bytes(path) + 4096:
            return {"type": "http.disconnect"}
        return message

    return limited


def _guarded(send: Send, path: str) -> Send:
    """Add the headers that every answer has."""

    async def guarded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = dict(_HEADERS)
            if path.startswith("/api/"):
                extra[b"cache-control"] = b"no-store"
            own = [(k, v) for k, v in message["headers"] if k.lower() not in extra]
            message = {**message, "headers": [*own, *extra.items()]}
        await send(message)

    return guarded


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *_HEADERS.items(),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, where: str) -> None:
    headers = [(b"location", where.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
