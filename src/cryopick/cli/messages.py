"""Messages of a command: on stderr, in the log file of `--log-file`, in the report of `--json`.

Commands report through these functions and never write to stderr themselves, so that `--quiet`
hides notes and shows warnings and errors in every command.

- `note`, `warn`: a message, a warning.
- `record_skipped_file`, `add_results`: facts for the report of `--json`.
- `print_result`: text of a result on stdout, which the report of `--json` replaces.
- `Console`: where the messages of one command go.
- `open_console`, `current_console`: for the application.
"""

import json
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from typer import echo

from cryopick.errors import OutputExistsError

__all__ = [
    "Console",
    "Level",
    "add_results",
    "current_console",
    "note",
    "open_console",
    "print_result",
    "record_skipped_file",
    "warn",
]


class Level(StrEnum):
    """Importance of a message."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Console:
    """Receiver of the messages of one command.

    Attributes:
        command: Words of the command line.
        is_quiet: Show warnings and errors only.
        writes_json: Write a report as JSON to stdout at the end, and nothing else.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)
        self.is_quiet = self.writes_json = False
        self._log: IO[str] | None = None
        self._messages: list[dict[str, str]] = []
        self._skipped: list[dict[str, str]] = []
        self._outputs: dict[str, None] = {}  # in order
        self._results: dict[str, Any] = {}
        self._started_s = time.monotonic()
        self._depth = 0  # of commands that run each other
        self._stack = ExitStack()

    def show(self, text: str, level: Level) -> None:
        """Show a message, and keep it for the log and the report."""
        if level != Level.NOTE or not self.is_quiet:
            echo(text, err=True)
        self.write_log(text, level)
        if self.writes_json and text.strip():
            self._messages.append({"level": str(level), "text": text.strip()})

    def show_progress(self, text: str, *, as_line: bool) -> None:
        """Write a line of progress to the log, and to stderr unless a bar shows it there."""
        if as_line and not self.is_quiet:
            echo(text, err=True)
        self.write_log(text)

    def write_log(self, text: str, level: Level = Level.NOTE) -> None:
        """Write a message to the log file, if there is one; a full disk is no error here."""
        if self._log is None:
            return
        with suppress(OSError):
            for line in text.splitlines():
                self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {level:<7} {line}\n")
            self._log.flush()

    def open_log(self, path: Path) -> None:
        """Append all messages to a file from now on.

        Raises:
            OutputExistsError: The path is a folder.
            OSError: The file cannot be written.
        """
        from importlib.metadata import version

        if path.is_dir():
            raise OutputExistsError(f"{path}: is a folder; give the path of a file inside it")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._log = self._stack.enter_context(
            path.open("a", encoding="utf-8", errors="backslashreplace")
        )
        self.write_log(f"cryopick {version('cryopick')}: {shlex.join(('cryopick', *self.command))}")

    def start_report(self) -> None:
        """Write a report as JSON to stdout at the end, with the files that are written from now."""
        from cryopick.runs.atomic_write import observe_writes

        self.writes_json = True
        self._stack.enter_context(observe_writes(self._record_output))

    def add_skipped_file(self, path: Path, reason: str) -> None:
        """Record a file that was skipped."""
        self._skipped.append({"path": str(path), "reason": reason})

    def add_results(self, **facts: object) -> None:
        """Record results of the command."""
        self._results.update(facts)

    def finish(self, status: int) -> None:
        """Write the report and the end of the log, unless another command runs this one."""
        if self._depth > 1:
            return
        from importlib.metadata import version

        seconds = round(time.monotonic() - self._started_s, 2)
        self.write_log(f"exit status {status} after {seconds:g} s")
        if self.writes_json:
            report = {
                "command": ["cryopick", *self.command],
                "version": version("cryopick"),
                "folder": str(Path.cwd()),
                "status": status,
                "seconds": seconds,
                "outputs": [name for name in self._outputs if Path(name).exists()],
                "skipped": self._skipped,
                "messages": self._messages,
                "results": self._results,
            }
            echo(json.dumps(report, indent=2, default=str))

    @contextmanager
    def use(self) -> Iterator[None]:
        """Count the commands that use the console; close the log after the last."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._stack.close()
                self._log = None

    def _record_output(self, path: Path, _temporary: Path) -> None:
        is_of_ledger = any(part.startswith(".") and part.endswith(".parts") for part in path.parts)
        if not is_of_ledger and not path.name.startswith("."):
            self._outputs[str(path)] = None


# Consoles of the running commands, the last of which receives. Not a context variable: threads that
# report progress belong to the command as well.
_CONSOLES: list[Console] = []
_PLAIN_CONSOLE = Console(())  # outside of commands


@contextmanager
def open_console(command: Sequence[str]) -> Iterator[Console]:
    """Receive the messages of the block in a console, that of the outer command if there is one."""
    console = _CONSOLES[-1] if _CONSOLES else Console(command)
    _CONSOLES.append(console)
    try:
        with console.use():
            yield console
    finally:
        _CONSOLES.remove(console)


def current_console() -> Console:
    """Return the console of the running command; a plain one outside of commands."""
    return _CONSOLES[-1] if _CONSOLES else _PLAIN_CONSOLE


def note(text: str) -> None:
    """Report progress or a result; `--quiet` hides it."""
    current_console().show(text, Level.NOTE)


def warn(text: str) -> None:
    """Report something that the user should know before using the result."""
    current_console().show(text, Level.WARNING)


def record_skipped_file(path: Path, reason: str) -> None:
    """Report a file that is skipped."""
    console = current_console()
    console.show(f"skipped {path}: {reason}", Level.WARNING)
    console.add_skipped_file(path, reason)


def add_results(**facts: object) -> None:
    """Add facts to the results in the report of `--json`."""
    current_console().add_results(**facts)


def print_result(text: str) -> None:
    """Print the text of a result to stdout, unless a report of `--json` replaces it."""
    console = current_console()
    console.write_log(text)
    if not console.writes_json:
        echo(text)
