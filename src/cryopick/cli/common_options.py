"""Options that every command has, and the layout of its help text.

- `ReportingCommand`: command with `--quiet`, `--log-file` and `--json`.
- `make_common_options`: these options.
- `COMMON_OPTIONS`: their names.
- `format_example`: the example of a help text.
"""

from pathlib import Path
from typing import Any

from typer import BadParameter
from typer.core import TyperOption

from cryopick.cli.messages import current_console
from cryopick.cli.option_values import CheckedCommand
from cryopick.errors import OutputExistsError

__all__ = [
    "COMMON_OPTIONS",
    "PARSES_ONLY",
    "ReportingCommand",
    "format_example",
    "make_common_options",
]

COMMON_OPTIONS = ("quiet", "log_file", "json_report")
EXAMPLE = "Example: "
PARSES_ONLY = "parses_only"  # key of the context's object: the command is checked, but not run
_PLACEHOLDERS = {  # of values, by type
    **dict.fromkeys(("float", "float range"), "NUMBER"),
    **dict.fromkeys(("int", "int range", "integer", "integer range"), "INTEGER"),
    **dict.fromkeys(("str", "text"), "TEXT"),
}
_UNBROKEN_HYPHEN = "\u2011"  # where lines of the help text must not be wrapped


class ReportingCommand(CheckedCommand):
    """Command with the options of all commands, whose help text can be pasted into a shell."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401  # as in Typer
        super().__init__(*arguments, **settings)
        names = {name for parameter in self.params for name in parameter.opts}
        self.params += [option for option in make_common_options() if not names & set(option.opts)]
        for parameter in self.params:
            parameter.metavar = parameter.metavar or _PLACEHOLDERS.get(parameter.type.name)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  # Typer's
        """Return the parts of the usage line: `[OPTIONS] MIC...`, and `[OUT]` if it is optional."""
        pieces = ["[OPTIONS]"]
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                name = parameter.metavar or (parameter.name or "").upper()
                piece = f"{name}{'' if parameter.nargs == 1 else '...'}"
                pieces.append(piece if parameter.required else f"[{piece}]")
        return pieces

    def get_help(self, ctx: Any) -> str:  # noqa: ANN401  # as in Typer
        """Return the help text: examples in one line, and no option name wrapped at a hyphen."""
        formatter = ctx.make_formatter()
        write_text, write_dl = formatter.write_text, formatter.write_dl
        formatter.write_text = lambda text: write_text(_keep_words_whole(format_example(text)))
        formatter.write_dl = lambda rows, *rest, **more: write_dl(
            [(name, _keep_words_whole(text)) for name, text in rows], *rest, **more
        )
        self.format_help(ctx, formatter)
        return str(formatter.getvalue()).replace(_UNBROKEN_HYPHEN, "-").rstrip("\n")


def format_example(text: str) -> str:
    r"""Put the command of each example of a help text into a line of its own, never wrapped.

    >>> format_example("Show it.\n\nExample: cryopick info\npicks.star")
    'Show it.\n\n\x08\nExample:\n  cryopick info picks.star'
    """
    paragraphs = []
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        if words.startswith(EXAMPLE):
            paragraph = f"\b\nExample:\n  {words.removeprefix(EXAMPLE)}"
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def _keep_words_whole(text: str) -> str:
    return text.replace("-", _UNBROKEN_HYPHEN)


def make_common_options() -> list[Any]:
    """Create the options of all commands."""
    return [
        TyperOption(
            param_decls=["quiet", "--quiet", "-q"],
            is_flag=True,
            default=False,
            expose_value=False,
            callback=_set_quiet,
            help="Show warnings and errors only.",
        ),
        TyperOption(
            param_decls=["log_file", "--log-file"],
            type=str,
            metavar="FILE",
            expose_value=False,
            callback=_open_log,
            help="Append all messages to this file, with the time, the command line, the version "
            "and the exit status.",
        ),
        TyperOption(
            param_decls=["json_report", "--json"],
            is_flag=True,
            default=False,
            expose_value=False,
            callback=_start_report,
            help="Write a report as JSON to stdout: files written, files skipped, messages, "
            "results, exit status.",
        ),
    ]


def _set_quiet(ctx: Any, _option: object, is_given: bool) -> None:  # noqa: ANN401  # as in Typer
    if is_given and not _only_parses(ctx):
        current_console().is_quiet = True


def _open_log(ctx: Any, _option: object, file: str | None) -> None:  # noqa: ANN401  # as in Typer
    if file is None or _only_parses(ctx):
        return
    try:
        current_console().open_log(Path(file))
    except (OSError, OutputExistsError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadParameter(f"{file} cannot be written: {reason}") from error


def _start_report(ctx: Any, _option: object, is_given: bool) -> None:  # noqa: ANN401  # as in Typer
    if is_given and not _only_parses(ctx):
        current_console().start_report()


def _only_parses(ctx: Any) -> bool:  # noqa: ANN401  # as in Typer
    """Check if the command line is completed or checked, and the command will not run."""
    return bool(ctx.resilient_parsing or (isinstance(ctx.obj, dict) and ctx.obj.get(PARSES_ONLY)))
