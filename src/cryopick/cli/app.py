"""Application: commands, version, exit status, and one-line error messages.

Exit status: 0 success; 1 error in files or settings, or failed files in a batch; 2 usage error;
70 bug in cryopick; 130 interrupted. `--debug`, or CRYOPICK_DEBUG=1 in the environment, shows
tracebacks.

- `app`: Typer application with which commands register.
- `Application`: its class, for groups of commands.
- `MODULES`: module of each command.
- `load`: import commands.
- `main`: entry point.
- `stopwatch`: command line and start time of this process, for the run metadata.
"""

import time
from collections.abc import Iterable
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option, echo
from typer.core import TyperGroup

from cryopick.cli.common_options import ReportingCommand
from cryopick.cli.messages import Console, Level, open_console
from cryopick.cli.repeated_option import repeat_micrograph_option
from cryopick.errors import CryopickError, describe_missing_torch
from cryopick.runs.standard_streams import escape_output, open_standard_streams

if TYPE_CHECKING:
    from cryopick.runs.metadata import Stopwatch

__all__ = ["MODULES", "Application", "app", "load", "main", "stopwatch"]

FAILED, BUG, INTERRUPTED = 1, 70, 130  # 70 is EX_SOFTWARE of sysexits.h; 130 is 128 + SIGINT

# Commands in the order of `--help`, and the module of `cryopick.cli` that defines each.
MODULES = {
    "benchmark": "benchmark",
    "benchmark-report": "benchmark_report",
    "combine": "combine",
    "convert": "convert",
    "cross-validate": "cross_validate",
    "cryosparc-job": "cryosparc_job",
    "demo": "demo",
    "denoise": "denoise",
    "denoise-train": "denoise_train",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "feedback": "feedback",
    "filaments": "filaments",
    "info": "info",
    "label": "label",
    "merge": "distributed",
    "models": "models",
    "pick": "pick",
    "preprocess": "preprocess",
    "propose": "propose",
    "relion-job": "relion_job",
    "report": "report",
    "score": "score",
    "simulate": "simulate",
    "size": "size",
    "split": "split",
    "stack": "stack",
    "submit": "submit",
    "suggest": "suggest",
    "threshold": "threshold",
    "tomo": "tomo",
    "train": "train",
    "validate": "validate",
    "watch": "distributed",
}

# Commands that continue where an interrupted run stopped.
RESUMABLE = {
    *(
        "benchmark",
        "demo",
        "denoise",
        "denoise-train",
        "filaments",
        "pick",
        "preprocess",
        "propose",
        "score",
        "stack",
    ),
    *("suggest", "train", "watch"),
}

_COMMAND_LINE: ContextVar[tuple[tuple[str, ...], float]] = ContextVar("command_line")


class Commands(TyperGroup):
    """Commands that are imported on demand and report errors in one line.

    Importing all of them would take a fifth of the time of a small command.
    """

    commands: dict[str, Any]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # as below
        """Import and return a command; for an unknown name, all, so that Typer can suggest one."""
        if cmd_name not in self.commands:
            self.commands = load([cmd_name] if cmd_name in MODULES else MODULES)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  # as below
        """Import all commands, whose help is shown next, and return their names."""
        self.commands = load()
        return list(MODULES)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # as below
        """Find the command, and accept several micrographs after one `-m`."""
        name, command, words = super().resolve_command(ctx, args)
        parameters = [] if command is None else command.params
        return name, command, repeat_micrograph_option(parameters, words)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # as below
        """Store the command line and the time."""
        if ctx.parent is None:
            _COMMAND_LINE.set((tuple(args), time.monotonic()))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # Typer's own types differ by version
        """Run the command; `--debug` lets exceptions through."""
        with open_console(_COMMAND_LINE.get()[0]) as console:
            try:
                result = super().invoke(ctx)
            except Exception as error:
                if ctx.params.get("debug"):
                    raise
                if _is_handled_by_typer(error):
                    _finish_handled(console, error)
                    raise
                raise _finish(console, _report_error(console, error)) from error
            except KeyboardInterrupt as error:
                if ctx.params.get("debug"):
                    raise
                _report_interrupt(console, ctx.invoked_subcommand)
                raise _finish(console, INTERRUPTED) from error
            console.finish(0)
        return result


def _is_handled_by_typer(error: Exception) -> bool:
    """Check for exceptions that Typer handles: usage errors, exits, a closed pipe."""
    is_signal = isinstance(error, typer.Abort) or hasattr(error, "exit_code")
    return is_signal or isinstance(error, BrokenPipeError)


def _finish_handled(console: Console, error: Exception) -> None:
    """Finish the log and the report where Typer shows the error and ends the process."""
    if isinstance(error, BrokenPipeError):
        return
    if hasattr(error, "format_message"):
        console.write_log(error.format_message(), Level.ERROR)
    console.finish(getattr(error, "exit_code", FAILED))


def _finish(console: Console, status: int) -> typer.Exit:
    console.finish(status)
    return typer.Exit(status)


def _report_interrupt(console: Console, name: str | None) -> None:
    """Report an interruption, and that the same command continues, if it does."""
    advice = "; run the same command again to continue" if name in RESUMABLE else ""
    console.show(f"cryopick: interrupted{advice}", Level.WARNING)


def _report_error(console: Console, error: Exception) -> int:
    """Print an error in one line; return the exit status."""
    text = " ".join(str(error).split())
    status = FAILED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or text}"
    elif isinstance(error, MemoryError):
        text = f"the memory is not sufficient; use fewer threads, or check the sizes ({text})"
    elif missing_torch := describe_missing_torch(error):
        text = missing_torch
    elif not isinstance(error, CryopickError):
        status = BUG
        text = (
            f"{type(error).__name__}: {text}. This is an error in cryopick itself; run "
            "the command again with CRYOPICK_DEBUG=1 and report the traceback."
        )
    console.show(f"cryopick: {'bug' if status == BUG else 'error'}: {text}", Level.ERROR)
    return status


class Application(typer.Typer):
    """Typer application whose commands have the options of all commands."""

    def command(self, name: str | None = None, **settings: Any) -> Any:  # noqa: ANN401  # as above
        """Register a command; see `typer.Typer.command`."""
        return super().command(name, **{"cls": ReportingCommand, **settings})


app: typer.Typer = Application(
    name="cryopick",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # measured: loading Rich takes longer than all else that --help does
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(requested: bool) -> bool:
    if requested:
        from importlib.metadata import version

        echo(f"cryopick {version('cryopick')}")
        raise typer.Exit
    return requested


@app.callback()
def _root(
    version: Annotated[  # handled by its callback
        bool,
        Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[  # read by Commands
        bool,
        Option("--debug", envvar="CRYOPICK_DEBUG", help="Show the traceback of errors."),
    ] = False,
) -> None:
    """Pick particles in cryo-EM micrographs with a general model or from a few labels.

    Start with `pick`, `threshold` and `report`, or with `label` in the browser. COMMAND --help
    shows an example and all options.

    First command: cryopick pick micrographs --diameter-ang 190 -o picks.star
    """


def load(names: Iterable[str] = MODULES) -> dict[str, Any]:
    """Import the modules of commands, which then register.

    Returns:
        All commands imported so far, by name.
    """
    for name in names:
        import_module(f"cryopick.cli.{MODULES[name]}")
    return dict(typer.main.get_group(app).commands)


def stopwatch() -> "Stopwatch":
    """Return the command line and its start time, for the run metadata."""
    from cryopick.runs.metadata import Stopwatch

    return Stopwatch(*_COMMAND_LINE.get(((), time.monotonic())))


def main() -> None:
    """Run the command line of this process and exit."""
    open_standard_streams()
    escape_output()
    typer.main.get_command(app).main(prog_name="cryopick")
