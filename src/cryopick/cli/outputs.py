"""Outputs of commands that write one image for each micrograph.

- `OutputFolder`: the option that names their folder.
- `plan_output_files`: the file that each micrograph becomes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.errors import SettingsError

__all__ = ["OutputFolder", "plan_output_files"]

OutputFolder = Annotated[
    Path, Option("--out", "-o", metavar="DIR", file_okay=False, help="Folder to write to.")
]


def plan_output_files(paths: Sequence[Path], folder: Path, suffix: str = ".mrc") -> dict[Path, Path]:
    """For each micrograph, the file `<stem>.mrc`, or of another suffix, in a folder.

    Raises:
        SettingsError: Two micrographs would be written to one file, or one over itself.
    """
    from cryopick.io.names import micrograph_stem

    owners: dict[Path, Path] = {}
    for path in paths:
        output = folder / f"{micrograph_stem(path.name)}{suffix}"
        other = owners.setdefault(output, path)
        if other != path:
            raise SettingsError(
                f"{other} and {path} would both be written to {output}: "
                "give the micrographs of each folder apart"
            )
        if output.resolve() == path.resolve():
            raise SettingsError(f"{path}: would be written over itself; name another folder")
    return {path: output for output, path in owners.items()}
