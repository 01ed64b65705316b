"""Outputs of commands that write one image for each micrograph.

- `OutputFolder`: the option that names their folder.
- `one_each`: the file that each micrograph becomes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.errors import SettingsError

__all__ = ["OutputFolder", "one_each"]

OutputFolder = Annotated[
    Path, Option("--out", "-o", metavar="DIR", file_okay=False, help="Folder to write to.")
]


def one_each(paths: Sequence[Path], folder: Path, suffix: str = ".mrc") -> dict[Path, Path]:
    """For each micrograph, the file `<stem>.mrc`, or of another suffix, in a folder.

    Raises:
        SettingsError: Two micrographs would be written to one file, or one over itself.
    """
    from cryopick.io.names import stem_of

    owners: dict[Path, Path] = {}
    for path in paths:
        output = folder / f"{stem_of(path.name)}{suffix}"
        other = owners.setdefault(output, path)
        if other != path:
            raise SettingsError(
                f"{other} and {path} would both be written to {output}: "
                "give the micrographs of each folder apart"
            )
        if output.resolve() == path.resolve():
            raise SettingsError(f"{path}: would be written over itself; name another folder")
    return {path: output for output, path in owners.items()}
