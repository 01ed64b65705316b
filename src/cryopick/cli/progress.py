"""Tell how far long work is, and carry a batch past files that fail.

On a terminal a bar; in a log a plain line every few seconds at most. Both go to stderr.

- `progress`: a counter that shows.
- `Batch`: one function over many files.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from typer import echo

from cryopick.errors import CryopickError, UnfinishedError

__all__ = ["Batch", "progress"]

Result = TypeVar("Result")

_LINE_EVERY_S = 5.0


@contextmanager
def progress(total: int, doing: str) -> Iterator[Callable[[int], None]]:
    """Show how much of `total` is done while the block runs.

    Args:
        total: Steps in all.
        doing: What is being done, as the words before the count: "Scoring micrographs".

    Yields:
        A function that takes how many steps have been done since it was last called.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(doing, total=total)
            yield lambda steps: bar.advance(task, steps)
    else:
        yield _Lines(total, doing).advance


class _Lines:
    """Progress as lines of a log."""

    def __init__(self, total: int, doing: str) -> None:
        self._total, self._doing, self._done = total, doing, 0
        self._started = self._told = time.monotonic()

    def advance(self, steps: int) -> None:
        """Count steps; write a line at the end, and in between if the last is long ago."""
        self._done += steps
        now = time.monotonic()
        if self._done < self._total and now - self._told < _LINE_EVERY_S:
            return
        self._told = now
        left_s = (now - self._started) * (self._total - self._done) / max(self._done, 1)
        left = f", about {left_s:.0f} s left" if self._done < self._total else ""
        echo(f"{self._doing}: {self._done} of {self._total}{left}", err=True)


class Batch:
    """One function over many files: a file that fails is told and skipped.

    Use it so that what succeeded is written before the failures are counted:

        batch = Batch(paths, doing="Scoring micrographs")
        for path, result in batch.run(work):
            ...
        batch.finish()
    """

    def __init__(self, files: Sequence[Path], doing: str) -> None:
        self._files, self._doing = files, doing
        self._failures: dict[Path, None] = {}  # in order

    def run(self, work: Callable[[Path], Result]) -> Iterator[tuple[Path, Result]]:
        """Yield each file with what `work` makes of it, in order, save those that fail.

        Those that were skipped before are left out.
        """
        with progress(len(self._files), self._doing) as advance:
            for path in self._files:
                if path in self._failures:
                    advance(1)
                    continue
                try:
                    result = work(path)
                except CryopickError as error:
                    self.skip(path, error)
                else:
                    yield path, result
                advance(1)

    def skip(self, path: Path, error: CryopickError) -> None:
        """Tell why a file is skipped, for callers that run the work themselves."""
        why = " ".join(str(error).removeprefix(f"{path}: ").split())
        echo(f"skipped {path}: {why}", err=True)
        self._failures[path] = None

    @property
    def skipped(self) -> list[str]:
        """The files that failed so far."""
        return list(map(str, self._failures))

    def finish(self) -> None:
        """End the batch.

        Raises:
            UnfinishedError: Some files failed; the exit status is 1.
        """
        if self._failures:
            first = ", ".join(map(str, [*self._failures][:3])) + (
                ", …" if len(self._failures) > 3 else ""
            )
            raise UnfinishedError(
                f"{len(self._failures)} of {len(self._files)} files failed and were skipped: "
                f"{first}; the others are done"
            )
