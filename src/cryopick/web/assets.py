"""The files of the page, served compressed from memory and cached by the browser.

- `Assets`: an ASGI application.
"""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from cryopick.web.api.access_control import Receive, Scope, Send

__all__ = ["Assets"]

# The type table of the machine may be wrong about .js; no browser would run the scripts then.
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_TYPES |= {".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    content_type: bytes
    content: bytes
    compressed: bytes
    etag: bytes

    @classmethod
    def read(cls, file: Traversable) -> "_File":
        content = file.read_bytes()
        content_type = _TYPES.get(f".{file.name.rpartition('.')[2]}", "text/plain")
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        compressed = gzip.compress(content, mtime=0)
        return cls(f"{content_type}; charset=utf-8".encode(), content, compressed, etag.encode())

    def respond(self, request_headers: dict[bytes, bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
        """Return status, headers and body of the response."""
        headers = {b"etag": self.etag, b"cache-control": b"no-cache", b"vary": b"accept-encoding"}
        if request_headers.get(b"if-none-match") == self.etag:
            return 304, headers, b""
        headers[b"content-type"] = self.content_type
        if b"gzip" not in request_headers.get(b"accept-encoding", b""):
            return 200, headers, self.content
        return 200, {**headers, b"content-encoding": b"gzip"}, self.compressed


class Assets:
    """The files in `static/` by their relative paths; "/" is index.html."""

    def __init__(self) -> None:
        by_path = _read_folder(files("cryopick") / "web" / "static")
        self._files = {**by_path, "/": by_path["/index.html"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request for a file."""
        del receive  # requests have no body
        file, method = self._files.get(scope["path"]), scope["method"]
        if file is None or method not in ("GET", "HEAD"):
            headers: dict[bytes, bytes] = {}
            status, body = (404 if file is None else 405), b""
        else:
            status, headers, body = file.respond(dict(scope["headers"]))
        if status != 304:  # a 304 response has no body, but would announce one
            headers[b"content-length"] = str(len(body)).encode()
        await send({"type": "http.response.start", "status": status, "headers": [*headers.items()]})
        await send({"type": "http.response.body", "body": body if method == "GET" else b""})


def _read_folder(folder: Traversable, parent: str = "/") -> dict[str, _File]:
    by_path: dict[str, _File] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            by_path |= _read_folder(entry, f"{parent}{entry.name}/")
        else:
            by_path[f"{parent}{entry.name}"] = _File.read(entry)
    return by_path
