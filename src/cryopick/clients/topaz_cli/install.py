"""Scripts under the names that clients of Topaz look for.

RELION 5 runs `relion_python_topaz`, other clients run `topaz`. CCP-EM Pipeliner reads the line
`python_executable=` of the former to ask that Python for the version of its module `topaz`; the
optional distribution in packaging/topaz provides that module.

- `install`: write both scripts to a folder.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.exit_status import FAILED, USAGE
from cryopick.runs.atomic_write import atomic_write

__all__ = ["SCRIPTS", "install"]

SCRIPTS = ("topaz", "relion_python_topaz")

_MARK = "# starts cryopick for programs that run topaz"  # in scripts of all versions
_MAX_SCRIPT_BYTES = 10_000


def install(words: Sequence[str], program: str) -> int:
    """Write the scripts to a folder, which is created; replace older ones of this program.

    Args:
        words: The folder, as only word.
        program: Name of the program, for messages.

    Returns:
        The exit status.
    """
    if len(words) != 1 or words[0].startswith("-"):
        report(f"usage: {program} --install DIR")
        return USAGE
    folder = Path(words[0]).expanduser().absolute()
    paths = [folder / name for name in SCRIPTS]
    for path in paths:
        if path.is_symlink() or (path.exists() and not _is_ours(path)):
            report(
                f"{program}: error: {path}: exists and was not written by cryopick; remove it, or "
                "choose another folder"
            )
            return FAILED
    text = _script()
    for path in paths:
        with atomic_write(path, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
    report(
        f"{paths[0]} and {SCRIPTS[1]} run cryopick; put {folder} first on PATH, or enter a path "
        "in the client"
    )
    return 0


def _is_ours(path: Path) -> bool:
    """Check for a script that this program has written."""
    if not path.is_file() or path.stat().st_size > _MAX_SCRIPT_BYTES:
        return False
    return _MARK.encode() in path.read_bytes()


def _script() -> str:
    """Return a shell script that runs this program with this Python."""
    start = "import sys; from cryopick.clients.topaz_cli import main; sys.argv[0] = 'topaz'; main()"
    # -P: import nothing from the current folder
    return (
        f"#!/bin/sh\n{_MARK}\npython_executable={_quote(sys.executable)}\n"
        f'exec "$python_executable" -P -c "{start}" "$@"\n'
    )


def _quote(path: str) -> str:
    r"""Quote a path for the shell in double quotes, which clients strip from the line.

    >>> print(_quote("/opt/a $b/python"))
    "/opt/a \$b/python"
    """
    for character in '\\"$`':
        path = path.replace(character, f"\\{character}")
    return f'"{os.fspath(path)}"'
