"""Access control: the outermost layer of the server.

Any program on this machine can reach a loopback port, and any web page that the user visits can
send requests to it. A request therefore needs a known host, no foreign origin, the session cookie
or the token, and, to change anything, a header that a form of another page cannot send.

- `AccessControl`: the ASGI middleware.
- `Credentials`: the token, the session cookie and the accepted hosts.
"""

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

__all__ = ["AccessControl", "App", "Credentials", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SAFE_METHODS = ("GET", "HEAD")
_METHODS = (*_SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
_MAX_JSON_BYTES, _MAX_FILE_BYTES = 1 << 20, 32 << 20
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
class Credentials:
    """Token, session and hosts that a request is checked against.

    Attributes:
        hosts: Accepted values of the Host header; empty for a Unix socket, whose folder only its
            owner can enter.
        cookie: Name of the session cookie. Browsers share cookies between ports, so the name
            contains the port.
        token: Part of the printed link.
        session: Value of the session cookie.
    """

    hosts: frozenset[str]
    cookie: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def is_token(self, text: str) -> bool:
        """Compare a text with the token in constant time."""
        return hmac.compare_digest(text.encode(), self.token.encode())

    def is_authenticated(self, headers: Mapping[str, str]) -> bool:
        """Check that a request carries the session cookie or the token."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(bearer):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(
            cookie.value.encode(), self.session.encode()
        )


class AccessControl:
    """An ASGI middleware that rejects requests without access to the application.

    Args:
        app: The application.
        credentials: Token, session and hosts.
        prefix: Path before all addresses, if a proxy does not remove it.
    """

    def __init__(self, app: App, credentials: Credentials, prefix: str = "") -> None:
        self._app, self._credentials, self._prefix = app, credentials, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, or reject it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        header_list = [
            (key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]
        ]
        headers = dict(header_list)
        hosts = [value for key, value in header_list if key == "host"]
        rejection = self._check_request(scope, headers, hosts)
        if rejection:
            await _send_error(send, *rejection)
            return
        scope = dict(scope)
        if self._prefix and scope["path"] == self._prefix:
            await _send_redirect(send, f"{self._prefix}/")
            return
        scope["path"] = self._remove_prefix(scope["path"])
        scope["raw_path"] = scope["path"].encode()
        await self._app(
            scope, _limit_body(receive, scope["path"]), _add_headers(send, scope["path"])
        )

    def _check_request(
        self, scope: Scope, headers: Mapping[str, str], hosts: list[str]
    ) -> tuple[int, str] | None:
        """Return the status and reason of a rejection; None if the request is accepted."""
        method, path = scope["method"], self._remove_prefix(scope["path"])
        accepted_hosts = self._credentials.hosts
        if method not in _METHODS:
            return 405, "this method is not supported"
        if len(hosts) != 1 or (accepted_hosts and hosts[0].lower() not in accepted_hosts):
            return 421, "unknown host name; open the printed link"
        if _is_from_other_page(method, path, headers):
            return 403, "requests from other pages are rejected"
        # A proxy may replace the host name that the browser uses by another name of this server.
        same_origins = {hosts[0].lower(), *accepted_hosts}
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() not in same_origins:
            return 403, "requests from other pages are rejected"
        return self._check_session(method, path, headers)

    def _remove_prefix(self, path: str) -> str:
        """Remove the prefix of a path, unless a proxy has removed it already."""
        return path.removeprefix(self._prefix) if path.startswith(f"{self._prefix}/") else path

    def _check_session(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> tuple[int, str] | None:
        """Reject API requests without a session; two addresses of the API need none."""
        if not path.startswith("/api/") or path == "/api/healthz":
            return None
        is_from_page = "x-cryopick" in headers or "authorization" in headers
        if method not in _SAFE_METHODS and not is_from_page:
            return 403, "the header X-Cryopick is missing"
        if path != "/api/login" and not self._credentials.is_authenticated(headers):
            return 401, "open the link that `cryopick label` printed"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _max_body_bytes(path):
            return 413, "the request is too large"
        return None


def _is_from_other_page(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Check for requests of another page; one on another port ("same-site") has our cookie.

    Following a link to the page is allowed: a terminal that shows the link may itself be a web
    page.
    """
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    is_navigation = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
    is_document = headers.get("sec-fetch-dest", "document") == "document"
    return not (is_navigation and is_document and not path.startswith("/api/"))


def _max_body_bytes(path: str) -> int:
    return _MAX_FILE_BYTES if path.startswith("/api/import/") else _MAX_JSON_BYTES


def _limit_body(receive: Receive, path: str) -> Receive:
    """Stop receiving a body that exceeds the limit, whatever its header states."""
    size_bytes = 0

    async def receive_limited() -> MutableMapping[str, Any]:
        nonlocal size_bytes
        message = await receive()
        size_bytes += len(message.get("body", b""))
        if size_bytes > _max_body_bytes(path) + 4096:
            return {"type": "http.disconnect"}
        return message

    return receive_limited


def _add_headers(send: Send, path: str) -> Send:
    """Add the security headers to every response."""

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = dict(_HEADERS)
            if path.startswith("/api/"):
                extra[b"cache-control"] = b"no-store"
            others = [(k, v) for k, v in message["headers"] if k.lower() not in extra]
            message = {**message, "headers": [*others, *extra.items()]}
        await send(message)

    return send_with_headers


async def _send_error(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *_HEADERS.items(),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_redirect(send: Send, location: str) -> None:
    headers = [(b"location", location.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
