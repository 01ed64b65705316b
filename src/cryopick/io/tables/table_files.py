"""Find the tables that a folder or a pattern stands for.

- `expand_patterns`: the files that match patterns such as `x/*.box`.
- `list_tables`: the files in a folder that may be tables.
"""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryopick.errors import NotFoundError
from cryopick.io.tables import star
from cryopick.io.tables.formats import CODECS

__all__ = ["expand_patterns", "list_tables"]


def expand_patterns(paths: Sequence[Path]) -> Iterator[Path]:
    """Replace patterns such as `x/*.box` by the files that match, sorted by name."""
    for path in paths:
        if path.exists() or not any(sign in str(path) for sign in "*?["):
            yield path
            continue
        matches = sorted(glob.glob(str(path)))  # noqa: PTH207 -- the pattern may be absolute
        if not matches:
            raise NotFoundError(
                f"{path}: no file matches this pattern; check the folder and suffix"
            )
        yield from map(Path, matches)


def list_tables(folder: Path) -> list[Path]:
    """List the files in a folder that may be tables, without RELION's list of the others."""
    suffixes = {suffix for codec in CODECS.values() for suffix in codec.suffixes} - {".txt"}
    inside = sorted(p for p in folder.iterdir() if p.name.lower().endswith(tuple(suffixes)))
    inside = [p for p in inside if p.is_file() and not p.name.startswith(".")]
    return [p for p in inside if not _lists_files_in(p, folder)]


def _lists_files_in(path: Path, folder: Path) -> bool:
    """Check whether a file is RELION's list of the other tables in its folder."""
    if path.suffix.lower() != ".star":
        return False
    names = star.read_coordinate_files(path).values()
    return bool(names) and all((folder / Path(name).name).is_file() for name in names)
