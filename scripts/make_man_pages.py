#!/usr/bin/env python3
"""Write the manual pages of all commands: `scripts/make_man_pages.py FOLDER`.

`make man` writes them to `man/`, from where a wheel takes them to `share/man/man1`, so that `man
cryopick-pick` works in an environment with cryopick.

- `render_page`: text of the page of one command, as roff.
- `write_pages`: the pages of all commands.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer.main

from cryopick.cli.app import app, load

EXIT_STATUS = """\
.SH EXIT STATUS
0 for success, 1 for an error in files or settings or failed files in a batch, 2 for a usage error,
70 for a bug in cryopick, and 130 after Ctrl-C.
"""


def render_page(path: tuple[str, ...], command: Any, others: list[str]) -> str:  # noqa: ANN401  # Typer's own types differ by version
    """Return the manual page of a command.

    Args:
        path: Words of the command, such as ("cryopick", "models", "show").
        command: The command.
        others: Names of further pages.
    """
    name = "-".join(path)
    paragraphs = [" ".join(text.split()) for text in (command.help or "").strip().split("\n\n")]
    summary, *description = paragraphs
    examples = [text for text in description if text.startswith("Example: ")]
    description = [text for text in paragraphs if text not in examples]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = [*path, *(["COMMAND"] if hasattr(command, "commands") else []), "[OPTIONS]"]
    words += [(p.metavar or p.name.upper()) + ("..." if p.nargs == -1 else "") for p in arguments]
    parts = [
        f'.TH "{name.upper()}" 1 "" "cryopick {version("cryopick")}" "cryopick"\n',
        f".SH NAME\n{_escape(name)} \\- {_escape(summary.rstrip('.'))}\n",
        f".SH SYNOPSIS\n.B {_escape(' '.join(words))}\n",
        ".SH DESCRIPTION\n" + ".PP\n".join(f"{_escape(text)}\n" for text in description),
        *(_list_parameters("ARGUMENTS", arguments) if arguments else ()),
        *_list_parameters("OPTIONS", options),
        *(
            f".SH EXAMPLE\n.nf\n{_escape(text.removeprefix('Example: '))}\n.fi\n"
            for text in examples
        ),
        EXIT_STATUS,
    ]
    if others:
        parts.append(".SH SEE ALSO\n" + ",\n".join(f".BR {_escape(x)} (1)" for x in others) + "\n")
    return "".join(parts)


def write_pages(folder: Path) -> list[Path]:
    """Write the pages of all commands to a folder, and return their files."""
    load()
    root = typer.main.get_command(app)
    pages = {("cryopick",): root, **dict(_list_commands(root, ("cryopick",)))}
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for path, command in pages.items():
        children = [other for other in pages if len(other) == len(path) + 1 and other[:-1] == path]
        others = ["-".join(other) for other in children or [path[:-1]]]
        file = folder / f"{'-'.join(path)}.1"
        file.write_text(render_page(path, command, others), encoding="utf-8")
        files.append(file)
    return files


def _list_commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401  # the same
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from _list_commands(command, (*path, name))


def _list_parameters(title: str, parameters: list[Any]) -> Iterator[str]:
    yield f".SH {title}\n"
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            names = parameter.metavar or parameter.name.upper()
        else:
            names = ", ".join((*parameter.opts, *parameter.secondary_opts))
            choices = "|".join(map(str, getattr(parameter.type, "choices", ())))
            value = parameter.metavar or choices
            names += f" {value}" if value else ""
        text = " ".join((parameter.help or "").split())
        yield f".TP\n.B {_escape(names)}\n{_escape(text)}\n"


def _escape(text: str) -> str:
    """Escape what roff would read as a command."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)


if __name__ == "__main__":
    written = write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "man"))
    print(f"{len(written)} pages written to {written[0].parent}")
