#!/usr/bin/env python3
"""Write docs/reference/cli.md from the command line itself.

Run it with `make docs` after any change to a command; a test compares the page with it.

- `reference`: the page as text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from cryopick.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"

HEAD = """\
# Command reference

Made from the program by `make docs`; do not edit.

Every command tells its own options with `--help`. Results go to files or to stdout, words to
stderr. The exit status is 0 when all is done, 1 for a mistake in files or settings and for a batch
in which some files failed, 2 for wrong usage, 70 for a bug in cryopick, and 130 after Ctrl-C. An
output is never replaced without `--force`.
"""


def reference() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    parts = [HEAD, "## cryopick\n", _options(root)]
    for path, command in _commands(root, ("cryopick",)):
        parts += [f"## {' '.join(path)}\n", _text(command), _usage(path, command)]
        parts.append(_options(command))
    return "\n".join(part for part in parts if part)


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401  # Typer's own types differ by version
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))


def _text(command: Any) -> str:  # noqa: ANN401  # the same
    """The help text, with its examples as blocks of code."""
    paragraphs = []
    for paragraph in (command.help or "").strip().split("\n\n"):
        words = " ".join(paragraph.split())
        if words.startswith("Example: "):
            words = f"```sh\n{words.removeprefix('Example: ')}\n```"
        paragraphs.append(words)
    return "\n\n".join(paragraphs) + "\n"


def _usage(path: tuple[str, ...], command: Any) -> str:  # noqa: ANN401  # the same
    """What stands after the command, and what it means; nothing where nothing does."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    if not arguments:
        return ""
    names = [_metavar(p) + ("…" if p.nargs == -1 else "") for p in arguments]
    shown = " ".join(
        name if p.required else f"[{name}]" for name, p in zip(names, arguments, strict=True)
    )
    lines = [f"`{' '.join(path)} {shown} [OPTIONS]`\n"]
    lines += [f"- `{_metavar(p)}`: {_sentence(p)}" for p in arguments]
    return "\n".join(lines) + "\n"


def _options(command: Any) -> str:  # noqa: ANN401  # the same
    options = [p for p in command.params if p.param_type_name == "option"]
    if not options:
        return ""
    lines = ["| option | meaning | default |", "|---|---|---|"]
    lines += [f"| {_spelling(p)} | {_sentence(p)} | {_default(p)} |" for p in options]
    return "\n".join(lines) + "\n"


def _spelling(option: Any) -> str:  # noqa: ANN401  # the same
    names = [f"`{name}`" for name in (*option.opts, *option.secondary_opts)]
    value = f" `{option.metavar}`" if option.metavar else ""
    return ", ".join(names) + value


def _metavar(argument: Any) -> str:  # noqa: ANN401  # the same
    return argument.metavar or argument.name.upper()


def _sentence(parameter: Any) -> str:  # noqa: ANN401  # the same
    return " ".join((parameter.help or "").split()).replace("|", "\\|")


def _default(option: Any) -> str:  # noqa: ANN401  # the same
    if option.required:
        return "required"
    default = option.default
    return f"`{default}`" if isinstance(default, int | float | str) and default is not False else ""


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"written: {PAGE}")
