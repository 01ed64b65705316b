"""Give the program the name that a client looks for.

- `install`: a file `topaz` that starts it.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cryopick.clients.topaz_cli.manners import say

__all__ = ["install"]


def install(words: Sequence[str], program: str) -> int:
    """Write `topaz` into a folder; what is there under that name is left alone.

    Args:
        words: The folder, and nothing else.
        program: What this was called by.

    Returns:
        The exit status.
    """
    if len(words) != 1:
        say(f"usage: {program} --install-as-topaz DIR")
        return 2
    path = Path(words[0]).absolute() / "topaz"
    if not path.parent.is_dir():
        say(f"{program}: error: {path.parent}: no such folder; make it, or name another")
        return 1
    start = "import sys; from cryopick.clients.topaz_cli import main; sys.argv[0] = 'topaz'; main()"
    python = shlex.quote(sys.executable)
    command = f'exec {python} -P -c "{start}" "$@"'  # -P: nothing in the current folder is imported
    text = f"#!/bin/sh\n# starts cryopick for programs that run topaz\n{command}\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        say(f"{program}: error: {path}: exists already; remove it first, or name another folder")
        return 1
    with os.fdopen(handle, "w") as file:
        file.write(text)
    say(f"{path} starts cryopick; put its folder first on PATH, or name it to the client")
    return 0
