"""What a client's words mean: micrographs, and patterns that no shell has expanded.

- `image_paths`: the micrographs that are meant.
- `done_with`: the exit status after a batch, its failures told.
"""

import glob
from collections.abc import Sequence
from pathlib import Path

from cryopick.clients.topaz_cli.manners import say
from cryopick.errors import InputError
from cryopick.io.inputs import micrograph_paths

__all__ = ["done_with", "image_paths"]


def image_paths(words: Sequence[str]) -> list[Path]:
    """The micrographs that are meant, each once; a file that is missing fails later, by itself.

    A pattern that no shell has expanded, and a folder, stand for the micrographs in them.

    Raises:
        InputError: Nothing matches a pattern, or a folder holds no micrograph.
    """
    found: list[Path] = []
    for word in words:
        path = Path(word)
        is_pattern = glob.has_magic(word) and not path.exists()
        found += micrograph_paths([word]) if is_pattern or path.is_dir() else [path]
    if not found:
        raise InputError("no micrograph was named; give files, a pattern or a folder")
    return list(dict.fromkeys(found))


def done_with(count: int, failures: Sequence[Exception]) -> int:
    """The exit status of a batch of which some failed, each told on its line."""
    for error in failures:
        say(f"skipped {' '.join(str(error).split())}")
    if failures:
        say(f"{len(failures)} of {count} micrographs could not be used; the others are done")
    return 1 if failures else 0
