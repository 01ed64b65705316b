"""Progress of a workflow as a file of JSON lines, for front ends in other processes.

Every line is one event: an object with `event` (its name), `time` (seconds since the epoch) and
the fields of the event. The names and fields are those of the classes in
`cryopick.workflows.events`. Writing such a file never stops a workflow: errors of the disk are
ignored.

- `ProgressFile`: writes events to a file.
- `read_progress`: reads them.
"""

import json
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from cryopick.workflows.events import Event, Progress

__all__ = ["PROGRESS_FILE", "ProgressFile", "read_progress"]

PROGRESS_FILE = "progress.jsonl"
_INTERVAL_S = 1.0  # between progress events of one stage


class ProgressFile:
    """A receiver that appends events to a file of JSON lines.

    Events received before `open` are written once the file is open, so that a workflow may start
    before its folder exists. Use it as a context manager, which closes the file.
    """

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._file: IO[str] | None = None
        self._stage, self._last_s = "", 0.0

    def open(self, path: Path, *, append: bool = False) -> None:
        """Open the file, and write the events received so far.

        Args:
            path: The file, in a folder that exists.
            append: Keep the lines of an earlier run.
        """
        with suppress(OSError):
            self._file = path.open(
                "a" if append else "w", encoding="utf-8", errors="backslashreplace"
            )
        pending, self._pending = self._pending, []
        for line in pending:
            self._write(line)

    def emit(self, event: Event, /) -> None:
        """Write the event; of progress, at most one event per second and the last one."""
        if isinstance(event, Progress) and not self._is_due(event):
            return
        record = {"event": event.name, "time": round(time.time(), 3), **event.as_json()}
        self._write(json.dumps(record, ensure_ascii=False))

    def __enter__(self) -> "ProgressFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _is_due(self, event: Progress) -> bool:
        is_new = event.stage != self._stage or event.done == 0
        if is_new or event.done >= event.total or event.elapsed_s - self._last_s >= _INTERVAL_S:
            self._stage, self._last_s = event.stage, event.elapsed_s
            return True
        return False

    def _write(self, line: str) -> None:
        if self._file is None:
            self._pending.append(line)
            return
        with suppress(OSError):
            self._file.write(f"{line}\n")
            self._file.flush()


def read_progress(path: Path) -> list[dict[str, Any]]:
    """Read the events of a progress file, in order.

    A line that is still being written and lines that are damaged are skipped.

    Returns:
        One object per event; empty if the file does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    events = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict) and "event" in record:
                events.append(record)
    return events
