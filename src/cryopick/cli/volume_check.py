"""Refuse tomograms in commands for micrographs, with the name of the command for tomograms.

- `refuse_tomograms`: the check.
"""

from collections.abc import Sequence
from pathlib import Path

from cryopick.errors import CryopickError, MicrographError

__all__ = ["refuse_tomograms"]

_SUFFIXES = (".mrc", ".rec")
_CHECKED = 3  # files; a batch with a few movies among micrographs is no batch of tomograms


def refuse_tomograms(paths: Sequence[Path], command: str) -> None:
    """Raise an error if the first files are all volumes.

    Raises:
        MicrographError: They are; the message names the command for tomograms.
    """
    from cryopick.io.images.mrc import open_mrc_volume

    first = paths[:_CHECKED]
    for path in first:
        if not path.name.lower().endswith(_SUFFIXES):
            return
        try:
            voxels, _ = open_mrc_volume(path)
        except (CryopickError, OSError):
            return
    if first:
        raise MicrographError(
            f"{first[0]}: is a volume of {voxels.shape[0]} sections; use `cryopick tomo {command}` "
            "for tomograms, and sum the frames of a movie"
        )
