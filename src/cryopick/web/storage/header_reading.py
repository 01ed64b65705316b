"""Read the headers of micrographs after they were added, without delaying the page.

Compressed micrographs must be decompressed to learn their size. A project with hundreds of them
opens at once; their sizes are read in the background, and that of a micrograph that a person opens
is read first.

- `HeaderReader`: reads the headers of a project in a thread.
- `read_micrograph_header`: size and pixel size of a file.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError
from cryopick.io.images.micrograph import describe_micrograph
from cryopick.web.storage.database import ProjectDatabase

__all__ = ["HeaderReader", "read_micrograph_header"]

_UNREAD = "width_px IS NULL AND problem IS NULL"
_SAVE_EVERY_S = 1.0

Header = tuple[int | None, int | None, float | None, str | None]


class HeaderReader:
    """Reads the headers that are unread; safe to use from several threads.

    Args:
        database: Database of the project.
        on_progress: Called after some headers were stored.
        enabled: The database can be written.
    """

    def __init__(
        self, database: ProjectDatabase, on_progress: Callable[[], None], *, enabled: bool
    ) -> None:
        self._database, self._on_progress, self._is_writable = database, on_progress, enabled
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def count_unread(self) -> int:
        """Count the micrographs whose header is unread."""
        return self._database.number(f"SELECT count(*) FROM micrograph WHERE {_UNREAD}")

    def start(self) -> None:
        """Read the remaining headers in the background."""
        with self._lock:
            is_running = self._thread is not None and self._thread.is_alive()
            if is_running or not self._is_writable or self._closing.is_set():
                return
            self._thread = threading.Thread(target=self._run, name="headers", daemon=True)
            self._thread.start()

    def read_for(self, duration_s: float) -> None:
        """Read headers for a time, at least one."""
        deadline = time.monotonic() + duration_s
        while self.read_next(1) and time.monotonic() < deadline:
            pass

    def read_one(self, mid: int, path: Path) -> dict[str, Any]:
        """Read the header of one unread micrograph now, and return its columns."""
        header = read_micrograph_header(path)
        if self._is_writable:
            self._store([(*header, mid)])
        columns = ("width_px", "height_px", "pixel_size_ang", "problem")
        return dict(zip(columns, header, strict=True))

    def read_next(self, count: int) -> int:
        """Read some unread headers, and return their number."""
        query = f"SELECT id, path FROM micrograph WHERE {_UNREAD} ORDER BY id LIMIT ?"
        return self._read(self._database.rows(query, count))

    def finish(self) -> None:
        """Read all remaining headers now."""
        while self.read_next(20):
            pass

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        saved = time.monotonic()
        while not self._closing.is_set() and self.read_next(1):
            if time.monotonic() - saved > _SAVE_EVERY_S:
                saved = time.monotonic()
                self._on_progress()
        self._on_progress()

    def _read(self, rows: list[dict[str, Any]]) -> int:
        self._store([(*read_micrograph_header(Path(row["path"])), row["id"]) for row in rows])
        return len(rows)

    def _store(self, headers: list[tuple[Any, ...]]) -> None:
        if headers:
            with self._database.write() as db:
                db.executemany(
                    "UPDATE micrograph SET width_px = ?, height_px = ?,"
                    " pixel_size_ang = coalesce(listed_pixel_size_ang, ?), problem = ?"
                    f" WHERE {_UNREAD} AND id = ?",
                    headers,
                )


def read_micrograph_header(path: Path) -> Header:
    """Read width, height, pixel size and problem, if any, from the header of a micrograph."""
    try:
        info = describe_micrograph(path, with_pixels=False)
    except CryopickError as error:
        return None, None, None, str(error).removeprefix(f"{path}: ")
    if not info.usable or len(info.shape) != 2:
        last = info.findings[-1] if info.findings else "is not a micrograph"
        return None, None, None, last.removeprefix(f"{path}: ")
    height, width = info.shape
    return width, height, info.pixel_size_ang, None
