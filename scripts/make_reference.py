#!/usr/bin/env python3
"""Write docs/reference/cli.md from the command line itself, and settings.md from the settings.

Run it with `make docs` after any change to a command or a setting; a test compares the pages.

- `reference`: the page of commands as text.
- `settings_reference`: the page of settings as text.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any, get_type_hints

import typer.main

from cryopick.cli import app, load

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

HEAD = """\
# Command reference

Made from the program by `make docs`; do not edit.

Every command tells its own options with `--help`. Results go to files or to stdout, words to
stderr. The exit status is 0 when all is done, 1 for a mistake in files or settings and for a batch
in which some files failed, 2 for wrong usage, 70 for a bug in cryopick, and 130 after Ctrl-C. An
output is never replaced without `--force`.
"""

SETTINGS_HEAD = """\
# Settings

Made from the program by `make docs`; do not edit.

What a run used lies beside what it made: `settings.toml` in the folder of a training, a simulation
or a stack, `NAME.settings.toml` beside a table. Keys are the names of the options with underscores,
so that `--diameter-ang 190` is `diameter_ang = 190.0`; a setting within a table, such as
`network.width`, is the option `--width`. Such a file, whole or in part, is what `--config FILE` of
`cryopick train`, `benchmark` and `simulate` takes; options given beside it come first. A key that
is absent stands for the default below, and one that nobody knows is an error.

Where an option's own help names another default, as the number of steps of `train`, which follows
the number of labels, that is what the command takes where there is no file.
"""


def reference() -> str:
    """The page of commands."""
    load()
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


def settings_reference() -> str:
    """The page of settings."""
    from cryopick.experiments.classes2d.settings import ClassSettings
    from cryopick.pick.filaments.settings import FilamentSettings
    from cryopick.pick.proposals.settings import ProposeSettings
    from cryopick.pick.settings import PickSettings
    from cryopick.preprocess.export import PreprocessSettings
    from cryopick.simulate.settings import SimulationSettings
    from cryopick.stack.settings import StackSettings
    from cryopick.train.settings import TrainSettings

    kinds = {
        "train": TrainSettings,
        "pick": PickSettings,
        "filaments": FilamentSettings,
        "propose": ProposeSettings,
        "preprocess": PreprocessSettings,
        "stack": StackSettings,
        "simulate": SimulationSettings,
        "validate classes": ClassSettings,
    }
    parts = [SETTINGS_HEAD]
    for command, kind in kinds.items():
        parts += [f"## cryopick {command}\n", "| setting | meaning | default |\n|---|---|---|"]
        parts.append("\n".join(_rows(kind, "")) + "\n")
    return "\n".join(parts)


def _rows(kind: Any, prefix: str) -> Iterator[str]:  # noqa: ANN401  # any settings class
    meanings, hints = _meanings(kind), get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from _rows(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield f"| `{prefix}{field.name}` | {meanings[field.name]} | {_value(field)} |"


def _meanings(kind: Any) -> dict[str, str]:  # noqa: ANN401  # the same
    """What the docstring says of each field."""
    listed = (getdoc(kind) or "").partition("Attributes:\n")[2].partition("\nRaises:")[0]
    found = re.findall(r"^    (\w+): ((?:.|\n(?!    \w|$))*)", listed, re.MULTILINE)
    return {name: re.sub(r"\bNone\b", "none", " ".join(text.split())) for name, text in found}


def _value(field: "Field[Any]") -> str:
    if field.default is MISSING:
        return "required"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`"
    shown = "none" if field.default in (None, "") else f"`{field.default}`"
    return shown.lower() if isinstance(field.default, bool) else shown


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in {"cli.md": reference(), "settings.md": settings_reference()}.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"written: {FOLDER / name}")
