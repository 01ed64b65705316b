"""The page's own files, served from memory: packed once, and asked for again only when changed.

- `Assets`: the files as an ASGI application.
"""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from cryopick.web.api.access_control import Receive, Scope, Send

__all__ = ["Assets"]

# By our own table: what the machine's says of .js may be wrong, and no browser would run it then.
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_KINDS |= {".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    kind: bytes
    plain: bytes
    packed: bytes
    tag: bytes

    @classmethod
    def read(cls, file: Traversable) -> "_File":
        plain = file.read_bytes()
        kind = _KINDS.get(f".{file.name.rpartition('.')[2]}", "text/plain")
        tag = f'"{hashlib.sha256(plain).hexdigest()[:20]}"'
        packed = gzip.compress(plain, mtime=0)
        return cls(f"{kind}; charset=utf-8".encode(), plain, packed, tag.encode())

    def answer(self, asked: dict[bytes, bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body for a request with these headers."""
        headers = {b"etag": self.tag, b"cache-control": b"no-cache", b"vary": b"accept-encoding"}
        if asked.get(b"if-none-match") == self.tag:
            return 304, headers, b""
        headers[b"content-type"] = self.kind
        if b"gzip" not in asked.get(b"accept-encoding", b""):
            return 200, headers, self.plain
        return 200, {**headers, b"content-encoding": b"gzip"}, self.packed


class Assets:
    """What lies in `static/`, under the addresses that the folders make; "/" is index.html."""

    def __init__(self) -> None:
        found = _read(files("cryopick") / "web" / "static")
        self._files = {**found, "/": found["/index.html"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a file."""
        del receive  # no body is looked at
        file, method = self._files.get(scope["path"]), scope["method"]
        if file is None or method not in ("GET", "HEAD"):
            headers: dict[bytes, bytes] = {}
            status, body = (404 if file is None else 405), b""
        else:
            status, headers, body = file.answer(dict(scope["headers"]))
        if status != 304:  # it has no body, but speaks of one
            headers[b"content-length"] = str(len(body)).encode()
        named = [*headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": body if method == "GET" else b""})


def _read(folder: Traversable, under: str = "/") -> dict[str, _File]:
    found: dict[str, _File] = {}
    for one in folder.iterdir():
        if one.is_dir():
            found |= _read(one, f"{under}{one.name}/")
        else:
            found[f"{under}{one.name}"] = _File.read(one)
    return found
