"""Tables of particles in tomograms: `Picks` with the column `z_coord`.

Coordinates are (x, y, z) of particle centres in voxels of the tomogram file; voxel centres are at
integers, and z is the section. As the third coordinate is a carried column, commands that
only select rows (`threshold`, `split`) also work on these tables.

- `Z_COLUMN`, `CLASS_COLUMN`: names of the columns.
- `make_table`: build the table of one tomogram.
- `get_xyz`: coordinates of a table.
- `replace_xyz`: the same rows with other coordinates.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cryopick.array_types import Float, Shaped
from cryopick.errors import FormatError
from cryopick.io.tables.codec import convert_to_floats
from cryopick.picks import Picks

__all__ = ["CLASS_COLUMN", "Z_COLUMN", "get_xyz", "make_table", "replace_xyz"]

Z_COLUMN = "z_coord"
CLASS_COLUMN = "class"


def make_table(
    tomogram: str,
    xyz_px: Float[np.ndarray, "picks 3"],
    score: Float[np.ndarray, " picks"] | None = None,
    extra: Mapping[str, Shaped[np.ndarray, " picks"]] | None = None,
) -> Picks:
    """Build the table of one tomogram, which may have no picks."""
    picks = Picks.for_micrograph(tomogram, xyz_px[:, :2], score)
    return replace(picks, extra={Z_COLUMN: xyz_px[:, 2].astype(np.float64), **(extra or {})})


def get_xyz(picks: Picks, source: object = "the table") -> Float[np.ndarray, "picks 3"]:
    """Return the coordinates (x, y, z) of a table.

    Args:
        picks: The table.
        source: File it was read from, for the message.

    Raises:
        FormatError: There is no column `z_coord`, or it has other text than finite numbers.
    """
    column = picks.extra.get(Z_COLUMN)
    if column is None and not len(picks):
        return np.zeros((0, 3))
    if column is None:
        raise FormatError(
            f"{source}: expected particles in tomograms, with a column {Z_COLUMN}, found "
            "particles on micrographs; use a three-dimensional table"
        )
    z = convert_to_floats(column)
    if z is None or not np.isfinite(z).all():
        raise FormatError(f"{source}: expected finite numbers in the column {Z_COLUMN}; correct it")
    return np.column_stack([picks.xy_px, z])


def replace_xyz(picks: Picks, xyz_px: Float[np.ndarray, "picks 3"]) -> Picks:
    """Return the same rows with other coordinates."""
    extra = {**picks.extra, Z_COLUMN: xyz_px[:, 2].astype(np.float64)}
    return replace(picks, xy_px=xyz_px[:, :2].astype(np.float64), extra=extra)
