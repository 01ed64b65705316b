"""Output files of commands that write one image per micrograph.

- `OutputFolder`: option for the folder.
- `plan_output_files`: output file of each micrograph.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from cryopick.errors import SettingsError

__all__ = ["OutputFolder", "plan_output_files"]

OutputFolder = Annotated[
    Path, Option("--out", "-o", metavar="DIR", file_okay=False, help="Output folder.")
]


def plan_output_files(
    paths: Sequence[Path], folder: Path, suffix: str = ".mrc"
) -> dict[Path, Path]:
    """Assign the file `<stem><suffix>` in the folder to each micrograph.

    Raises:
        SettingsError: Two micrographs share an output file, or one would overwrite itself.
    """
    from cryopick.io.names import micrograph_stem

    sources: dict[Path, Path] = {}
    for path in paths:
        output = folder / f"{micrograph_stem(path.name)}{suffix}"
        other = sources.setdefault(output, path)
        if other != path:
            raise SettingsError(
                f"{other} and {path} would both be written to {output}: "
                "run the command separately for each folder of micrographs"
            )
        if os.path.realpath(output) == os.path.realpath(path):
            raise SettingsError(f"{path}: would overwrite itself; choose another output folder")
    return {path: output for output, path in sources.items()}
