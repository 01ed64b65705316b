"""Points as a file stores them, and their conversion to voxels of the tomogram.

Formats differ in unit and origin: voxels of the tomogram, pixels of the tilt series from a corner
or from the centre, or ångströms from the centre.

- `Unit`: unit and origin of stored points.
- `StoredPoints`: the points of a file.
- `convert_to_voxels`: the table in voxels of the tomograms.
- `convert_from_voxels`: coordinates in another unit.
- `find_tomogram`: the tomogram of a name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import numpy as np

from cryopick.array_types import Float, Shaped
from cryopick.errors import MissingPixelSizeError, UnmatchedError
from cryopick.picks import Picks
from cryopick.tomograms.coordinates import Z_COLUMN, get_xyz, replace_xyz
from cryopick.tomograms.volumes import Tomogram, match_table

__all__ = ["StoredPoints", "Unit", "convert_from_voxels", "convert_to_voxels", "find_tomogram"]


class Unit(Enum):
    """Unit and origin of stored points."""

    VOXELS = auto()  # of the tomogram; 0 is the centre of the first
    UNBINNED = auto()  # pixels of the tilt series; 0 is the centre of the first
    UNBINNED_CENTRED = auto()  # pixels of the tilt series from the voxel in the middle
    CENTRED_ANG = auto()  # ångströms from the centre


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredPoints:
    """The points of a file.

    Attributes:
        names: Name of the tomogram of each point.
        xyz: Coordinates.
        unit: Their unit and origin.
        score: Scores; None if the file has none.
        extra: Carried columns.
        unbinned_ang: Pixel size of the tilt series that the file states.
    """

    names: Sequence[str]
    xyz: Float[np.ndarray, "points 3"]
    unit: Unit
    score: Float[np.ndarray, " points"] | None = None
    extra: Mapping[str, Shaped[np.ndarray, " points"]] = field(default_factory=dict)
    unbinned_ang: float | None = None

    def to_picks(self) -> Picks:
        """Convert to a table, still in the stored unit."""
        extra = {Z_COLUMN: self.xyz[:, 2].astype(np.float64), **self.extra}
        return Picks.from_columns(self.names, self.xyz[:, :2], self.score, extra)


def convert_to_voxels(points: StoredPoints, tomograms: Sequence[Tomogram], source: Path) -> Picks:
    """Convert points to voxels of their tomograms; points in other tomograms are dropped.

    Args:
        points: The points.
        tomograms: The tomograms that the user names.
        source: The file, for messages.

    Raises:
        UnmatchedError: No tomogram matches.
        MissingPixelSizeError: The unit needs the pixel size of the tilt series, which is unknown.
    """
    if not len(points.names):
        return Picks.from_columns([], np.zeros((0, 2)), extra={Z_COLUMN: np.zeros(0)})
    picks = match_table(points.to_picks(), tomograms, source)
    by_name = {tomogram.name: tomogram for tomogram in tomograms}
    xyz = get_xyz(picks, source)
    for name, rows in picks.rows_by_micrograph().items():
        xyz[rows] = _to_voxels(xyz[rows], points, by_name[name], source)
    return replace_xyz(picks, xyz)


def _to_voxels(
    xyz: Float[np.ndarray, "points 3"], points: StoredPoints, tomogram: Tomogram, source: Path
) -> Float[np.ndarray, "points 3"]:
    if points.unit is Unit.VOXELS:
        return xyz
    if points.unit is Unit.CENTRED_ANG:
        return xyz / tomogram.voxel_size_ang + tomogram.centre_px
    unbinned_ang = points.unbinned_ang or tomogram.unbinned_ang
    if unbinned_ang is None:
        raise MissingPixelSizeError(
            f"{source}: its coordinates are in pixels of the tilt series, whose pixel size is "
            "unknown; give RELION's tomograms.star, or add --unbinned-ang (the voxel size of the "
            "tomogram if the coordinates are in its voxels)"
        )
    scaled = xyz * (unbinned_ang / tomogram.voxel_size_ang)
    if points.unit is Unit.UNBINNED:
        return scaled
    return scaled + np.array(tomogram.shape[::-1]) // 2


def convert_from_voxels(picks: Picks, tomogram: Tomogram, unit: Unit) -> Float[np.ndarray, "n 3"]:
    """Convert the picks of one tomogram to another unit.

    Without a known pixel size of the tilt series, the tomogram counts as not binned.
    """
    xyz = get_xyz(picks)
    unbinned_ang = tomogram.unbinned_ang or tomogram.voxel_size_ang
    if unit is Unit.UNBINNED:
        return xyz * (tomogram.voxel_size_ang / unbinned_ang)
    if unit is Unit.UNBINNED_CENTRED:
        middle = np.array(tomogram.shape[::-1]) // 2
        return (xyz - middle) * (tomogram.voxel_size_ang / unbinned_ang)
    if unit is Unit.CENTRED_ANG:
        return (xyz - tomogram.centre_px) * tomogram.voxel_size_ang
    return xyz


def find_tomogram(name: str, tomograms: Sequence[Tomogram]) -> Tomogram:
    """Find the tomogram of a name.

    Raises:
        UnmatchedError: There is none.
    """
    for tomogram in tomograms:
        if tomogram.name == name:
            return tomogram
    raise UnmatchedError(f"the table has the tomogram {name!r}, which is not among the given ones")
