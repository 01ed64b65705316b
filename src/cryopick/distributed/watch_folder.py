"""Detection of complete micrographs during data collection.

- `FolderWatcher`: finds files that are no longer being written.
- `find_present_micrographs`: the micrographs that exist so far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryopick.errors import CryopickError
from cryopick.io.inputs import find_micrographs

__all__ = ["FolderWatcher", "find_present_micrographs"]


def find_present_micrographs(arguments: Sequence[str]) -> list[Path]:
    """Return the micrographs that match the arguments of a command; missing ones are skipped."""
    paths: dict[Path, None] = {}
    for argument in arguments:
        try:
            paths |= dict.fromkeys(find_micrographs([argument]))
        except (CryopickError, OSError):
            continue  # no files yet, or a network file system is temporarily unavailable
    return list(paths)


@dataclass
class FolderWatcher:
    """Finds files that did not change between two checks, and returns each of them once.

    Polling works on every file system. A file that changes later is returned again.

    Attributes:
        list_files: Lists the present files.
        max_failures: Number of failures after which a file is skipped until it changes.
        has_changes: The last check found new, changed or removed files.
    """

    list_files: Callable[[], Sequence[Path]]
    max_failures: int = 3
    has_changes: bool = False
    _last_states: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _processed_states: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _failures: dict[Path, int] = field(default_factory=dict)

    def find_complete(self) -> list[Path]:
        """Check the files, and return those that are complete and not processed yet."""
        states: dict[Path, tuple[int, int]] = {}
        for path in self.list_files():
            try:
                stat = path.stat()
            except OSError:
                continue  # removed since it was listed
            states[path] = (stat.st_size, stat.st_mtime_ns)
        complete_paths = []
        for path, state in states.items():
            if self._last_states.get(path) != state:
                self._failures.pop(path, None)
            elif state[0] and self._is_unprocessed(path, state):
                complete_paths.append(path)
        self.has_changes, self._last_states = states != self._last_states, states
        return complete_paths

    def record_success(self, path: Path) -> None:
        """Record that the last seen state of a file was processed."""
        if path in self._last_states:
            self._processed_states[path] = self._last_states[path]

    def record_failure(self, path: Path) -> None:
        """Record that a file could not be processed; it is retried a few times."""
        self._failures[path] = self._failures.get(path, 0) + 1

    def has_failed(self, path: Path) -> bool:
        """Return true if a file has reached the maximum number of failures."""
        return self._failures.get(path, 0) >= self.max_failures

    @property
    def waiting(self) -> int:
        """Number of present files that are neither processed nor failed."""
        return sum(self._is_unprocessed(path, state) for path, state in self._last_states.items())

    def _is_unprocessed(self, path: Path, state: tuple[int, int]) -> bool:
        return self._processed_states.get(path) != state and not self.has_failed(path)
