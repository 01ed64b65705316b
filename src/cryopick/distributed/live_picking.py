"""Pick micrographs as they become complete, until told to stop.

- `Station`: the loop, with a table for each micrograph and a ledger of what is done.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cryopick.distributed.status import WatchStatus, write_status
from cryopick.distributed.watch_folder import Watcher
from cryopick.errors import BusyError, CryopickError, SettingsError
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.pick_tables import (
    per_micrograph_path,
    write_coordinate_list,
    write_picks_per_micrograph,
)
from cryopick.pick.batch import PickBatch

__all__ = ["Station"]

# What a single micrograph may cause, torch's complaints and a lack of memory among it: none of it
# may end a session at the microscope.
_OF_ONE_FILE = (CryopickError, ValueError, RuntimeError, MemoryError)


class Station:
    """Picks what a watcher gives out.

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
        self._parts = work.open_ledger(out, f"watch {table_format} {box_px}")
        self._owners: dict[str, Path] = {}
        self._tables: dict[Path, Path] = {}
        self._counts: dict[Path, int] = {}  # of particles
        self._new: set[Path] = set()
        self._told: dict[Path, str] = {}
        self._stop = threading.Event()
        self.status: WatchStatus = WatchStatus()

    def run(
        self, *, every_s: float, until_idle_s: float | None, tell: Callable[[str], None]
    ) -> WatchStatus:
        """Go on until SIGINT, SIGTERM, or nothing has come for a while.

        Args:
            every_s: Seconds between looks.
            until_idle_s: End when nothing has come for so long; None never does.
            tell: Takes a line on each micrograph.

        Returns:
            What has been done.

        Raises:
            BusyError: Another process watches for the same folder.
        """
        with self._stoppable(), self._parts.start([], overwrite=True):
            self._out.mkdir(parents=True, exist_ok=True)
            last = time.monotonic()
            while not self._stop.is_set():
                ready = self._watcher.complete()
                is_idle = not ready and not self._watcher.changed  # one may be growing slowly
                for path in ready:
                    self._one(path, tell)
                    if self._stop.is_set():
                        break
                self._tell_status(tell)
                if not is_idle:
                    last = time.monotonic()
                elif until_idle_s is not None and time.monotonic() - last >= until_idle_s:
                    break
                self._stop.wait(every_s)
            self._tell_status(tell, running=False)
        return self.status

    def _one(self, path: Path, tell: Callable[[str], None]) -> None:
        """Pick a micrograph and write its table, unless both is done."""
        try:
            table = self._table(path)
            was_done = self._work.has_picks(path, self._parts)
            picks = self._work.pick(path, self._parts)
            if not (was_done and table.exists()):
                write_picks_per_micrograph(
                    picks, self._out, format=self._format, overwrite=True, box_px=self._box_px
                )
                tell(f"{path}: {len(picks)} particles; {self._watcher.waiting - 1} waiting")
        except BusyError:
            raise
        except OSError as error:
            # The disk is full or away, which is no fault of the micrograph: it stays in line.
            if self._told.get(path) != str(error):
                tell(f"{path}: {error.strerror or error}; it is tried again until that ends")
            self._told[path] = str(error)
        except _OF_ONE_FILE as error:
            self._watcher.failed(path)
            if self._watcher.given_up(path):
                why = " ".join(str(error).split())
                tell(f"given up, until it changes: {why}")
                self.status = self.status.with_failure(str(path), why)
        else:
            self._watcher.done(path)
            self._tables[path] = table
            self._count(path, len(picks), is_new=not was_done)

    def _count(self, path: Path, count: int, *, is_new: bool) -> None:
        """Count a micrograph and its particles, once even if it changed and was picked again."""
        particles = self.status.particles + count - self._counts.get(path, 0)
        self._counts[path] = count
        if is_new:
            self._new.add(path)
        self.status = self.status.with_picks(
            str(path), picked=len(self._counts), new=len(self._new), particles=particles
        )

    def _table(self, path: Path) -> Path:
        """The table that a micrograph becomes.

        Raises:
            SettingsError: It is another micrograph's.
        """
        owner = self._owners.setdefault(micrograph_stem(path.name), path)
        if owner != path:
            raise SettingsError(f"{path}: its table would replace that of {owner}; rename it")
        return per_micrograph_path(str(path), self._out, format=self._format)

    def _tell_status(self, tell: Callable[[str], None], *, running: bool = True) -> None:
        told = replace(self.status, waiting=self._watcher.waiting, running=running)
        try:
            if self._format == "star" and told.picked:
                write_coordinate_list(self._tables, self._out / "autopick.star")
            write_status(told, self._out)
        except OSError as error:
            tell(f"{self._out}: {error.strerror or error}")

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
