"""Live picking: pick micrographs as soon as their files are complete.

- `LivePicker`: the loop, with one table per micrograph and a ledger of finished micrographs.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cryopick.distributed.status import WatchStatus, write_status
from cryopick.distributed.watch_folder import FolderWatcher
from cryopick.errors import BusyError, CryopickError, SettingsError, format_count
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.pick_tables import (
    per_micrograph_path,
    write_coordinate_list,
    write_picks_per_micrograph,
)
from cryopick.pick.batch import PickBatch

__all__ = ["LivePicker"]

# Errors of a single micrograph, including those of torch and a lack of memory: they must not end
# live picking during data collection.
_MICROGRAPH_ERRORS = (CryopickError, ValueError, RuntimeError, MemoryError)


class LivePicker:
    """Picks the micrographs that a watcher finds.

    Args:
        watcher: Finds complete micrographs.
        batch: The model with its settings.
        out: Output folder of the tables.
        table_format: Format of the tables.
        box_px: Side of the boxes in pixels, for formats with boxes.
    """

    def __init__(
        self,
        watcher: FolderWatcher,
        batch: PickBatch,
        out: Path,
        *,
        table_format: str,
        box_px: int | None = None,
    ) -> None:
        self._watcher, self._batch, self._out = watcher, batch, out
        self._format, self._box_px = table_format, box_px
        self._ledger = batch.open_ledger(out, f"watch {table_format} {box_px}")
        self._path_by_stem: dict[str, Path] = {}
        self._tables: dict[Path, Path] = {}
        self._particle_counts: dict[Path, int] = {}
        self._new_paths: set[Path] = set()
        self._reported_errors: dict[Path, str] = {}
        self._stop = threading.Event()
        self.status: WatchStatus = WatchStatus()

    def run(
        self, *, every_s: float, until_idle_s: float | None, notify: Callable[[str], None]
    ) -> WatchStatus:
        """Pick until SIGINT, SIGTERM, or a time without new files.

        Args:
            every_s: Interval between checks for new files, in seconds.
            until_idle_s: Stop after this many seconds without a new file; None for never.
            notify: Receives a message on each micrograph.

        Returns:
            The final status.

        Raises:
            BusyError: Another process writes to the same folder.
        """
        with self._delay_signals(), self._ledger.start([], overwrite=True):
            self._out.mkdir(parents=True, exist_ok=True)
            last_activity = time.monotonic()
            while not self._stop.is_set():
                complete_paths = self._watcher.find_complete()
                # A file that is still growing keeps the loop running.
                is_idle = not complete_paths and not self._watcher.has_changes
                for path in complete_paths:
                    self._pick(path, notify)
                    if self._stop.is_set():
                        break
                self._publish_status(notify)
                if not is_idle:
                    last_activity = time.monotonic()
                elif until_idle_s is not None and time.monotonic() - last_activity >= until_idle_s:
                    break
                self._stop.wait(every_s)
            self._publish_status(notify, running=False)
        return self.status

    def _pick(self, path: Path, notify: Callable[[str], None]) -> None:
        """Pick a micrograph and write its table, unless the table is up to date."""
        try:
            table = self._choose_table(path)
            was_picked = self._batch.has_picks(path, self._ledger)
            picks = self._batch.pick(path, self._ledger)
            if not (was_picked and table.exists()):
                write_picks_per_micrograph(
                    picks, self._out, format=self._format, overwrite=True, box_px=self._box_px
                )
                notify(
                    f"{path}: {format_count(len(picks), 'particle')}; "
                    f"{self._watcher.waiting - 1} waiting"
                )
        except BusyError:
            raise
        except OSError as error:
            # The disk is full or disconnected; the micrograph stays in the queue.
            if self._reported_errors.get(path) != str(error):
                notify(f"{path}: {error.strerror or error}; retrying until the disk is available")
            self._reported_errors[path] = str(error)
        except _MICROGRAPH_ERRORS as error:
            self._watcher.record_failure(path)
            if self._watcher.has_failed(path):
                reason = " ".join(str(error).split())
                notify(f"failed, will be retried when the file changes: {reason}")
                self.status = self.status.with_failure(str(path), reason)
        else:
            self._watcher.record_success(path)
            self._tables[path] = table
            self._count_particles(path, len(picks), is_new=not was_picked)

    def _count_particles(self, path: Path, count: int, *, is_new: bool) -> None:
        """Update the counts; a micrograph that was picked again is counted once."""
        particles = self.status.particles + count - self._particle_counts.get(path, 0)
        self._particle_counts[path] = count
        if is_new:
            self._new_paths.add(path)
        self.status = self.status.with_picks(
            str(path),
            picked=len(self._particle_counts),
            new=len(self._new_paths),
            particles=particles,
        )

    def _choose_table(self, path: Path) -> Path:
        """Return the path of the table of a micrograph.

        Raises:
            SettingsError: Another micrograph has the same table.
        """
        first_path = self._path_by_stem.setdefault(micrograph_stem(path.name), path)
        if first_path != path:
            raise SettingsError(f"{path}: its table would replace that of {first_path}; rename it")
        return per_micrograph_path(str(path), self._out, format=self._format)

    def _publish_status(self, notify: Callable[[str], None], *, running: bool = True) -> None:
        status = replace(self.status, waiting=self._watcher.waiting, running=running)
        try:
            if self._format == "star" and status.picked:
                write_coordinate_list(self._tables, self._out / "autopick.star")
            write_status(status, self._out)
        except OSError as error:
            notify(f"{self._out}: {error.strerror or error}")

    @contextmanager
    def _delay_signals(self) -> Iterator[None]:
        """Finish the current micrograph before SIGINT or SIGTERM ends the loop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous_handlers = {
            number: signal.signal(number, lambda *_: self._stop.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)
