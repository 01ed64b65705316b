"""Pick micrographs as they become complete, until told to stop.

- `Station`: the loop, with a table for each micrograph and a ledger of what is done.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryopick.errors import CryopickError, SettingsError
from cryopick.io import stem_of, whole, write_picks_per_micrograph
from cryopick.pick.batch import PickBatch
from cryopick.scale.watch import Watcher

__all__ = ["Station"]


class Station:
    """Picks what a watcher gives out.

    The ledger lies in a hidden folder beside the tables: one small file for each micrograph that
    is done, named by its path, size and time and by the settings. Such files need no locks, which
    network file systems do not keep.

    Args:
        watcher: Finds complete micrographs.
        work: The model at work.
        out: Folder for the tables.
        table_format: Format of the tables.
        box_px: Side of the boxes, for formats that have them.
    """

    def __init__(
        self,
        watcher: Watcher,
        work: PickBatch,
        out: Path,
        *,
        table_format: str,
        box_px: int | None = None,
    ) -> None:
        self._watcher, self._work, self._out = watcher, work, out
        self._format, self._box_px = table_format, box_px
        self._parts = work.parts(out, f"watch {table_format}")
        self._owners: dict[str, Path] = {}
        self._stop = threading.Event()
        self.picked: int = 0
        self.failed: int = 0

    def run(
        self, *, every_s: float, until_idle_s: float | None, tell: Callable[[str], None]
    ) -> tuple[int, int]:
        """Go on until SIGINT, SIGTERM, or nothing has come for a while.

        Args:
            every_s: Seconds between looks.
            until_idle_s: End when nothing has come for so long; None never does.
            tell: Takes a line on each micrograph.

        Returns:
            How many were picked, and how many were given up.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        self._parts.begin([], overwrite=True)
        last = time.monotonic()
        with self._stoppable():
            while not self._stop.is_set():
                ready = self._watcher.complete()
                for path in ready:
                    self._one(path, tell)
                    last = time.monotonic()
                    if self._stop.is_set():
                        break
                self._status()
                idle = time.monotonic() - last
                if until_idle_s is not None and not ready and idle >= until_idle_s:
                    break
                self._stop.wait(every_s)
        self._status(ended=True)
        return self.picked, self.failed

    def _one(self, path: Path, tell: Callable[[str], None]) -> None:
        try:
            owner = self._owners.setdefault(stem_of(path.name), path)
            if owner != path:
                raise SettingsError(f"{path}: its table would replace that of {owner}; rename it")
            picks = self._work.pick(path, self._parts)
            write_picks_per_micrograph(
                picks, self._out, format=self._format, overwrite=True, box_px=self._box_px
            )
        except CryopickError as error:
            self._watcher.failed(path)
            if self._watcher.given_up(path):
                self.failed += 1
                tell(f"given up, until it changes: {error}")
        else:
            self._watcher.done(path)
            self.picked += 1
            tell(f"{path}: {len(picks)} particles; {self._watcher.waiting} waiting")

    def _status(self, *, ended: bool = False) -> None:
        told = {
            "picked": self.picked,
            "failed": self.failed,
            "waiting": self._watcher.waiting,
            "running": not ended,
        }
        with whole(self._out / "status.json", overwrite=True) as temporary:
            temporary.write_text(json.dumps(told), encoding="utf-8")

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """The micrograph at hand is finished before a signal ends the loop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, lambda *_: self._stop.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
