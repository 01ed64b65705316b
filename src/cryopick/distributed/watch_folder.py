"""Micrographs that are still to come: which of them are complete.

- `Watcher`: looks again and again.
- `there_now`: what is there of what was asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryopick.errors import CryopickError
from cryopick.io.inputs import find_micrographs

__all__ = ["Watcher", "there_now"]


def there_now(arguments: Sequence[str]) -> list[Path]:
    """The micrographs that the arguments of a command mean; what is not there yet is left out."""
    found: dict[Path, None] = {}
    for argument in arguments:
        try:
            found |= dict.fromkeys(find_micrographs([argument]))
        except (CryopickError, OSError):
            continue  # nothing has come yet, or a network file system is away for a while
    return list(found)


@dataclass
class Watcher:
    """Finds files that have not changed between two looks, and gives each out once.

    Polling works on every file system; a file that is written to again is given out again.

    Attributes:
        look: Lists the files that are there now.
        most_failures: A file that failed as often is given up, until it changes.
        changed: Whether the last look found files that the one before did not, or others.
    """

    look: Callable[[], Sequence[Path]]
    most_failures: int = 3
    changed: bool = False
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _done: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _failures: dict[Path, int] = field(default_factory=dict)

    def complete(self) -> list[Path]:
        """The files that have become complete since they were last given out."""
        now: dict[Path, tuple[int, int]] = {}
        for path in self.look():
            try:
                stat = path.stat()
            except OSError:
                continue  # gone again
            now[path] = (stat.st_size, stat.st_mtime_ns)
        ready = []
        for path, state in now.items():
            if self._seen.get(path) != state:
                self._failures.pop(path, None)
            elif state[0] and self._done.get(path) != state and not self.given_up(path):
                ready.append(path)
        self.changed, self._seen = now != self._seen, now
        return ready

    def done(self, path: Path) -> None:
        """This one is finished as it was last seen."""
        if path in self._seen:
            self._done[path] = self._seen[path]

    def failed(self, path: Path) -> None:
        """This one could not be used; it is tried again, but not for ever."""
        self._failures[path] = self._failures.get(path, 0) + 1

    def given_up(self, path: Path) -> bool:
        """Whether a file failed too often."""
        return self._failures.get(path, 0) >= self.most_failures

    @property
    def waiting(self) -> int:
        """Files that are there and neither done nor given up."""
        return sum(
            self._done.get(path) != state and not self.given_up(path)
            for path, state in self._seen.items()
        )
