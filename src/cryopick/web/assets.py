"""The files of the page, served compressed from memory and cached by the browser.

Scripts are served without their comments, half of which are types for the type checker, and without
indentation; lines keep their numbers, so that errors of the browser refer to the files.

- `Assets`: an ASGI application.
- `strip_script`: a script without comments and indentation.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from cryopick.web.api.access_control import Receive, Scope, Send

__all__ = ["Assets", "strip_script"]

# The type table of the machine may be wrong about .js; no browser would run the scripts then.
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_TYPES |= {".svg": "image/svg+xml"}
_PAGE_SUFFIXES = (".html", ".js", ".css", ".svg")
_TYPE_COMMENT = re.compile(r"/\*\*.*?\*/", re.DOTALL)
_LINE_COMMENT = re.compile(r"^[ \t]*//.*$", re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)


@dataclass(frozen=True)
class _File:
    content_type: bytes
    content: bytes
    compressed: bytes
    etag: bytes

    @classmethod
    def read(cls, file: Traversable, *, is_own: bool) -> "_File":
        content = file.read_bytes()
        if is_own and file.name.endswith(".js"):
            content = strip_script(content.decode()).encode()
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


def strip_script(script: str) -> str:
    r"""Remove documentation comments, lines that are comments, and indentation.

    Line numbers stay the same. Indentation within strings is removed too; HTML ignores it.

    >>> strip_script("/** @type {string}\n */\nlet a; // kept\n  // removed\n  let b;\n")
    '\n\nlet a; // kept\n\nlet b;\n'
    """
    without_types = _TYPE_COMMENT.sub(lambda match: "\n" * match[0].count("\n"), script)
    return _INDENTATION.sub("", _LINE_COMMENT.sub("", without_types))


class Assets:
    """The files in `static/` by their relative paths; "/" is index.html."""

    def __init__(self) -> None:
        by_path = _read_folder(files("cryopick") / "web" / "static")
        self._files = {**by_path, "/": by_path["/index.html"]}

    def sizes(self) -> tuple[int, int]:
        """Return the sizes of the page in bytes: as they are, and compressed."""
        page = [file for path, file in self._files.items() if path.endswith((*_PAGE_SUFFIXES,))]
        return sum(len(file.content) for file in page), sum(len(file.compressed) for file in page)

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
            is_own = not parent.startswith("/vendor/")
            by_path[f"{parent}{entry.name}"] = _File.read(entry, is_own=is_own)
    return by_path
