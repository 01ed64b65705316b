"""What a client's words mean: micrographs, patterns that no shell has expanded, cores.

- `image_paths`: the micrographs that are meant.
- `use_cores`: how many threads later work takes.
- `done_with`: the exit status after a batch, its failures told.
"""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from cryopick.clients.topaz.manners import say
from cryopick.errors import InputError
from cryopick.io import micrograph_paths

__all__ = ["done_with", "image_paths", "use_cores"]


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


def use_cores(asked: int) -> None:
    """Let later work take so many threads; below 1 means all cores, or as OMP_NUM_THREADS says.

    It must come before NumPy or torch start their own.
    """
    if asked > 0:
        os.environ["OMP_NUM_THREADS"] = str(asked)


def done_with(count: int, failures: Sequence[Exception]) -> int:
    """The exit status of a batch of which some failed, each told on its line."""
    for error in failures:
        say(f"skipped {' '.join(str(error).split())}")
    if failures:
        say(f"{len(failures)} of {count} micrographs could not be used; the others are done")
    return 1 if failures else 0
