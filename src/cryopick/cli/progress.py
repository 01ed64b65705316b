"""Progress of long work on stderr, and batches that skip files with errors.

A terminal shows a progress bar; a log gets a plain line every few seconds at most. With the
environment variable CRYOPICK_PROGRESS_FILE, all events are also appended to that file as JSON
lines; the labelling page reads them.

- `TerminalEvents`: the receiver of a workflow's events.
- `open_events`: that receiver, with the file if there is one.
- `progress`: a counter for commands without a workflow.
- `Batch`: one function for many files.
- `check_skipped`: fail if files were skipped.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cryopick.cli.messages import (
    current_console,
    note,
    record_skipped_file,
    warn,
)
from cryopick.errors import CryopickError, UnfinishedError, format_count
from cryopick.runs.file_errors import translate_file_errors
from cryopick.workflows.events import (
    CurvePoint,
    Event,
    EventGroup,
    Events,
    FileSkipped,
    Finished,
    Notice,
    NoticeCode,
    ParticlesEstimated,
    PicksSelected,
    Progress,
    Resumed,
    StageEnded,
    track_progress,
)
from cryopick.workflows.progress_file import ProgressFile

if TYPE_CHECKING:
    from cryopick.train.curves import CurveRow

__all__ = [
    "PROGRESS_VARIABLE",
    "Batch",
    "TerminalEvents",
    "check_skipped",
    "open_events",
    "progress",
]

Result = TypeVar("Result")

PROGRESS_VARIABLE = "CRYOPICK_PROGRESS_FILE"
_LINE_EVERY_S = 5.0
_NAMED = 3  # skipped files that a message names
_WARNINGS = {
    NoticeCode.DOUBTFUL_LABELS,
    NoticeCode.DOUBTFUL_PARTICLE_COUNT,
    NoticeCode.DOUBTFUL_SIZE,
    NoticeCode.NO_PARTICLES,
}
_IRREGULARITIES = {
    NoticeCode.DUPLICATE_LABELS,
    NoticeCode.MICROGRAPH_FINDING,
    NoticeCode.UNCALIBRATED_SCORES,
    NoticeCode.UNMATCHED_LABELS,
    NoticeCode.UNUSABLE_LABELS,
}


class TerminalEvents:
    """A receiver that shows events on stderr."""

    def __init__(self) -> None:
        self._bar: _Bar | None = None
        self._last_line_s = 0.0

    def emit(self, event: Event, /) -> None:
        """Show one event."""
        match event:
            case Progress():
                self._show_progress(event)
            case StageEnded():
                self._close_bar()
            case PicksSelected():
                from cryopick.cli.threshold import report_selection

                report_selection(event.picks, event.selection)
            case FileSkipped():
                record_skipped_file(event.path, event.reason)
            case Notice() if event.code in _WARNINGS:
                warn(f"warning: {event.message}")
            case Notice() if event.code in _IRREGULARITIES:
                warn(event.message)
            case _:
                if text := _describe(event):
                    note(text)

    def _show_progress(self, event: Progress) -> None:
        console = current_console()
        if sys.stderr.isatty() and not console.is_quiet:
            if self._bar is None:
                self._bar = _Bar(event.stage, event.total)
            self._bar.update(event.done)
        if event.done == 0:
            self._last_line_s = 0.0
        elif event.done >= event.total or event.elapsed_s - self._last_line_s >= _LINE_EVERY_S:
            self._last_line_s = event.elapsed_s
            left = ""
            if event.done < event.total and event.seconds_left is not None:
                left = f", about {event.seconds_left:.0f} s left"
            console.show_progress(
                f"{event.stage}: {event.done} of {event.total}{left}", as_line=self._bar is None
            )

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Bar:
    """A progress bar of Rich."""

    def __init__(self, stage: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn(stage), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress: Any = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(stage, total=total)
        self._progress.start()

    def update(self, completed: int) -> None:
        """Show the number of completed units."""
        self._progress.update(self._task, completed=completed)

    def close(self) -> None:
        """Leave the bar as it is, and give stderr back."""
        self._progress.stop()


def _describe(event: Event) -> str:
    """Describe an event in one line; empty for events that a terminal does not show."""
    match event:
        case Resumed(step=None):
            return f"resuming from {event.source}"
        case Resumed():
            return f"resuming at step {event.step} of {event.source}"
        case CurvePoint(is_partner=False):
            return _describe_row(event.row, event.steps)
        case ParticlesEstimated():
            return f"estimated: {event.estimate}"
        case Notice() | Finished():
            return event.message
    return ""


def _describe_row(row: "CurveRow", steps: int) -> str:
    text = (
        f"step {row.step}/{steps}  loss {row.loss:.4f}  penalty {row.penalty:.4f}  "
        f"precision {row.expected_precision:.3f}  true positives {row.true_positive_rate:.3f}  "
        f"false positives {row.false_positive_rate:.4f}"
    )
    if row.particle_average_precision is None:
        return text
    return (
        f"{text}  held-out AP {row.particle_average_precision:.4f} "
        f"(regions {row.region_average_precision:.4f})"
    )


@contextmanager
def open_events() -> Iterator[Events]:
    """Receive events on the terminal and, if the environment names one, in a progress file."""
    terminal = TerminalEvents()
    path = os.environ.get(PROGRESS_VARIABLE)
    if not path:
        yield terminal
        return
    with ProgressFile() as file:
        file.open(Path(path), append=True)
        yield EventGroup(terminal, file)


@contextmanager
def progress(total: int, stage: str) -> Iterator[Callable[[int], None]]:
    """Show the progress of a stage while the block runs.

    Args:
        total: Number of units in all.
        stage: Description of the work, such as "Scoring micrographs".

    Yields:
        A function that takes the number of units completed since its last call.
    """
    with open_events() as events, track_progress(events, stage, total) as advance:
        yield advance


class Batch:
    """One function for many files: a file that fails is reported and skipped.

    Use it so that results are written before the failures are counted:

        batch = Batch(paths, stage="Scoring micrographs")
        for path, result in batch.run(work):
            ...
        batch.finish()
    """

    def __init__(self, files: Sequence[Path], stage: str) -> None:
        self._files, self._stage = files, stage
        self._failures: dict[Path, None] = {}  # in order

    def run(self, work: Callable[[Path], Result]) -> Iterator[tuple[Path, Result]]:
        """Yield each file with its result, in order, without the files that fail.

        Files that were skipped before are omitted.
        """
        with (
            open_events() as events,
            track_progress(events, self._stage, len(self._files)) as advance,
        ):
            for path in self._files:
                if path in self._failures:
                    advance(1)
                    continue
                try:
                    with translate_file_errors(path):
                        result = work(path)
                except CryopickError as error:
                    self._failures[path] = None
                    events.emit(FileSkipped.from_error(path, error))
                else:
                    yield path, result
                advance(1)

    def skip(self, path: Path, error: CryopickError) -> None:
        """Report why a file is skipped, for callers that run the work themselves."""
        self._failures[path] = None
        with open_events() as events:
            events.emit(FileSkipped.from_error(path, error))

    @property
    def skipped_files(self) -> list[str]:
        """Files that failed so far."""
        return list(map(str, self._failures))

    def finish(self) -> None:
        """End the batch.

        Raises:
            UnfinishedError: Some files failed; the exit status is 1.
        """
        check_skipped(list(self._failures), len(self._files))


def check_skipped(skipped: Sequence[Path], total: int) -> None:
    """Fail if files were skipped.

    Args:
        skipped: Files that were skipped.
        total: Number of files in all.

    Raises:
        UnfinishedError: There are such files; the exit status is 1.
    """
    if skipped:
        names = ", ".join(map(str, skipped[:_NAMED])) + (", …" if len(skipped) > _NAMED else "")
        raise UnfinishedError(
            f"{len(skipped)} of {format_count(total, 'file')} failed and were skipped: {names}; "
            "the others are done"
        )
