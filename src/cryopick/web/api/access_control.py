"""Access control: the outermost layer of the server.

Any program on this machine can reach a loopback port, and any web page that the user visits can
send requests to it. A request therefore needs a known host, no foreign origin, the session cookie
or the token, and, to change anything, a header that a form of another page cannot send.

- `AccessControl`: the ASGI middleware.
- `Credentials`: the tokens, the session cookies and the accepted hosts.
- `VIEW_ONLY`: key of a request's scope.
"""

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

__all__ = ["VIEW_ONLY", "AccessControl", "App", "Credentials", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

VIEW_ONLY = "cryopick.view_only"  # in the scope of a request: its link does not allow changes

_SAFE_METHODS = ("GET", "HEAD")
_METHODS = (*_SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
_MAX_JSON_BYTES, _MAX_FILE_BYTES = 1 << 20, 32 << 20
_MAX_DRAINED_BYTES = 1 << 30  # of a body that is too large, so that the browser reads the response
_TOO_LARGE = "the request is too large; send files of at most 32 MiB"
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
        view_token: Part of the link that does not allow changes.
        view_session: Value of the cookie of its sessions.
    """

    hosts: frozenset[str]
    cookie: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    view_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    view_session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def session_of(self, token: str) -> str | None:
        """Return the session that a token gives, or None for another text, in constant time."""
        is_token = hmac.compare_digest(token.encode(), self.token.encode())
        is_view_token = hmac.compare_digest(token.encode(), self.view_token.encode())
        return self.session if is_token else self.view_session if is_view_token else None

    def find_access(self, headers: Mapping[str, str]) -> str | None:
        """Return the access of a request: "edit", "view", or None without cookie and token."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        session = self.session_of(bearer) if scheme.lower() == "bearer" else None
        session = session or self._read_cookie(headers)
        if hmac.compare_digest(session.encode(), self.session.encode()):
            return "edit"
        return "view" if hmac.compare_digest(session.encode(), self.view_session.encode()) else None

    def _read_cookie(self, headers: Mapping[str, str]) -> str:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return ""
        return cookie.value if cookie is not None else ""


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
            if rejection[0] == 413:
                await _drain(receive)
            await _send_error(send, *rejection)
            return
        access = self._credentials.find_access(headers)
        scope = {**scope, VIEW_ONLY: access == "view"}
        if self._prefix and scope["path"] == self._prefix:
            await _send_redirect(send, f"{self._prefix}/")
            return
        scope["path"] = self._remove_prefix(scope["path"])
        scope["raw_path"] = scope["path"].encode()
        body = _LimitedBody(receive, _max_body_bytes(scope["path"]))
        responses = _add_headers(send, scope["path"])
        try:
            await self._app(scope, body.receive, body.guard(responses))
        except _TooLargeError:
            await body.reject(responses)

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
        access = self._credentials.find_access(headers)
        if path != "/api/login" and access is None:
            return 401, "open the link that `cryopick label` printed"
        if path != "/api/login" and access == "view" and method not in _SAFE_METHODS:
            return 403, "this link does not allow changes"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _max_body_bytes(path):
            return 413, _TOO_LARGE
        return None


async def _drain(receive: Receive) -> None:
    """Read and discard a body; a browser that is still sending does not read a response."""
    size_bytes = 0
    while size_bytes < _MAX_DRAINED_BYTES:
        message = await receive()
        size_bytes += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


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


class _TooLargeError(Exception):
    """The body of a request exceeds the limit."""


class _LimitedBody:
    """The body of a request, whatever length its header states.

    The application may handle the exception that ends a long body as its own error; its response
    is then replaced by status 413.
    """

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive, self._max_bytes = receive, max_bytes
        self._size_bytes, self._is_answered = 0, False

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > self._max_bytes + 4096:
            raise _TooLargeError
        return message

    def guard(self, send: Send) -> Send:
        async def send_unless_rejected(message: MutableMapping[str, Any]) -> None:
            if self._size_bytes > self._max_bytes + 4096:
                await self.reject(send)
            else:
                await send(message)

        return send_unless_rejected

    async def reject(self, send: Send) -> None:
        """Send status 413 once."""
        if not self._is_answered:
            self._is_answered = True
            await _send_error(send, 413, _TOO_LARGE)


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
