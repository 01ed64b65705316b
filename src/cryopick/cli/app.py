"""The frame around every command: version, exit status, errors as one line.

Exit status: 0 done; 1 a mistake in files or settings, or files of a batch that failed; 2 wrong
usage; 70 a bug in cryopick; 130 interrupted. `--debug`, or CRYOPICK_DEBUG=1 in the environment,
shows the traceback of whatever stopped the command.

- `app`: what commands register with.
- `MODULES`: where each command is defined.
- `load`: the commands of some names.
- `main`: the entry point.
- `stopwatch`: what was typed, and since when it runs.
"""

import time
from collections.abc import Iterable
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option, echo
from typer.core import TyperGroup

from cryopick.errors import CryopickError

if TYPE_CHECKING:
    from cryopick.runs.metadata import Stopwatch

__all__ = ["MODULES", "app", "load", "main", "stopwatch"]

FAILED, BUG, INTERRUPTED = 1, 70, 130  # 70 is EX_SOFTWARE of sysexits.h; 130 is 128 + SIGINT

# Commands in the order of `--help`, and the modules beside this one that define them.
MODULES = {
    "benchmark": "benchmark",
    "benchmark-report": "benchmark",
    "combine": "sets",
    "convert": "convert",
    "cryosparc-job": "cryosparc_job",
    "demo": "demo",
    "evaluate": "evaluate",
    "feedback": "feedback",
    "filaments": "filaments",
    "info": "info",
    "label": "label",
    "merge": "scale",
    "models": "models",
    "pick": "pick",
    "preprocess": "preprocess",
    "propose": "propose",
    "relion-job": "relion_job",
    "report": "report",
    "score": "score",
    "simulate": "simulate",
    "split": "split",
    "stack": "stack",
    "submit": "scale",
    "suggest": "suggest",
    "threshold": "sets",
    "train": "train",
    "validate": "validate",
    "watch": "scale",
}

_TYPED: ContextVar[tuple[tuple[str, ...], float]] = ContextVar("typed")


class Commands(TyperGroup):
    """The commands: loaded when asked for, and their failures told in one line.

    Loading all of them would take a fifth of the time of a small command.
    """

    commands: dict[str, Any]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # as below
        """The command of that name; a wrong name loads all, so that Typer suggests a right one."""
        if cmd_name not in self.commands:
            self.commands = load([cmd_name] if cmd_name in MODULES else MODULES)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  # as below
        """The names of all, which are then loaded: who asks wants their help as well."""
        self.commands = load()
        return list(MODULES)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # as below
        """Keep in mind what was typed, and when."""
        if ctx.parent is None:
            _TYPED.set((tuple(args), time.monotonic()))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # Typer's own types differ by version
        """Run the command that was asked for; `--debug` lets every exception through."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("debug") or _is_of_typer(error):
                raise
            raise _stopped(error) from error
        except KeyboardInterrupt as error:
            if ctx.params.get("debug"):
                raise
            echo("cryopick: interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


def _is_of_typer(error: Exception) -> bool:
    """Whether Typer itself deals with it: usage errors, exits, a reader that went away."""
    is_signal = isinstance(error, typer.Abort) or hasattr(error, "exit_code")
    return is_signal or isinstance(error, BrokenPipeError)


def _stopped(error: Exception) -> typer.Exit:
    """Tell what happened in one line, and give the exit that fits."""
    text = " ".join(str(error).split())
    if isinstance(error, CryopickError):
        echo(f"cryopick: error: {text}", err=True)
        return typer.Exit(FAILED)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        echo(f"cryopick: error: {where}{error.strerror}", err=True)
        return typer.Exit(FAILED)
    echo(
        f"cryopick: bug: {type(error).__name__}: {text}. This is a mistake in cryopick; run the "
        "command again with CRYOPICK_DEBUG=1 set and report the traceback.",
        err=True,
    )
    return typer.Exit(BUG)


app: typer.Typer = typer.Typer(
    name="cryopick",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # measured: loading Rich takes longer than all else that --help does
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        echo(f"cryopick {version('cryopick')}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[  # its callback does the work
        bool,
        Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[  # read by Commands
        bool,
        Option(
            "--debug", envvar="CRYOPICK_DEBUG", help="Show the traceback of whatever goes wrong."
        ),
    ] = False,
) -> None:
    """Find protein particles in cryo-EM micrographs from a handful of labels.

    Coordinates are x, y of particle centres in pixels of the raw micrograph.
    """


def load(names: Iterable[str] = MODULES) -> dict[str, Any]:
    """Import the modules of some commands, which then register.

    Returns:
        Typer's commands by name: these, and those that were loaded before.
    """
    for name in names:
        import_module(f"cryopick.cli.{MODULES[name]}")
    return dict(typer.main.get_group(app).commands)


def stopwatch() -> "Stopwatch":
    """What was typed, and the time since then; for the record of a run."""
    from cryopick.runs.metadata import Stopwatch

    return Stopwatch(*_TYPED.get(((), time.monotonic())))


def main() -> None:
    """Run the command line of this process and exit."""
    typer.main.get_command(app).main(prog_name="cryopick")
